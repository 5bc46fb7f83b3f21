//! `/months/{YYYY-MM}/rule`: changes the allocation rule from a month on, after a dry run.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{Months, NaiveDate};
use domain::costs::AllocationRule;
use store::Store;
use store::costs::StoredAllocationRule;
use store::inventory::Commit;

use super::rule_form::{RuleForm, describe, encode};
use crate::ApiState;
use crate::effect::Effect;
use crate::extract::{Form, InPath, NoParameters, Period, Remark};
use crate::pages::effect::EffectTable;
use crate::pages::format::{Moment, month, month_name};
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::session::{AdminViewer, Viewer};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/months/{period}/rule", get(show).post(change))
}

/// A tenant of the form with its weight.
struct WeightField {
    tenant: String,
    weight: String,
}

/// The step of the change that the page shows.
enum Step {
    /// The form alone.
    Choose,
    /// The effect of a dry run, and a button that saves.
    Confirm,
    /// The rule differs from the one of the dry run: it was changed in the meantime.
    Outdated,
    /// The rule is saved.
    Saved,
}

#[derive(Template)]
#[template(path = "allocation_rule.html")]
struct RulePage {
    frame: Frame,
    month: String,
    month_path: String,
    path: String,
    step: Step,
    /// The months that the rule applies to: until the month before the next rule.
    until: Option<String>,
    /// The rule of the month before the change.
    before: String,
    before_fields: Vec<WeightField>,
    before_name: &'static str,
    before_encoded: String,
    /// The chosen rule.
    rule: String,
    rule_name: &'static str,
    rule_fields: Vec<WeightField>,
    set_by: Option<(String, Moment)>,
    /// The fields of the form of weights.
    weights: Vec<WeightField>,
    effect: Option<EffectTable>,
}

/// The rules that a page of one month shows.
struct Context {
    period: NaiveDate,
    rules: Vec<StoredAllocationRule>,
    tenants: Vec<String>,
}

impl Context {
    async fn read(store: &Store, period: NaiveDate) -> Result<Self, PageProblem> {
        let statements = store.statements(period).await?;
        let tenants = statements.rows.into_iter();
        Ok(Self {
            period,
            rules: store.allocation_rules().await?,
            tenants: tenants.filter_map(|row| row.tenant_id).collect(),
        })
    }

    fn stored(&self) -> Option<&StoredAllocationRule> {
        let mut rules = self.rules.iter();
        rules.find(|rule| rule.valid_from <= self.period)
    }

    fn rule(&self) -> AllocationRule {
        self.stored()
            .map(|stored| stored.rule.clone())
            .unwrap_or_default()
    }

    /// The last month of a rule that begins in this month, if a later rule is stored.
    fn until(&self) -> Option<String> {
        let later = self.rules.iter().map(|rule| rule.valid_from);
        let next = later.filter(|from| *from > self.period).min()?;
        Some(month_name(next - Months::new(1)))
    }

    fn page(
        self,
        viewer: &Viewer,
        step: Step,
        before: &AllocationRule,
        rule: &AllocationRule,
        effect: Option<Effect>,
    ) -> RulePage {
        let month_path = format!("/months/{}", month(self.period));
        RulePage {
            frame: viewer.frame(
                &format!("Allocation rule from {} on", month_name(self.period)),
                "/months",
            ),
            month: month_name(self.period),
            path: format!("{month_path}/rule"),
            month_path,
            step,
            until: self.until(),
            before: describe(before),
            before_name: before.name(),
            before_fields: fields(before),
            before_encoded: encode(before),
            rule: describe(rule),
            rule_name: rule.name(),
            rule_fields: fields(rule),
            set_by: self
                .stored()
                .map(|stored| (stored.set_by.clone(), Moment(stored.set_at))),
            weights: weights(&self.tenants, rule),
            effect: effect.map(EffectTable::from),
        }
    }
}

/// The weights of a rule as fields; empty unless it is fixed.
fn fields(rule: &AllocationRule) -> Vec<WeightField> {
    let AllocationRule::Fixed(weights) = rule else {
        return Vec::new();
    };
    let weights = weights.iter().map(|(tenant, weight)| WeightField {
        tenant: tenant.clone(),
        weight: weight.normalize().to_string(),
    });
    weights.collect()
}

/// A field for each tenant with costs or with a weight.
fn weights(tenants: &[String], rule: &AllocationRule) -> Vec<WeightField> {
    let mut fields = fields(rule);
    for tenant in tenants {
        if !fields.iter().any(|field| field.tenant == *tenant) {
            fields.push(WeightField {
                tenant: tenant.clone(),
                weight: String::new(),
            });
        }
    }
    fields.sort_by(|one, other| one.tenant.cmp(&other.tenant));
    fields
}

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    InPath(Period(period)): InPath<Period>,
    _: NoParameters,
) -> Result<Response, PageProblem> {
    let context = Context::read(&state.store, period).await?;
    let rule = context.rule();
    render(&context.page(&viewer, Step::Choose, &rule, &rule, None))
}

async fn change(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    InPath(Period(period)): InPath<Period>,
    _: NoParameters,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, PageProblem> {
    let form = RuleForm::read(fields)?;
    let context = Context::read(&state.store, period).await?;
    let current = context.rule();
    // Also true for a repeated request: its change is already made.
    let is_up_to_date = form
        .before
        .as_ref()
        .is_none_or(|before| *before == current || form.rule == current);
    let commit = if is_up_to_date {
        form.commit
    } else {
        Commit::DryRun
    };
    let actor = viewer.actor().because(Remark::text(form.reason));
    let measured = state
        .store
        .set_allocation_rule(period, &form.rule, &actor, commit)
        .await?;
    let effect = Some(Effect::of(measured, commit));
    let page = match commit {
        Commit::Keep => {
            let before = form.before.unwrap_or(current);
            let context = Context::read(&state.store, period).await?;
            context.page(&viewer, Step::Saved, &before, &form.rule, effect)
        }
        Commit::DryRun => {
            let step = if is_up_to_date {
                Step::Confirm
            } else {
                Step::Outdated
            };
            context.page(&viewer, step, &current, &form.rule, effect)
        }
    };
    render(&page)
}
