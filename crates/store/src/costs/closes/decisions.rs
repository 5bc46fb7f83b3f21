//! The decisions of administrators on closed months.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::json;

use super::in_force;
use crate::audit::{self, Act, Action, Object, ObjectType};
use crate::costs::live_statements;
use crate::locks::{self, Lock};
use crate::{Actor, Store, StoreError};

impl Store {
    /// Reopens a closed month, with the reason of the actor: its statements follow its lines again,
    /// and the adjustments that its close contains apply to the open month.
    ///
    /// # Errors
    ///
    /// [`StoreError::MonthState`] if the month is not closed.
    pub async fn reopen_month(&self, period: NaiveDate, actor: &Actor) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let close = sqlx::query!(
            "update cloud_month_closes set reopened_at = clock_timestamp(), reopened_by = $2, reopen_reason = $3
             where period = $1 and closed_at is not null and reopened_at is null returning number, closed_by",
            period,
            actor.name(),
            actor.reason().unwrap_or_default(),
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| not_closed(period))?;
        let object = Object::new(ObjectType::Month, &period.format("%Y-%m"));
        let act = Act::new(Action::MonthReopened, object)
            .before(json!({ "close": close.number, "closed_by": close.closed_by }));
        audit::commit(tx, actor, act).await
    }

    /// Accepts the correction of a closed month: its difference becomes an adjustment. `after` is
    /// the total of the lines (USD) that the actor has seen.
    ///
    /// # Errors
    ///
    /// [`StoreError::MonthState`] if the month is not closed, has no correction or one with another
    /// total, or the corrected invoices are not verified.
    pub async fn accept_correction(
        &self,
        period: NaiveDate,
        after: Decimal,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        // No invoice is ingested meanwhile.
        locks::acquire(&mut tx, Lock::CostLines).await?;
        let close = in_force(&mut tx, Some(period)).await?.pop();
        let close = close.ok_or_else(|| not_closed(period))?;
        let refused = |problem: &str| StoreError::MonthState {
            period,
            problem: problem.to_owned(),
        };
        if close.is_accepted() {
            return Err(refused(
                "has no correction to accept: its invoices are those of the close, or of the latest accepted correction",
            ));
        }
        let now = live_statements(&mut tx, period).await?;
        if !now.is_verified() {
            return Err(refused(
                "has corrected invoices that are not verified yet: accept the correction when they are final",
            ));
        }
        if now.line_total != after {
            return Err(refused(&format!(
                "was corrected again: its lines total {} USD, not {after}; check the correction, and accept it with this total",
                now.line_total
            )));
        }
        let updated = sqlx::query!(
            "update cloud_month_closes set accepted_invoices = $2, accepted_total = $3, accepted_by = $4, accepted_at = clock_timestamp(),
                 accept_reason = $5, may_differ = true
             where id = $1 and reopened_at is null",
            close.id,
            close.invoices_now,
            now.line_total,
            actor.name(),
            actor.reason(),
        )
        .execute(&mut *tx)
        .await?;
        if updated.rows_affected() == 0 {
            return Err(not_closed(period));
        }
        let object = Object::new(ObjectType::Month, &period.format("%Y-%m"));
        let act = Act::new(Action::CorrectionAccepted, object)
            .before(json!({ "invoices": close.accepted_invoices }))
            .after(json!({ "invoices": close.invoices_now, "line_total": now.line_total }));
        audit::commit(tx, actor, act).await
    }
}

fn not_closed(period: NaiveDate) -> StoreError {
    StoreError::MonthState {
        period,
        problem: "is not closed, so that there is nothing to decide: close it first".to_owned(),
    }
}
