//! The filter of `/lines`: its form, and the addresses of filtered lists.

use chrono::NaiveDate;
use serde::Deserialize;
use store::Store;
use store::costs::GroupBy;
use store::invoices::CostLineFilter;

use crate::extract::{KnownKind, Period, Text, optional_field};
use crate::pages::format::month;
use crate::problem::Problem;
use crate::routes::cost_lines::filter::{LineResource, MATCH_RULES, MatchRule, of_resource};
use crate::routes::costs::Grouping;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinesQuery {
    #[serde(default, deserialize_with = "optional_field")]
    pub(super) period: Option<Period>,
    #[serde(default, deserialize_with = "optional_field")]
    tenant: Option<Text>,
    #[serde(default, deserialize_with = "optional_field")]
    kind: Option<KnownKind>,
    #[serde(default, deserialize_with = "optional_field")]
    product: Option<Text>,
    #[serde(default, deserialize_with = "optional_field")]
    project: Option<Text>,
    #[serde(default, deserialize_with = "optional_field")]
    resource: Option<LineResource>,
    #[serde(default, deserialize_with = "optional_field")]
    match_rule: Option<MatchRule>,
    #[serde(default, deserialize_with = "optional_field")]
    without: Option<Grouping>,
}

impl LinesQuery {
    /// Returns the filter of the lines of a month.
    pub(super) fn into_filter(self, period: NaiveDate) -> CostLineFilter {
        let rules = self.match_rule.map(|MatchRule(rule)| rule.to_owned());
        let filter = CostLineFilter {
            period,
            kind: self.kind.map(String::from),
            match_rules: rules.into_iter().collect(),
            tenant_id: self.tenant.map(String::from),
            product: self.product.map(String::from),
            project_name: self.project.map(String::from),
            without: self.without.map(Into::into),
            ..CostLineFilter::default()
        };
        of_resource(filter, self.resource)
    }
}

/// Returns the address of a page of the filtered list.
pub(in crate::pages) fn address(filter: &CostLineFilter, cursor: Option<&str>) -> String {
    let resource = filter.resource_id.map(|id| id.to_string());
    let resource = resource.or_else(|| filter.historic_resource.clone());
    let period = month(filter.period);
    let fields = [
        ("period", Some(period.as_str())),
        ("tenant", filter.tenant_id.as_deref()),
        ("kind", filter.kind.as_deref()),
        ("product", filter.product.as_deref()),
        ("project", filter.project_name.as_deref()),
        ("resource", resource.as_deref()),
        ("match_rule", filter.match_rules.first().map(String::as_str)),
        ("without", filter.without.map(GroupBy::name)),
        ("cursor", cursor),
    ];
    let given: Vec<(&str, &str)> = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    // Strings always serialise.
    let query = serde_urlencoded::to_string(given).unwrap_or_default();
    format!("/lines?{query}")
}

/// An option of a select.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) name: String,
    pub(super) is_selected: bool,
}

/// A select of the form.
pub(super) struct Select {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) choices: Vec<Choice>,
}

impl Select {
    /// Builds a select of these values. A selected value that is not among them is added, so that
    /// the form never changes the filter by itself.
    pub(super) fn new(
        name: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = (String, String)>,
        selected: Option<&str>,
    ) -> Self {
        let mut choices: Vec<Choice> = values
            .into_iter()
            .map(|(value, name)| Choice {
                is_selected: Some(value.as_str()) == selected,
                value,
                name,
            })
            .collect();
        let is_listed = choices.iter().any(|choice| choice.is_selected);
        if let Some(selected) = selected.filter(|_| !is_listed) {
            choices.push(Choice {
                value: selected.to_owned(),
                name: selected.to_owned(),
                is_selected: true,
            });
        }
        Self {
            name,
            label,
            choices,
        }
    }

    pub(super) fn of_names(
        name: &'static str,
        label: &'static str,
        names: Vec<String>,
        selected: Option<&str>,
    ) -> Self {
        let values = names.into_iter().map(|name| (name.clone(), name));
        Self::new(name, label, values, selected)
    }
}

/// A resource in the filter, which has no select.
pub(super) struct ChosenResource {
    /// The value of the parameter.
    pub(super) value: String,
    pub(super) name: String,
    /// The page of the resource; empty if it is not stored.
    pub(super) link: String,
    /// The list without this condition.
    pub(super) remove: String,
}

/// The form of the filter.
pub(super) struct Filters {
    pub(super) period: String,
    pub(super) selects: Vec<Select>,
    pub(super) resource: Option<ChosenResource>,
    /// The list of the month without other conditions; empty if there are none.
    pub(super) reset: String,
}

impl Filters {
    /// Reads the values that a month has for each condition.
    pub(super) async fn read(store: &Store, filter: &CostLineFilter) -> Result<Self, Problem> {
        let names = store.billed_names(Some(filter.period)).await?;
        let tenants = store.tenant_ids().await?;
        let rules = MATCH_RULES.map(str::to_owned).to_vec();
        let rule = filter.match_rules.first().map(String::as_str);
        let without = [
            ("tenant", "tenant (unallocated)"),
            ("project", "project on the invoice"),
            ("kind", "kind"),
            ("resource", "resource"),
        ];
        let without = without.map(|(value, name)| (value.to_owned(), name.to_owned()));
        let of_month = CostLineFilter {
            period: filter.period,
            ..CostLineFilter::default()
        };
        Ok(Self {
            period: month(filter.period),
            selects: vec![
                Select::of_names("tenant", "Tenant", tenants, filter.tenant_id.as_deref()),
                Select::of_names("kind", "Kind", names.kinds, filter.kind.as_deref()),
                Select::of_names(
                    "product",
                    "Product",
                    names.products,
                    filter.product.as_deref(),
                ),
                Select::of_names(
                    "project",
                    "Project on the invoice",
                    names.projects,
                    filter.project_name.as_deref(),
                ),
                Select::of_names("match_rule", "Matched by", rules, rule),
                Select::new(
                    "without",
                    "Only lines without",
                    without,
                    filter.without.map(GroupBy::name),
                ),
            ],
            resource: chosen_resource(store, filter).await?,
            reset: if *filter == of_month {
                String::new()
            } else {
                address(&of_month, None)
            },
        })
    }
}

async fn chosen_resource(
    store: &Store,
    filter: &CostLineFilter,
) -> Result<Option<ChosenResource>, Problem> {
    let without = CostLineFilter {
        resource_id: None,
        historic_resource: None,
        ..filter.clone()
    };
    let remove = address(&without, None);
    if let Some(id) = filter.resource_id {
        let found = store.resource_names(&[id]).await?.pop();
        let value = id.to_string();
        return Ok(Some(ChosenResource {
            name: found.as_ref().map_or_else(
                || value.clone(),
                |found| format!("{} ({})", found.name, found.kind),
            ),
            link: found.map_or_else(String::new, |found| format!("/inventory/{}", found.id)),
            value,
            remove,
        }));
    }
    Ok(filter
        .historic_resource
        .clone()
        .map(|value| ChosenResource {
            name: format!("{value}, not observed"),
            value,
            link: String::new(),
            remove,
        }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter() -> CostLineFilter {
        CostLineFilter {
            period: "2026-04-01".parse().unwrap(),
            product: Some("Droplets & more".to_owned()),
            project_name: Some("Über".to_owned()),
            tenant_id: Some("acme".to_owned()),
            historic_resource: Some("droplet:7".to_owned()),
            match_rules: vec!["name".to_owned()],
            kind: Some("droplet".to_owned()),
            without: Some(GroupBy::Kind),
            ..CostLineFilter::default()
        }
    }

    #[test]
    fn an_address_leads_to_the_same_filter() {
        let resource = CostLineFilter {
            resource_id: Some(uuid::Uuid::from_u128(7)),
            historic_resource: None,
            ..filter()
        };
        for filter in [filter(), resource] {
            let address = address(&filter, None);
            let query = address.strip_prefix("/lines?").unwrap();
            let query: LinesQuery = serde_urlencoded::from_str(query).unwrap();
            assert_eq!(query.into_filter(filter.period), filter);
        }
    }

    #[test]
    fn empty_fields_are_absent() {
        let query = "period=&tenant=&kind=&product=&project=&resource=&match_rule=&without=";
        let query: LinesQuery = serde_urlencoded::from_str(query).unwrap();
        let expected = CostLineFilter {
            period: filter().period,
            ..CostLineFilter::default()
        };
        assert_eq!(query.into_filter(filter().period), expected);
    }

    #[test]
    fn a_selected_value_that_no_line_has_stays_selected() {
        let select = Select::of_names("kind", "Kind", vec!["volume".to_owned()], Some("app"));
        let selected: Vec<&str> = select
            .choices
            .iter()
            .filter(|choice| choice.is_selected)
            .map(|choice| choice.value.as_str())
            .collect();
        assert_eq!(selected, ["app"]);
    }
}
