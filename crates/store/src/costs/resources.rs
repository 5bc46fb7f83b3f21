//! The costs of resources by month, from their lines.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{BilledResource, Cost};
use crate::{Store, StoreError};

impl Store {
    /// Groups a deleted resource by DigitalOcean's id, so that its costs still add up over time.
    pub(super) async fn costs_by_resource(
        &self,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<Vec<Cost>, StoreError> {
        let costs = sqlx::query!(
            r#"select bill_period as "period!", coalesce(
                       resource_id::text,
                       case when match_rule = 'historic'
                           then coalesce(identified_kind, 'resource') || ':' || coalesce(item_resource_uuid, item_resource_id) end)
                       as group_name,
                   sum(amount) as "amount!", bool_or(estimate_id is not null) as "is_estimate!",
                   bool_and(resource_id is null and match_rule = 'historic') as "is_historic!",
                   max(resource_name) as billed_name, max(identified_kind) as billed_kind
               from cloud_cost_lines where bill_period between $1 and $2
               group by 1, 2 order by 1, 2 nulls first"#,
            from,
            to,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(costs
            .into_iter()
            .map(|row| Cost {
                period: row.period,
                group: row.group_name,
                direct: row.amount,
                shared: Decimal::ZERO,
                is_estimate: row.is_estimate,
                billed: row.is_historic.then_some(BilledResource {
                    name: row.billed_name,
                    kind: row.billed_kind,
                }),
            })
            .collect())
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
