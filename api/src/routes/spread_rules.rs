//! Routes of allocation rules: how the shared costs of a month are allocated to the tenants.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use domain::TenantId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::costs::StoredAllocationRule;
use store::inventory::Commit;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;
use crate::access::Admin;
use crate::choices;
use crate::csv::{self, FileName};
use crate::effect::DryRun;
use crate::envelope::{List, One};
use crate::extract::{Body, InPath, Period, Query, Remark, TENANT_PATTERN, remark_or_null};
use crate::paging::PageQuery;
use crate::problem::{BadRequest, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(set))
}

/// Rule by which shared costs are allocated to the tenants.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpreadRule {
    /// `proportional` to the direct costs of each tenant, unallocated costs included; `even`, equal
    /// parts for every tenant with costs; `fixed`, by `weights`.
    rule: &'static str,
    /// Weight of each tenant, as a decimal string; null for rules other than `fixed`.
    weights: Option<BTreeMap<String, String>>,
}

impl From<domain::costs::AllocationRule> for SpreadRule {
    fn from(rule: domain::costs::AllocationRule) -> Self {
        use domain::costs::AllocationRule::{Even, Fixed, Proportional};
        let (rule, weights) = match rule {
            Proportional => ("proportional", None),
            Even => ("even", None),
            Fixed(weights) => ("fixed", Some(weights)),
        };
        let shown = |(tenant, weight): (String, Decimal)| (tenant, weight.to_string());
        Self {
            rule,
            weights: weights.map(|weights| weights.into_iter().map(shown).collect()),
        }
    }
}

/// An allocation rule with its first month.
#[derive(Debug, Serialize, ToSchema)]
struct DatedSpreadRule {
    /// First day of the first month of the rule; it applies until the month of the next rule.
    valid_from: NaiveDate,
    #[serde(flatten)]
    rule: SpreadRule,
    /// Name of the access token that set the rule.
    set_by: String,
    /// Time at which the rule was set.
    set_at: DateTime<Utc>,
}

impl From<StoredAllocationRule> for DatedSpreadRule {
    fn from(stored: StoredAllocationRule) -> Self {
        Self {
            valid_from: stored.valid_from,
            rule: stored.rule.into(),
            set_by: stored.set_by,
            set_at: stored.set_at,
        }
    }
}

/// Lists the allocation rules, the latest month first
///
/// The rule `proportional` applies before the month of the first rule.
#[utoipa::path(
    get,
    path = "/api/v1/billing/spread-rules",
    operation_id = "list_spread_rules",
    tag = "billing",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<DatedSpreadRule>, description = "A page of allocation rules"), BadRequest)
)]
async fn list(
    admin: Admin,
    State(state): State<ApiState>,
    query: PageQuery,
) -> Result<Response, Problem> {
    let page = query.page(json!("spread-rules"))?;
    let rules = state.store.allocation_rules().await?;
    let list = page.show_of_all(rules, |rule| Reverse(rule.valid_from));
    let list: List<DatedSpreadRule> = list.into();
    csv::list(admin, &query, FileName::new("spread-rules"), list)
}

/// An allocation rule to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSpreadRule {
    /// `proportional` to the direct costs of each tenant; `even`, equal parts for every tenant with
    /// costs; `fixed`, by `weights`.
    rule: RuleName,
    /// Weight of each tenant, required for the rule `fixed` and refused for others: a decimal
    /// string above 0, at most 1000000, with at most six decimals.
    #[schema(schema_with = weights_schema, required = false)]
    weights: Option<BTreeMap<TenantId, Weight>>,
    /// Reason for the change, 1 to 500 characters; recorded in the audit.
    #[schema(schema_with = remark_or_null, required = false)]
    reason: Option<Remark>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(try_from = "String", rename_all = "snake_case")]
enum RuleName {
    /// Proportional to the direct costs of each tenant.
    Proportional,
    /// Equal parts for every tenant with costs.
    Even,
    /// By `weights`.
    Fixed,
}

impl TryFrom<String> for RuleName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let choices = [
            ("proportional", Self::Proportional),
            ("even", Self::Even),
            ("fixed", Self::Fixed),
        ];
        choices::one_of("rule", &text, &choices)
    }
}

fn weights_schema() -> RefOr<Schema> {
    let tenant = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(TENANT_PATTERN));
    let weight = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(WEIGHT_PATTERN));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .property_names(Some(tenant))
        .additional_properties(Some(weight))
        .min_properties(Some(1))
        .examples([json!({ "acme": "3", "globex": "1.5" })])
        .into()
}

/// A decimal above 0, at most 1000000, with at most six decimals.
const WEIGHT_PATTERN: &str = r"^([1-9][0-9]{0,5}(\.[0-9]{1,6})?|1000000|0\.[0-9]{0,5}[1-9])$";

/// Weight of a tenant: its part of the shared costs, relative to the weights of the other tenants.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Weight(Decimal);

/// Large enough for any ratio, with few enough digits to multiply any amount without overflow.
const MAX_WEIGHT: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);
const MAX_DECIMALS: u32 = 6;

impl FromStr for Weight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // `Decimal` also accepts `1_000`.
        let is_plain = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        text.parse::<Decimal>()
            .ok()
            .filter(|weight| {
                let fits = *weight > Decimal::ZERO && *weight <= MAX_WEIGHT;
                is_plain && fits && weight.scale() <= MAX_DECIMALS
            })
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "invalid weight {text:?}: expected a decimal above 0, e.g. \"3\" or \"0.25\", \
                     at most {MAX_WEIGHT}, with at most {MAX_DECIMALS} decimals"
                )
            })
    }
}

impl TryFrom<String> for Weight {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<NewSpreadRule> for domain::costs::AllocationRule {
    type Error = Problem;

    fn try_from(new: NewSpreadRule) -> Result<Self, Problem> {
        match (new.rule, new.weights) {
            (RuleName::Proportional, None) => Ok(Self::Proportional),
            (RuleName::Even, None) => Ok(Self::Even),
            (RuleName::Proportional | RuleName::Even, Some(_)) => Err(Problem::InvalidBody(
                "weights: not allowed for this rule: omit them, or use the rule fixed".to_owned(),
            )),
            (RuleName::Fixed, weights) => fixed(weights.unwrap_or_default()),
        }
    }
}

/// Returns the rule with these weights.
pub(crate) fn fixed(
    weights: BTreeMap<TenantId, Weight>,
) -> Result<domain::costs::AllocationRule, Problem> {
    if weights.is_empty() {
        return Err(Problem::InvalidBody(
            "weights: missing for the rule fixed: add at least one, e.g. {\"acme\": \"3\"}"
                .to_owned(),
        ));
    }
    let weights = weights.into_iter();
    let weights = weights.map(|(tenant, Weight(weight))| (tenant.into(), weight));
    Ok(domain::costs::AllocationRule::Fixed(weights.collect()))
}

/// Sets the allocation rule from a month on, until the month of the next rule
///
/// Statements change at once, including those of past months: shared costs are allocated when they
/// are read, so no cost line is updated. `dry_run` shows in `meta.effect` the
/// amounts that the rule would move between tenants.
#[utoipa::path(
    put,
    path = "/api/v1/billing/spread-rules/{valid_from}",
    operation_id = "set_allocation_rule",
    tag = "billing",
    security(("bearer" = [])),
    params(("valid_from" = inline(Period), Path, description = "First month of the rule"), DryRun),
    request_body = NewSpreadRule,
    responses((status = OK, body = One<DatedSpreadRule>, description = "The rule after the change, or the sent rule in a dry run"), BadRequest)
)]
async fn set(
    admin: Admin,
    State(state): State<ApiState>,
    InPath(Period(valid_from)): InPath<Period>,
    Query(query): Query<DryRun>,
    Body(mut new): Body<NewSpreadRule>,
) -> Result<Json<One<DatedSpreadRule>>, Problem> {
    let actor = admin.actor.because(Remark::text(new.reason.take()));
    let rule = new.try_into()?;
    let commit = query.commit();
    let measured = state
        .store
        .set_allocation_rule(valid_from, &rule, &actor, commit)
        .await?;
    let stored = if commit == Commit::DryRun {
        StoredAllocationRule {
            valid_from,
            rule,
            set_by: actor.name().to_owned(),
            set_at: state.store.now().await?,
        }
    } else {
        let rules = state.store.allocation_rules().await?;
        let mut rules = rules.into_iter();
        rules
            .find(|stored| stored.valid_from == valid_from)
            .ok_or_else(|| {
                Problem::NotFound(format!("no allocation rule starts in {valid_from}"))
            })?
    };
    let rule = One::now(stored.into());
    Ok(Json(rule.changed(&state, measured, commit).await))
}
