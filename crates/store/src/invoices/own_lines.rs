//! Queries of cost lines for one tenant: its part of each line, and nothing of other tenants.

use chrono::{DateTime, NaiveDate, Utc};
use domain::TenantId;
use rust_decimal::Decimal;
use serde::Serialize;
use uuid::Uuid;

use super::CostLineTotal;
use crate::costs::SharedParts;
use crate::{Store, StoreError, usd};

/// The tenant's part of a line of an invoice or of an estimate; the amount in USD.
///
/// The position of the line in the file, its match, and its full amount are omitted: they reveal
/// the costs and the resources of other tenants.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OwnCostLine {
    pub id: Uuid,
    /// True for a line of the open month's estimate, which the invoice will replace.
    pub is_estimate: bool,
    /// The first of the month.
    pub period: NaiveDate,
    pub product: String,
    /// The kind of the billed resource; null if there is none or the product is unknown.
    pub kind: Option<String>,
    /// Null for a shared line, for a line that is split with another tenant unless the resource is
    /// the tenant's now, and for a part of a resource of another tenant.
    pub group_description: Option<String>,
    /// Null for a shared line, and for a line that is split with another tenant unless the resource
    /// is the tenant's now.
    pub description: Option<String>,
    /// Null for a shared or split line.
    pub hours: Option<Decimal>,
    /// Null for a shared or split line.
    pub start_at: Option<DateTime<Utc>>,
    /// Null for a shared or split line.
    pub end_at: Option<DateTime<Utc>>,
    /// The tenant's part; negative for credits.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub amount: Decimal,
    /// `whole`; `split` between tenants by time; or `shared`: the tenant's part of shared costs, by
    /// the month's allocation rule.
    pub share: String,
    /// The name of the project at billing time; null unless the project was the tenant's.
    pub project_name: Option<String>,
    pub category: Option<String>,
    /// `product_charges`, `overages`, `taxes` or `credits_and_adjustments`.
    pub part: Option<String>,
    /// The name in the description or the group; null as for these.
    pub resource_name: Option<String>,
    /// The region in the description; null as for the description.
    pub region: Option<String>,
    /// The size in the description; null as for the description.
    pub size: Option<String>,
    /// The matched resource, if it is the tenant's now.
    pub resource_id: Option<Uuid>,
}

/// A filter of the tenant's lines of one month.
#[derive(Debug, Clone)]
pub struct OwnLineFilter {
    /// The first of the month.
    pub period: NaiveDate,
    pub kind: Option<String>,
}

impl Store {
    /// Lists the tenant's parts of the lines of a month, in the order of the files. `shared` has
    /// its parts of the shared lines. `after` is the `id` of the last line of the previous page.
    pub async fn own_cost_lines(
        &self,
        tenant: &TenantId,
        filter: &OwnLineFilter,
        shared: &SharedParts,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<OwnCostLine>, StoreError> {
        let after = match after {
            Some(id) => Some(self.place_of_line(id).await?),
            None => None,
        };
        let lines = sqlx::query_as!(
            OwnCostLine,
            r#"
            select line.id as "id!", line.estimate_id is not null as "is_estimate!", line.bill_period as "period!",
                line.product as "product!", line.kind,
                case when shown.has_group then line.group_description end as group_description,
                case when shown.has_text then line.description end as description,
                case when shown.is_whole then line.hours end as hours,
                case when shown.is_whole then line.start_at end as start_at,
                case when shown.is_whole then line.end_at end as end_at,
                case when line.is_shared then shared.part when line.is_split then split.amount else line.amount end as "amount!",
                case when line.is_shared then 'shared' when line.is_split then 'split' else 'whole' end as "share!",
                case when not line.is_shared then project.name end as project_name,
                line.category, line.part,
                case when shown.has_text and (shown.has_group or not line.is_named_by_group) then line.resource_name end as resource_name,
                case when shown.has_text then line.described_region end as region,
                case when shown.has_text then line.described_size end as size,
                case when shown.has_resource then line.resource_id end as resource_id
            from (
                select distinct bill_id from cloud_cost_totals where period = $2 and (tenant_id = $1 or is_shared)
            ) listed
            left join cloud_invoices invoice on invoice.id = listed.bill_id
            cross join lateral (select coalesce(invoice.invoice_uuid, listed.bill_id) as id) bill
            cross join lateral (
                (select * from cloud_cost_lines
                 where invoice_id = listed.bill_id and line_no > case when bill.id = $6 then $7 else 0 end
                   and bill_period = $2 and ($3::text is null or kind = $3)
                   and (tenant_id = $1 or (is_shared and id = any($4::uuid[])) or (is_split and exists (
                       select 1 from cloud_cost_line_shares own where own.line_id = id and own.tenant_id = $1)))
                 order by line_no limit $8)
                union all
                (select * from cloud_cost_lines
                 where estimate_id = listed.bill_id and line_no > case when bill.id = $6 then $7 else 0 end
                   and bill_period = $2 and ($3::text is null or kind = $3)
                   and (tenant_id = $1 or (is_shared and id = any($4::uuid[])) or (is_split and exists (
                       select 1 from cloud_cost_line_shares own where own.line_id = id and own.tenant_id = $1)))
                 order by line_no limit $8)
            ) line
            left join cloud_cost_line_shares split on split.line_id = line.id and split.tenant_id = $1
            left join unnest($4::uuid[], $5::numeric[]) shared (line_id, part) on shared.line_id = line.id
            left join cloud_tenant_project_names project on project.tenant_id = $1 and project.name = line.project_name
            left join cloud_resources resource on resource.id = line.resource_id
            left join cloud_resources parent on parent.id = resource.parent_id
            cross join lateral (
                select not (line.is_shared or line.is_split) as is_whole,
                    not line.is_shared and coalesce(resource.tenant_id = $1, false) as has_resource,
                    resource.parent_id is null or coalesce(parent.tenant_id = $1, false) as has_parent
            ) known
            cross join lateral (
                select known.is_whole, known.has_resource, known.is_whole or known.has_resource as has_text,
                    (known.is_whole or known.has_resource) and known.has_parent as has_group
            ) shown
            where $6::uuid is null or bill.id >= $6
            order by bill.id, line.line_no limit $8
            "#,
            tenant.as_str(),
            filter.period,
            filter.kind,
            &shared.lines,
            &shared.parts,
            after.map(|(bill, _)| bill),
            after.map_or(0, |(_, line_no)| line_no),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(lines)
    }

    /// Returns the bill of a line, and its position in the file.
    async fn place_of_line(&self, id: Uuid) -> Result<(Uuid, i32), StoreError> {
        let place = sqlx::query!(
            r#"select coalesce(invoice.invoice_uuid, line.estimate_id) as "bill!", line.line_no
               from cloud_cost_lines line left join cloud_invoices invoice on invoice.id = line.invoice_id
               where line.id = $1"#,
            id,
        )
        .fetch_optional(&self.pool)
        .await?;
        place
            .map(|place| (place.bill, place.line_no))
            .ok_or(StoreError::NotFound {
                entity: "cost line",
                id,
            })
    }

    /// Returns the number and the total of the tenant's parts on all pages.
    pub async fn own_cost_line_total(
        &self,
        tenant: &TenantId,
        filter: &OwnLineFilter,
        shared: &SharedParts,
    ) -> Result<CostLineTotal, StoreError> {
        let total = sqlx::query_as!(
            CostLineTotal,
            r#"select coalesce(sum(parts), 0)::bigint as "count!", coalesce(sum(amount), 0) as "amount!",
                   coalesce(sum(amount), 0) as "attributed!" from (
                   select parts, amount from cloud_cost_totals
                   where tenant_id = $1 and not is_shared and period = $2 and ($3::text is null or kind = $3)
                   union all
                   select 1, shared.part from unnest($4::uuid[], $5::numeric[]) shared (line_id, part)
                   join cloud_cost_lines line on line.id = shared.line_id
                   where $3::text is null or line.kind = $3
               ) own"#,
            tenant.as_str(),
            filter.period,
            filter.kind,
            &shared.lines,
            &shared.parts,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(total)
    }
}
