//! The route of the account's balance.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use store::balance::BalanceSnapshot;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;
use crate::access::Admin;
use crate::covered::CoveredDays;
use crate::envelope::One;
use crate::extract::NoParameters;
use crate::problem::{BadRequest, NotFound, Problem};
use store::Usd;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(latest))
}

/// Latest balance reported by DigitalOcean; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "they are the columns' names")]
struct Balance {
    /// `account_balance` plus `month_to_date_usage`, in USD.
    month_to_date_balance: Usd,
    /// Amount owed before the usage of this month, in USD; negative for a credit.
    account_balance: Usd,
    /// Usage of the current month up to `generated_at`, in USD.
    month_to_date_usage: Usd,
    /// Time at which DigitalOcean computed the amounts.
    generated_at: DateTime<Utc>,
    /// Time at which these amounts were first polled.
    captured_at: DateTime<Utc>,
    /// Time at which these amounts were last polled.
    last_polled_at: DateTime<Utc>,
    /// The days that `month_to_date_usage` covers, up to `generated_at`.
    #[serde(flatten)]
    covered: CoveredDays,
}

impl From<BalanceSnapshot> for Balance {
    fn from(snapshot: BalanceSnapshot) -> Self {
        Self {
            month_to_date_balance: Usd(snapshot.month_to_date_balance),
            account_balance: Usd(snapshot.account_balance),
            month_to_date_usage: Usd(snapshot.month_to_date_usage),
            generated_at: snapshot.generated_at,
            captured_at: snapshot.captured_at,
            last_polled_at: snapshot.last_polled_at,
            covered: CoveredDays::until(snapshot.generated_at),
        }
    }
}

/// Returns the latest balance
#[utoipa::path(
    get,
    path = "/api/v1/billing/balance",
    operation_id = "latest_balance",
    tag = "billing",
    security(("bearer" = [])),
    responses((status = OK, body = One<Balance>, description = "The latest balance"), BadRequest, NotFound)
)]
async fn latest(
    _: Admin,
    State(state): State<ApiState>,
    _: NoParameters,
) -> Result<Json<One<Balance>>, Problem> {
    let snapshot = state.store.latest_balance().await?.ok_or_else(|| {
        Problem::NotFound(
            "balance not polled yet: wait for the schedule poll-balance, which runs every hour"
                .to_owned(),
        )
    })?;
    Ok(Json(One::now(snapshot.into())))
}
