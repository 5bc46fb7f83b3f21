//! The largest costs and changes by resource, for pages. They read the index entries of all lines
//! of their months, so the results are kept as long as these lines do not change.

use std::sync::Arc;

use chrono::{Months, NaiveDate};
use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::resources::is_historic;
use super::{BilledResource, Cost};
use crate::kept::Kept;
use crate::{Store, StoreError};

/// The costs of a month compared with the month before; USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthComparison {
    pub before: Decimal,
    pub after: Decimal,
    /// The largest differences between resources, the largest first.
    pub largest: Vec<CostChange>,
}

/// The costs of a resource in two months; USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostChange {
    /// As in [`Cost`]; `None` for the costs without a resource.
    pub group: Option<String>,
    /// The name of the resource; on the bill, if it is not stored.
    pub name: Option<String>,
    pub before: Decimal,
    pub after: Decimal,
}

/// The largest groups of the costs by resource in a range of months.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargestCosts {
    /// The costs of the largest groups, ordered by month and group.
    pub costs: Vec<Cost>,
    /// The number of all groups.
    pub groups: usize,
    /// The totals of all groups, ordered by month.
    pub months: Vec<MonthTotal>,
}

/// The total of a month's lines; USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthTotal {
    pub period: NaiveDate,
    pub amount: Decimal,
    pub is_estimate: bool,
}

/// The kept results of a store.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeptCosts(Arc<KeptResults>);

#[derive(Debug, Default)]
struct KeptResults {
    largest: Kept<(NaiveDate, NaiveDate, i64), LargestCosts>,
    comparisons: Kept<(NaiveDate, i64), MonthComparison>,
}

impl Store {
    /// Returns the groups with the largest costs by resource in the months `from` to `to`,
    /// inclusive.
    pub async fn largest_costs_by_resource(
        &self,
        from: NaiveDate,
        to: NaiveDate,
        limit: i64,
    ) -> Result<LargestCosts, StoreError> {
        let kept = &self.kept_costs.0.largest;
        let mut tx = self.snapshot().await?;
        let version = version_of_lines(&mut tx, from, to).await?;
        if let Some(largest) = kept.get(&(from, to, limit), &version) {
            return Ok(largest);
        }
        let largest = read_largest(&mut tx, from, to, limit).await?;
        tx.commit().await?;
        kept.put((from, to, limit), version, largest.clone());
        Ok(largest)
    }

    /// Compares the costs of resources in a month with those in the month before.
    pub async fn month_comparison(
        &self,
        period: NaiveDate,
        limit: i64,
    ) -> Result<MonthComparison, StoreError> {
        let kept = &self.kept_costs.0.comparisons;
        let before = period - Months::new(1);
        let mut tx = self.snapshot().await?;
        let version = version_of_lines(&mut tx, before, period).await?;
        let mut compared = if let Some(compared) = kept.get(&(period, limit), &version) {
            compared
        } else {
            let compared = compare(&mut tx, before, period, limit).await?;
            kept.put((period, limit), version, compared.clone());
            compared
        };
        // Resources are renamed without a change of lines.
        for change in &mut compared.largest {
            change.name = name_of(&mut tx, change.group.as_deref(), before, period).await?;
        }
        tx.commit().await?;
        Ok(compared)
    }
}

/// Returns a text that changes when lines of these months are added, removed or matched to another
/// resource.
///
/// A rematch holds the lock of cost lines exclusively, so that changes of lines are committed in
/// the order of their ids, except those of ingests, which change `ingested_at` of their invoice.
async fn version_of_lines(
    connection: &mut PgConnection,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<String, StoreError> {
    let version = sqlx::query_scalar!(
        r#"select concat_ws(' ', (select max(id) from cloud_cost_line_changes),
               (select string_agg(concat_ws(':', id, version, ingested_at), ' ' order by id) from cloud_invoices where period between $1 and $2),
               (select string_agg(concat_ws(':', id, state, encode(lines_sha256, 'hex'), rematches), ' ' order by id)
                from cloud_estimates where period between $1 and $2)) as "version!""#,
        from,
        to,
    )
    .fetch_one(connection)
    .await?;
    Ok(version)
}

async fn read_largest(
    connection: &mut PgConnection,
    from: NaiveDate,
    to: NaiveDate,
    limit: i64,
) -> Result<LargestCosts, StoreError> {
    let groups = sqlx::query!(
        r#"select resource_group, count(*) over () as "groups!"
           from cloud_cost_lines where bill_period between $1 and $2 group by resource_group
           order by sum(amount) desc, resource_group nulls first limit $3"#,
        from,
        to,
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    let months = sqlx::query_as!(
        MonthTotal,
        r#"select period, sum(amount) as "amount!", bool_or(is_estimate) as "is_estimate!"
           from cloud_cost_totals where period between $1 and $2 group by period order by period"#,
        from,
        to,
    )
    .fetch_all(&mut *connection)
    .await?;
    let has_others = groups.iter().any(|group| group.resource_group.is_none());
    let ids: Vec<&str> = groups
        .iter()
        .filter_map(|group| group.resource_group.as_deref())
        .collect();
    let periods: Vec<NaiveDate> = months.iter().map(|month| month.period).collect();
    let costs = sqlx::query!(
        r#"select bill_period, resource_group, sum(amount) as "amount!", bool_or(estimate_id is not null) as "is_estimate!",
               max(resource_name) as name, max(identified_kind) as kind
           from cloud_cost_lines
           where bill_period = any($1) and (resource_group = any($2) or ($3 and resource_group is null))
           group by bill_period, resource_group order by bill_period, resource_group nulls first"#,
        &periods,
        &ids as &[&str],
        has_others,
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(LargestCosts {
        groups: groups.first().map_or(0, |first| {
            usize::try_from(first.groups).unwrap_or(usize::MAX)
        }),
        months,
        costs: costs
            .into_iter()
            .map(|row| Cost {
                period: row.bill_period,
                direct: row.amount,
                shared: Decimal::ZERO,
                is_estimate: row.is_estimate,
                billed: is_historic(row.resource_group.as_deref()).then_some(BilledResource {
                    name: row.name,
                    kind: row.kind,
                }),
                group: row.resource_group,
            })
            .collect(),
    })
}

async fn compare(
    connection: &mut PgConnection,
    before: NaiveDate,
    period: NaiveDate,
    limit: i64,
) -> Result<MonthComparison, StoreError> {
    let totals = sqlx::query!(
        r#"select coalesce(sum(amount) filter (where period = $1), 0) as "before!",
               coalesce(sum(amount) filter (where period = $2), 0) as "after!"
           from cloud_cost_totals where period in ($1, $2)"#,
        before,
        period,
    )
    .fetch_one(&mut *connection)
    .await?;
    let largest = sqlx::query_as!(
        CostChange,
        r#"
        with changed as (
            -- Each month is grouped in the order of the index, without a sort.
            select coalesce(one.resource_group, two.resource_group) as resource_group,
                coalesce(one.amount, 0) as before, coalesce(two.amount, 0) as after
            from (
                select resource_group, sum(amount) as amount from cloud_cost_lines where bill_period = $1 group by 1
            ) one
            full join (
                select resource_group, sum(amount) as amount from cloud_cost_lines where bill_period = $2 group by 1
            ) two on coalesce(one.resource_group, '') = coalesce(two.resource_group, '')
        ), largest as (
            select * from changed where before <> after
            order by abs(after - before) desc, resource_group nulls first limit $3
        )
        select resource_group as "group", before as "before!", after as "after!", null::text as name
        from largest order by abs(after - before) desc, resource_group nulls first
        "#,
        before,
        period,
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(MonthComparison {
        before: totals.before,
        after: totals.after,
        largest,
    })
}

/// Returns the name of a group: of the resource, or on the bill.
async fn name_of(
    connection: &mut PgConnection,
    group: Option<&str>,
    before: NaiveDate,
    period: NaiveDate,
) -> Result<Option<String>, StoreError> {
    let name = sqlx::query_scalar!(
        "select case when $1 like '%:%' then (
             select max(line.resource_name) from cloud_cost_lines line
             where line.bill_period in ($2, $3) and line.resource_group = $1)
         when $1 is not null then (select r.name from cloud_resource_rows r where r.id = $1::text::uuid) end",
        group,
        before,
        period,
    )
    .fetch_one(connection)
    .await?;
    Ok(name)
}
