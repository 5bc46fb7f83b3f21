//! The differences between the figures of today and the frozen ones of closed months, which adjust
//! the statements of the open month.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::{InForce, in_force, rows_of};
use crate::costs::by_tenant::{allocate_month, months};
use crate::costs::{Statements, live_statements, read_statements, rules};
use crate::{Store, StoreError, usd};

/// The adjustment of a tenant for a month that is closed, or was when an adjustment for it was
/// settled; USD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Adjustment {
    /// The first of the closed month.
    pub period: NaiveDate,
    /// Null for the unallocated costs.
    pub tenant_id: Option<String>,
    /// The adjustment of the direct costs.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub direct: Decimal,
    /// The adjustment of the part of the shared costs, which follows the direct costs of all
    /// tenants.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub shared: Decimal,
    /// `direct` plus `shared`.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub amount: Decimal,
}

/// A cause of the adjustments for a closed month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AdjustmentCause {
    /// The first of the closed month.
    pub period: NaiveDate,
    /// `inventory`, `ingest` or `operator` for changes of lines, as in the changes of a line;
    /// `correction` for a correction by DigitalOcean; `allocation_rule` for a changed rule;
    /// `reopening` if the month was reopened, so that earlier adjustments for it are taken back.
    pub cause: String,
    /// The operator; null for other causes.
    pub by: Option<String>,
    /// The change, in words.
    pub description: String,
    /// The number of changed lines; 0 if it is unknown.
    pub lines: i64,
    /// The latest change.
    pub at: DateTime<Utc>,
}

/// A correction of the invoices of a closed month, which waits for a decision; USD.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Correction {
    /// The first of the closed month.
    pub period: NaiveDate,
    /// The total of the lines at the close, or by the last accepted correction.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub before: Decimal,
    /// The total of the lines now.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub after: Decimal,
    /// `after` minus `before`.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub difference: Decimal,
    /// False while the corrected invoices are not verified: then the correction cannot be accepted.
    pub is_final: bool,
}

impl Store {
    /// Returns the open month with the adjustments for closed months: the first one with a bill
    /// after the latest closed month, or the next one if there is no bill yet. `None` if no month
    /// is closed.
    pub async fn adjusted_month(&self) -> Result<Option<NaiveDate>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        adjusted_month(&mut connection).await
    }

    /// Lists the adjustments that the statements of a month contain, by closed month and tenant,
    /// with their causes: of a closed month those of its close, of [`Store::adjusted_month`] those
    /// of today. Other months have none.
    pub async fn adjustments(
        &self,
        period: NaiveDate,
    ) -> Result<(Vec<Adjustment>, Vec<AdjustmentCause>), StoreError> {
        let mut tx = self.snapshot().await?;
        let Statements {
            adjustments, close, ..
        } = read_statements(&mut tx, period).await?;
        let until = close.map(|close| close.frozen_at);
        let causes = causes_of(&mut tx, &adjustments, until).await?;
        Ok((adjustments, causes))
    }

    /// Lists the corrections of closed months that wait for a decision, the latest month first.
    pub async fn corrections(&self) -> Result<Vec<Correction>, StoreError> {
        let mut tx = self.snapshot().await?;
        let mut corrections = Vec::new();
        for close in in_force(&mut tx, None).await? {
            if !close.is_accepted() {
                corrections.push(correction(&mut tx, &close).await?);
            }
        }
        corrections.reverse();
        Ok(corrections)
    }

    /// Returns the correction of a closed month that waits for a decision.
    pub async fn correction(&self, period: NaiveDate) -> Result<Option<Correction>, StoreError> {
        let mut tx = self.snapshot().await?;
        match in_force(&mut tx, Some(period)).await?.pop() {
            Some(close) if !close.is_accepted() => Ok(Some(correction(&mut tx, &close).await?)),
            _ => Ok(None),
        }
    }
}

async fn correction(
    connection: &mut PgConnection,
    close: &InForce,
) -> Result<Correction, StoreError> {
    let now = live_statements(&mut *connection, close.period).await?;
    let accepted = sqlx::query_scalar!(
        r#"select accepted_total as "total!" from cloud_month_closes where id = $1"#,
        close.id
    )
    .fetch_one(connection)
    .await?;
    Ok(Correction {
        period: close.period,
        before: accepted,
        after: now.line_total,
        difference: now.line_total - accepted,
        is_final: now.is_verified(),
    })
}

/// Returns the month that [`Store::adjusted_month`] returns.
async fn adjusted_month(connection: &mut PgConnection) -> Result<Option<NaiveDate>, StoreError> {
    let month = sqlx::query_scalar!(
        r#"select coalesce(
               (select min(period) from (
                   select period from cloud_invoices union all select period from cloud_estimates where state = 'open'
                ) bill where period > latest.closed),
               (latest.closed + interval '1 month')::date) as "period"
           from (
               select max(period) as closed from cloud_month_closes where closed_at is not null and reopened_at is null
           ) latest"#
    )
    .fetch_one(connection)
    .await?;
    Ok(month)
}

/// Returns the adjustments in the statements of an open month, by closed month and tenant.
pub(crate) async fn pending(
    connection: &mut PgConnection,
    period: NaiveDate,
) -> Result<Vec<Adjustment>, StoreError> {
    if adjusted_month(&mut *connection).await? != Some(period) {
        return Ok(Vec::new());
    }
    let mut adjustments = Vec::new();
    for close in in_force(&mut *connection, None).await? {
        if close.is_accepted() {
            adjustments.extend(of_close(connection, &close).await?);
        }
    }
    adjustments.extend(of_reopened_months(connection).await?);
    adjustments
        .sort_by(|one, other| (one.period, &one.tenant_id).cmp(&(other.period, &other.tenant_id)));
    Ok(adjustments)
}

/// Takes back the adjustments that closes contain for months that are open again: the statements
/// of these months follow their lines.
async fn of_reopened_months(connection: &mut PgConnection) -> Result<Vec<Adjustment>, StoreError> {
    let contained = sqlx::query_as!(
        Adjustment,
        r#"select adjustment.period, tenant_id, -sum(direct) as "direct!", -sum(shared) as "shared!",
               -sum(direct + shared) as "amount!"
           from cloud_closed_adjustments adjustment join cloud_month_closes close on close.id = adjustment.close_id
           where close.closed_at is not null and close.reopened_at is null
             and not exists (
                 select from cloud_month_closes own
                 where own.period = adjustment.period and own.closed_at is not null and own.reopened_at is null)
           group by adjustment.period, tenant_id
           having sum(direct) <> 0 or sum(shared) <> 0"#,
    )
    .fetch_all(connection)
    .await?;
    Ok(contained)
}

/// Returns the adjustments for one closed month that no close contains.
async fn of_close(
    connection: &mut PgConnection,
    close: &InForce,
) -> Result<Vec<Adjustment>, StoreError> {
    let period = close.period;
    let mut differences: BTreeMap<Option<String>, (Decimal, Decimal)> = BTreeMap::new();
    let mut add = |tenant: Option<String>, direct: Decimal, shared: Decimal| {
        let difference = differences.entry(tenant).or_default();
        difference.0 += direct;
        difference.1 += shared;
    };
    let month = months(&mut *connection, period, period).await?;
    let rules = rules::read(&mut *connection).await?;
    for (_, month) in month {
        for row in allocate_month(&month, &rules::rule_for(&rules, period)) {
            add(row.tenant_id, row.direct, row.shared);
        }
    }
    for row in rows_of(&mut *connection, close.id).await? {
        add(row.tenant_id, -row.direct, -row.shared);
    }
    let contained = sqlx::query!(
        r#"select tenant_id, sum(direct) as "direct!", sum(shared) as "shared!"
           from cloud_closed_adjustments adjustment join cloud_month_closes close on close.id = adjustment.close_id
           where adjustment.period = $1 and close.closed_at is not null and close.reopened_at is null
           group by tenant_id"#,
        period,
    )
    .fetch_all(connection)
    .await?;
    for row in contained {
        add(row.tenant_id, -row.direct, -row.shared);
    }
    let differences = differences.into_iter();
    Ok(differences
        .filter(|(_, (direct, shared))| !(direct.is_zero() && shared.is_zero()))
        .map(|(tenant_id, (direct, shared))| Adjustment {
            period,
            tenant_id,
            direct,
            shared,
            amount: direct + shared,
        })
        .collect())
}

/// The most causes of one month.
const CAUSES: i64 = 50;

/// Returns the causes of adjustments, by closed month: the changes since its close, or since a
/// later close that contains adjustments of it. `until` is the time of the close that contains
/// these adjustments; `None` if none does.
pub(crate) async fn causes_of(
    connection: &mut PgConnection,
    adjustments: &[Adjustment],
    until: Option<DateTime<Utc>>,
) -> Result<Vec<AdjustmentCause>, StoreError> {
    if adjustments.is_empty() {
        return Ok(Vec::new());
    }
    let mut periods: Vec<NaiveDate> = adjustments.iter().map(|adjusted| adjusted.period).collect();
    periods.dedup();
    let causes = sqlx::query_as!(
        AdjustmentCause,
        r#"
        with close as (
            select closed.*, greatest(closed.frozen_at, (
                    select max(later.frozen_at)
                    from cloud_closed_adjustments settled join cloud_month_closes later on later.id = settled.close_id
                    where settled.period = closed.period and later.closed_at is not null and later.reopened_at is null
                      and later.frozen_at < coalesce($3::timestamptz, 'infinity')
                )) as settled_at, coalesce($3::timestamptz, 'infinity') as until
            from cloud_month_closes closed
            where period = any($1) and closed_at is not null and reopened_at is null
        ), moved as (
            select close.period, change.cause, change.changed_by, count(distinct change.line_id) as lines, max(change.changed_at) as at,
                change.changes #>> '{tenant_id,before}' as before, change.changes #>> '{tenant_id,after}' as after,
                change.changes ? 'tenant_id' as is_moved
            from close
            join cloud_cost_line_changes change on change.changed_at > close.settled_at and change.changed_at <= close.until
            join cloud_cost_lines line on line.id = change.line_id and line.bill_period = close.period
            where change.changes ?| '{tenant_id,is_shared}'
            group by close.period, change.cause, change.changed_by, before, after, is_moved
        ), cause as (
            select period, cause, changed_by as by, lines, at,
                case when is_moved and before = 'split' and after = 'split' then 'other shares of split costs'
                    when is_moved
                    then format('moved from %s to %s', coalesce(before, 'unallocated'), coalesce(after, 'unallocated'))
                    else 'marked as shared costs, or no longer' end as description
            from moved
            union all
            select period, 'correction', accepted_by, 0, accepted_at,
                'DigitalOcean corrected the invoices; the difference was accepted as an adjustment'
            from close where accepted_at > settled_at and accepted_at <= until
            union all
            select close.period, 'allocation_rule', now.set_by, 0, now.set_at, format('the allocation rule is %s, was %s', now.rule, close.rule)
            from close join lateral (
                select * from cloud_allocation_rules where valid_from <= close.period order by valid_from desc limit 1
            ) now on now.set_at > close.settled_at and now.set_at <= close.until and (now.rule, now.weights) is distinct from (close.rule, close.weights)
            union all
            select reopened.period, 'reopening', reopened.reopened_by, 0, reopened.reopened_at,
                format('the month was reopened (%s): adjustments for its earlier close are taken back', reopened.reopen_reason)
            from cloud_month_closes reopened
            where period = any($1) and reopened_at <= coalesce($3::timestamptz, 'infinity') and reopened_at > (
                select max(settling.frozen_at)
                from cloud_closed_adjustments settled join cloud_month_closes settling on settling.id = settled.close_id
                where settled.period = reopened.period and settling.closed_at is not null and settling.reopened_at is null
                  and settling.frozen_at < coalesce($3::timestamptz, 'infinity'))
        )
        select period as "period!", cause as "cause!", by, lines as "lines!", at as "at!", description as "description!"
        from cause order by period, at desc limit $2
        "#,
        &periods,
        CAUSES,
        until,
    )
    .fetch_all(connection)
    .await?;
    Ok(causes)
}
