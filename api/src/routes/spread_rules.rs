//! By what rule what all tenants bear is spread over them, from which month on.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use domain::TenantId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;
use crate::access::Admin;
use crate::envelope::{List, One};
use crate::extract::{Body, InPath, NoParameters, Period, Query};
use crate::paging::PageQuery;
use crate::problem::{Invalid, Problem};
use crate::words;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(set))
}

/// How what all tenants bear is spread over them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SpreadRule {
    /// `proportional` to what each costs directly, what is nobody's included; `even`, the same for every tenant that has costs;
    /// `fixed`, by the weights.
    rule: &'static str,
    /// Of each tenant, as decimal strings; null for other rules than `fixed`.
    weights: Option<BTreeMap<String, String>>,
}

impl From<domain::costs::SpreadRule> for SpreadRule {
    fn from(rule: domain::costs::SpreadRule) -> Self {
        use domain::costs::SpreadRule::{Even, Fixed, Proportional};
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

/// A rule as it was set.
#[derive(Debug, Serialize, ToSchema)]
struct DatedSpreadRule {
    /// The first of the month from which on it holds, until the next one's.
    valid_from: NaiveDate,
    #[serde(flatten)]
    rule: SpreadRule,
    /// The name of the access token by which it was set.
    set_by: String,
    set_at: DateTime<Utc>,
}

impl From<store::costs::StoredSpreadRule> for DatedSpreadRule {
    fn from(stored: store::costs::StoredSpreadRule) -> Self {
        Self {
            valid_from: stored.valid_from,
            rule: stored.rule.into(),
            set_by: stored.set_by,
            set_at: stored.set_at,
        }
    }
}

/// The rules that were set, the latest month first; before the first one what all bear is spread in proportion
#[utoipa::path(
    get,
    path = "/api/v1/billing/spread-rules",
    operation_id = "list_spread_rules",
    tag = "billing",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<DatedSpreadRule>, description = "A page of rules"), Invalid)
)]
async fn list(
    _: Admin,
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<DatedSpreadRule>>, Problem> {
    let page = query.page(json!("spread-rules"))?;
    let rules = state.store.spread_rules().await?;
    Ok(Json(
        page.show_of_all(rules, |rule| Reverse(rule.valid_from))
            .into(),
    ))
}

/// How to spread what all tenants bear.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSpreadRule {
    #[schema(inline)]
    rule: Word,
    /// With the rule `fixed`, and only then: of each tenant a decimal string above 0, at most 1000000, at most six decimals.
    #[schema(value_type = Option<BTreeMap<String, String>>, example = json!({ "acme": "3", "globex": "1.5" }))]
    weights: Option<BTreeMap<TenantId, Weight>>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(try_from = "String", rename_all = "snake_case")]
enum Word {
    /// As each costs directly.
    Proportional,
    /// The same for every tenant that has costs.
    Even,
    /// By weights.
    Fixed,
}

impl TryFrom<String> for Word {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let words = [
            ("proportional", Self::Proportional),
            ("even", Self::Even),
            ("fixed", Self::Fixed),
        ];
        words::one_of("rule", &text, &words)
    }
}

/// How much of what all bear a tenant gets, beside the others' weights.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Weight(Decimal);

/// Far more than shares need, and few enough digits to be multiplied with any amount.
const MOST_WEIGHT: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);
const MOST_DECIMALS: u32 = 6;

impl FromStr for Weight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Decimal takes 1_000 too.
        let is_plain = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        text.parse::<Decimal>()
            .ok()
            .filter(|weight| {
                let fits = *weight > Decimal::ZERO && *weight <= MOST_WEIGHT;
                is_plain && fits && weight.scale() <= MOST_DECIMALS
            })
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "invalid weight {text:?}: expected a decimal above 0 like \"3\" or \"0.25\", at most {MOST_WEIGHT}, at most {MOST_DECIMALS} decimals"
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

impl TryFrom<NewSpreadRule> for domain::costs::SpreadRule {
    type Error = Problem;

    fn try_from(new: NewSpreadRule) -> Result<Self, Problem> {
        let refused = |text: &str| Err(Problem::InvalidBody(format!("weights: {text}")));
        match (new.rule, new.weights) {
            (Word::Proportional, None) => Ok(Self::Proportional),
            (Word::Even, None) => Ok(Self::Even),
            (Word::Proportional | Word::Even, Some(_)) => {
                refused("only the rule fixed has them: leave them out")
            }
            (Word::Fixed, Some(weights)) if !weights.is_empty() => Ok(Self::Fixed(
                weights
                    .into_iter()
                    .map(|(tenant, Weight(weight))| (tenant.into(), weight))
                    .collect(),
            )),
            (Word::Fixed, _) => {
                refused("the rule fixed needs at least one, like {\"acme\": \"3\"}")
            }
        }
    }
}

/// Sets how what all tenants bear is spread, from a month on until the next one that has a rule of its own
///
/// Statements follow at once, those of months that are past too.
#[utoipa::path(
    put,
    path = "/api/v1/billing/spread-rules/{valid_from}",
    operation_id = "set_spread_rule",
    tag = "billing",
    security(("bearer" = [])),
    params(("valid_from" = inline(Period), Path, description = "The month")),
    request_body = NewSpreadRule,
    responses((status = OK, body = One<DatedSpreadRule>, description = "The rule as it is now"), Invalid)
)]
async fn set(
    admin: Admin,
    State(state): State<ApiState>,
    InPath(Period(valid_from)): InPath<Period>,
    _: NoParameters,
    Body(new): Body<NewSpreadRule>,
) -> Result<Json<One<DatedSpreadRule>>, Problem> {
    let rule = new.try_into()?;
    state
        .store
        .set_spread_rule(valid_from, &rule, &admin.token_name)
        .await?;
    tracing::info!(token = %admin.token_id, %valid_from, ?rule, "a spread rule was set");
    let mut rules = state.store.spread_rules().await?;
    rules.retain(|stored| stored.valid_from == valid_from);
    let stored = rules.pop().ok_or_else(|| {
        Problem::NotFound(format!("there is no spread rule from {valid_from} on"))
    })?;
    Ok(Json(One::now(stored.into())))
}
