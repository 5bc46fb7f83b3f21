//! The costs of resources by month, from an index of the lines.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{BilledResource, Cost};
use crate::{Store, StoreError};

/// The cursor of a page of costs by resource.
#[derive(Debug, Clone)]
pub struct AfterGroup {
    pub period: NaiveDate,
    pub group: Option<String>,
}

/// Returns true for a group of lines of a resource that the mirror has not observed: `KIND:ID`.
pub(super) fn is_historic(group: Option<&str>) -> bool {
    group.is_some_and(|group| group.contains(':'))
}

impl Store {
    /// Lists a page of the costs of resources in the months `from` to `to`, inclusive, ordered by
    /// month and group; costs without a resource first. A deleted resource is grouped by
    /// DigitalOcean's id, so that its costs still add up over time.
    ///
    /// Reads only the lines of the page, and the maintained totals for lines without a resource.
    pub async fn costs_by_resource(
        &self,
        from: NaiveDate,
        to: NaiveDate,
        after: Option<&AfterGroup>,
        limit: i64,
    ) -> Result<Vec<Cost>, StoreError> {
        let mut tx = self.snapshot().await?;
        let costs = sqlx::query!(
            r#"
            with without_resource as (
                select period, sum(amount) as amount, bool_or(is_estimate) as is_estimate
                from (
                    select period, amount, is_estimate from cloud_cost_totals
                    where period between $1 and $2 and (is_shared or match_rule in ('ambiguous', 'unmatched'))
                    union all
                    select bill_period, amount, estimate_id is not null from cloud_cost_lines
                    where bill_period between $1 and $2 and is_split and resource_group is null
                    union all
                    -- Without an id on the invoice.
                    select line.bill_period, line.amount, line.estimate_id is not null
                    from (select distinct period from cloud_cost_totals where period between $1 and $2 and match_rule = 'historic') month
                    join cloud_cost_lines line
                        on line.bill_period = month.period and line.resource_group is null and line.match_rule = 'historic'
                        and not line.is_split
                ) line
                where $3::date is null or period > $3
                group by period order by period limit $5
            ), of_resource as (
                select bill_period, resource_group, sum(amount) as amount, bool_or(estimate_id is not null) as is_estimate
                from cloud_cost_lines
                where bill_period between $1 and $2 and resource_group is not null
                  and ($3::date is null or (bill_period, resource_group) > ($3, coalesce($4, '')))
                group by bill_period, resource_group order by bill_period, resource_group limit $5
            ), page as (
                select period, null as group_name, amount, is_estimate from without_resource
                union all
                select * from of_resource
                order by period, group_name nulls first limit $5
            )
            select page.period as "period!", page.group_name, page.amount as "amount!", page.is_estimate as "is_estimate!",
                billed.name as "billed_name?", billed.kind as "billed_kind?"
            from page
            left join lateral (
                select max(line.resource_name) as name, max(line.identified_kind) as kind
                from cloud_cost_lines line
                where line.bill_period = page.period and line.resource_group = page.group_name
            ) billed on page.group_name like '%:%'
            order by page.period, page.group_name nulls first
            "#,
            from,
            to,
            after.map(|after| after.period),
            after.and_then(|after| after.group.as_deref()),
            limit,
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(costs
            .into_iter()
            .map(|row| Cost {
                period: row.period,
                direct: row.amount,
                shared: Decimal::ZERO,
                is_estimate: row.is_estimate,
                billed: is_historic(row.group_name.as_deref()).then_some(BilledResource {
                    name: row.billed_name,
                    kind: row.billed_kind,
                }),
                group: row.group_name,
            })
            .collect())
    }

    /// Returns the total of the lines of the months `from` to `to`, inclusive; USD.
    pub async fn cost_total(&self, from: NaiveDate, to: NaiveDate) -> Result<Decimal, StoreError> {
        let total = sqlx::query_scalar!(
            r#"select coalesce(sum(amount), 0) as "total!" from cloud_cost_totals where period between $1 and $2"#,
            from,
            to,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(total)
    }

    /// Lists the costs of one resource in all months with lines, ordered by month. The figures are
    /// those of [`Store::costs`] by resource.
    pub async fn costs_of_resource(&self, resource: Uuid) -> Result<Vec<Cost>, StoreError> {
        let costs = sqlx::query!(
            r#"select bill_period as "period!", sum(amount) as "amount!", bool_or(estimate_id is not null) as "is_estimate!"
               from cloud_cost_lines where resource_id = $1 group by 1 order by 1"#,
            resource,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(costs
            .into_iter()
            .map(|row| Cost {
                period: row.period,
                group: Some(resource.to_string()),
                direct: row.amount,
                shared: Decimal::ZERO,
                is_estimate: row.is_estimate,
                billed: None,
            })
            .collect())
    }
}
