//! Allocation rules in text and in HTML forms.

use std::collections::BTreeMap;

use domain::TenantId;
use domain::costs::AllocationRule;
use store::inventory::Commit;

use crate::extract::Remark;
use crate::pages::page::PageProblem;
use crate::problem::Problem;
use crate::routes::spread_rules::{Weight, fixed};

/// A rule by its name, without its weights: they name tenants.
pub(in crate::pages) fn in_words(rule: &str) -> &'static str {
    match rule {
        "proportional" => "in proportion to the direct costs of each tenant",
        "even" => "in equal parts to every tenant with direct costs",
        _ => "by fixed weights",
    }
}

/// A rule in one sentence.
pub(super) fn describe(rule: &AllocationRule) -> String {
    match rule {
        AllocationRule::Proportional => {
            "proportional: by the direct costs of each tenant, unallocated costs included"
                .to_owned()
        }
        AllocationRule::Even => "even: equal parts for every tenant with direct costs".to_owned(),
        AllocationRule::Fixed(weights) => {
            let weights = weights
                .iter()
                .map(|(tenant, weight)| format!("{tenant} {}", weight.normalize()));
            let weights: Vec<String> = weights.collect();
            format!("fixed weights: {}", weights.join(", "))
        }
    }
}

/// Encodes a rule in one field of a form.
pub(super) fn encode(rule: &AllocationRule) -> String {
    let mut pairs = vec![("rule".to_owned(), rule.name().to_owned())];
    if let AllocationRule::Fixed(weights) = rule {
        for (tenant, weight) in weights {
            pairs.push(("tenant".to_owned(), tenant.clone()));
            pairs.push(("weight".to_owned(), weight.to_string()));
        }
    }
    serde_urlencoded::to_string(pairs).unwrap_or_default()
}

/// The fields of the form.
#[derive(Debug)]
pub(super) struct RuleForm {
    pub(super) rule: AllocationRule,
    pub(super) commit: Commit,
    /// The rule of the month when the form was shown; `None` before the dry run.
    pub(super) before: Option<AllocationRule>,
    pub(super) reason: Option<Remark>,
}

impl RuleForm {
    /// Reads the fields: `rule`; `tenant` and `weight` for each weight, in this order; `before`;
    /// `reason`; and `save` with any value to save the rule. A tenant with an empty weight has
    /// none.
    pub(super) fn read(fields: Vec<(String, String)>) -> Result<Self, PageProblem> {
        let mut before = None;
        let mut reason = None;
        let mut commit = Commit::DryRun;
        let mut rule = Vec::new();
        for (field, value) in fields {
            match field.as_str() {
                "before" => before = Some(decode(&value)?),
                "save" => commit = Commit::Keep,
                "reason" if value.trim().is_empty() => {}
                "reason" => {
                    let read = value.parse();
                    reason = Some(read.map_err(|error| invalid(format!("reason: {error}")))?);
                }
                _ => rule.push((field, value)),
            }
        }
        Ok(Self {
            rule: read_rule(rule)?,
            commit,
            before,
            reason,
        })
    }
}

/// Decodes a rule of [`encode`].
fn decode(text: &str) -> Result<AllocationRule, PageProblem> {
    let fields = serde_urlencoded::from_str(text);
    read_rule(fields.map_err(|error| invalid(format!("before: {error}")))?)
}

fn invalid(text: String) -> PageProblem {
    PageProblem(Problem::InvalidBody(text))
}

fn read_rule(fields: Vec<(String, String)>) -> Result<AllocationRule, PageProblem> {
    let mut name = None;
    let mut tenant = None;
    let mut weights: BTreeMap<TenantId, Weight> = BTreeMap::new();
    for (field, value) in fields {
        match field.as_str() {
            "rule" => name = Some(value),
            "tenant" => tenant = Some(value),
            "weight" => {
                let tenant = tenant.take().unwrap_or_default();
                let weight = value.trim();
                if weight.is_empty() {
                    continue;
                }
                let known: TenantId = tenant
                    .trim()
                    .parse()
                    .map_err(|error| invalid(format!("tenant: {error}")))?;
                let weight = weight
                    .parse()
                    .map_err(|error| invalid(format!("weight of {tenant}: {error}")))?;
                if weights.insert(known, weight).is_some() {
                    return Err(invalid(format!("tenant {tenant}: two weights: use one")));
                }
            }
            _ => return Err(invalid(format!("unknown field {field:?}"))),
        }
    }
    match name.as_deref() {
        Some("proportional") => Ok(AllocationRule::Proportional),
        Some("even") => Ok(AllocationRule::Even),
        Some("fixed") => Ok(fixed(weights)?),
        _ => Err(invalid(
            "rule: choose proportional, even or fixed".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_rule_is_encoded_and_decoded() {
        let weights = [
            ("a&b=c".to_owned(), Decimal::new(15, 1)),
            ("é".to_owned(), Decimal::TWO),
        ];
        for rule in [
            AllocationRule::Proportional,
            AllocationRule::Even,
            AllocationRule::Fixed(weights.into()),
        ] {
            let decoded = decode(&encode(&rule)).map_err(|problem| problem.0).unwrap();
            assert_eq!(decoded, rule);
        }
    }

    #[test]
    fn a_form_without_save_is_a_dry_run_and_empty_weights_are_omitted() {
        let form = fields(&[
            ("rule", "fixed"),
            ("tenant", "acme"),
            ("weight", "3"),
            ("tenant", "globex"),
            ("weight", " "),
        ]);
        let form = RuleForm::read(form).map_err(|problem| problem.0).unwrap();
        assert_eq!(form.commit, Commit::DryRun);
        let weights = [("acme".to_owned(), Decimal::from(3))];
        assert_eq!(form.rule, AllocationRule::Fixed(weights.into()));
    }

    #[test]
    fn an_invalid_form_is_refused() {
        for (form, expected) in [
            (vec![], "choose"),
            (vec![("rule", "fixed")], "weights"),
            (
                vec![("rule", "fixed"), ("tenant", "acme"), ("weight", "-1")],
                "acme",
            ),
            (
                vec![("rule", "fixed"), ("tenant", ""), ("weight", "1")],
                "tenant",
            ),
            (vec![("rule", "even"), ("since", "2026-04")], "since"),
        ] {
            let refused = RuleForm::read(fields(&form)).unwrap_err();
            assert!(refused.0.to_string().contains(expected), "{}", refused.0);
        }
    }
}
