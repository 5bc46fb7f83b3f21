//! Queries of cost lines for one tenant: its part of each line, and nothing of other tenants.

use chrono::{DateTime, NaiveDate, Utc};
use domain::TenantId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::costs::{GroupBy, SharedParts};
use crate::{Store, StoreError, usd};

/// Queries [`OwnCostLine`] from lines with the id of their bill, as `line`. The only list of its
/// columns. `$1` is the tenant; `$2` and `$3` are its parts of shared lines.
macro_rules! query_own_lines {
    ([$($lines:tt)*] $($arguments:tt)*) => {
        sqlx::query_as!(
            OwnCostLine,
            r#"select line.id as "id!", line.estimate_id is not null as "is_estimate!", line.bill_period as "period!",
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
                 case when shown.has_text and (shown.has_group or not line.is_named_by_group) then line.resource_name end
                     as resource_name,
                 case when shown.has_text then line.described_region end as region,
                 case when shown.has_text then line.described_size end as size,
                 case when shown.has_resource then line.resource_id end as resource_id
             from "#
                + $($lines)*
                + r#" line
             left join cloud_cost_line_shares split on split.line_id = line.id and split.tenant_id = $1
             left join unnest($2::uuid[], $3::numeric[]) shared (line_id, part) on shared.line_id = line.id
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
             order by line.bill, line.line_no"#
            $($arguments)*
        )
    };
}

/// Queries [`OwnLineTotal`] of lines, as `line`.
macro_rules! query_own_total {
    ([$($lines:tt)*] $($arguments:tt)*) => {
        sqlx::query_as!(
            OwnLineTotal,
            r#"select count(*) as "count!",
                 coalesce(sum(case when line.is_shared then shared.part when line.is_split then split.amount else line.amount end), 0)
                     as "amount!"
             from "#
                + $($lines)*
            $($arguments)*
        )
    };
}

/// Runs one of the queries above with a filter. The only list of its conditions: `$1` to `$10`, of
/// which the start of the query has `$4`, the month. A condition other than `$10` selects direct
/// costs, so that the lines of a filter total the group of the same name in [`Store::own_costs`].
/// Names and ids that the tenant may not know select nothing.
macro_rules! filtered {
    ($query:ident, $tenant:expr, $filter:expr, $shared:expr, $start:tt, $end:tt $(, $argument:expr)*) => {
        $query!(
            [$start + r#"
                 and (line.tenant_id = $1 or (line.is_shared and line.id = any($2::uuid[])) or (line.is_split and exists (
                     select 1 from cloud_cost_line_shares share where share.line_id = line.id and share.tenant_id = $1)))
                 and (not line.is_shared or num_nonnulls($5::text, $6::text, $7::text, $8::uuid, $9::text) = 0)
                 and ($5::text is null or line.kind = $5)
                 and ($6::text is null or line.product = $6)
                 and ($7::text is null or (line.project_name = $7 and exists (
                     select 1 from cloud_tenant_project_names had where had.tenant_id = $1 and had.name = $7)))
                 and ($8::uuid is null or (line.resource_id = $8 and exists (
                     select 1 from cloud_resources own where own.id = $8 and own.tenant_id = $1)))
                 and ($9::text is null or (not line.is_split
                     and coalesce(line.identified_kind, 'resource') || ':'
                         || coalesce(line.item_resource_uuid, line.item_resource_id) = $9
                     and not exists (
                         select 1 from cloud_resources own where own.id = line.resource_id and own.tenant_id = $1)))
                 and ($10::text is null or line.is_shared or case $10
                     when 'project' then not exists (
                         select 1 from cloud_tenant_project_names had where had.tenant_id = $1 and had.name = line.project_name)
                     when 'kind' then line.kind is null
                     when 'resource' then (line.is_split or num_nonnulls(line.item_resource_uuid, line.item_resource_id) = 0)
                         and not exists (
                             select 1 from cloud_resources own where own.id = line.resource_id and own.tenant_id = $1)
                     else false end) "# + $end],
            $tenant.as_str(),
            &$shared.lines,
            &$shared.parts,
            $filter.period,
            $filter.kind,
            $filter.product,
            $filter.project_name,
            $filter.resource_id,
            $filter.former_resource,
            $filter.without.map(GroupBy::name)
            $(, $argument)*
        )
    };
}

/// The tenant's part of a line of an invoice or of an estimate; the amount in USD.
///
/// The position of the line in the file, its match, and its full amount are omitted: they reveal
/// the costs and the resources of other tenants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// A filter of the tenant's lines of one month. Each condition but `without` selects direct costs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnLineFilter {
    /// The first of the month.
    pub period: NaiveDate,
    pub kind: Option<String>,
    pub product: Option<String>,
    /// The name of the project at billing time, if the project was the tenant's.
    pub project_name: Option<String>,
    /// A resource that is the tenant's now.
    pub resource_id: Option<Uuid>,
    /// A resource that is not the tenant's any more, as `KIND:PROVIDER_ID`: the group of
    /// [`GroupBy::Resource`].
    pub former_resource: Option<String>,
    /// Includes only lines that [`Store::own_costs`] counts as costs without a group in this
    /// dimension: among them, the shared costs.
    pub without: Option<GroupBy>,
}

/// The number and the total of the tenant's parts of lines; USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnLineTotal {
    pub count: i64,
    pub amount: Decimal,
}

/// A part of the charged time in which the resource of a line was the tenant's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OwnSpan {
    pub from: DateTime<Utc>,
    /// Excluded.
    pub to: DateTime<Utc>,
    /// The source of the tenant: `resource`, its project or an override; `project_name`, the
    /// project on the invoice; `first_known`, the first known project of the resource.
    pub attributed_by: &'static str,
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
        let mut tx = self.snapshot().await?;
        let lines = read_own_lines(&mut tx, tenant, filter, shared, after, limit).await?;
        tx.commit().await?;
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
            .ok_or(unknown_line(id))
    }

    /// Returns the tenant's part of a line. A line without a part of the tenant is not found, as if
    /// it did not exist.
    pub async fn own_cost_line(
        &self,
        tenant: &TenantId,
        id: Uuid,
    ) -> Result<OwnCostLine, StoreError> {
        let period = sqlx::query_scalar!(
            r#"select bill_period from cloud_cost_lines line
               where id = $2 and (tenant_id = $1 or is_shared or (is_split and exists (
                   select 1 from cloud_cost_line_shares share where share.line_id = line.id and share.tenant_id = $1)))"#,
            tenant.as_str(),
            id,
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(unknown_line(id))?;
        let shared = self.own_shared_parts(tenant, period).await?;
        query_own_lines!(
            [r#"(select null::uuid as bill, * from cloud_cost_lines
                 where id = $4 and (not is_shared or id = any($2)))"#],
            tenant.as_str(),
            &shared.lines,
            &shared.parts,
            id
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(unknown_line(id))
    }

    /// Lists the parts of the charged time in which the resource of a line was the tenant's, the
    /// earliest first; empty for a shared line.
    pub async fn own_spans(
        &self,
        tenant: &TenantId,
        line: &OwnCostLine,
    ) -> Result<Vec<OwnSpan>, StoreError> {
        let line = self.cost_line(line.id).await?;
        let spans = self.tenant_spans(&line).await?.into_iter();
        Ok(spans
            .filter(|span| span.tenant_id.as_deref() == Some(tenant.as_str()))
            .map(|span| OwnSpan {
                from: span.from,
                to: span.to,
                attributed_by: span.attributed_by,
            })
            .collect())
    }

    /// Returns the number and the total of the tenant's parts on all pages.
    pub async fn own_cost_line_total(
        &self,
        tenant: &TenantId,
        filter: &OwnLineFilter,
        shared: &SharedParts,
    ) -> Result<OwnLineTotal, StoreError> {
        let total = filtered!(
            query_own_total,
            tenant,
            filter,
            shared,
            r#"cloud_cost_lines line
             left join cloud_cost_line_shares split on split.line_id = line.id and split.tenant_id = $1
             left join unnest($2::uuid[], $3::numeric[]) shared (line_id, part) on shared.line_id = line.id
             where line.bill_period = $4"#,
            ""
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(total)
    }
}

/// Reads the lines that [`Store::own_cost_lines`] lists, `after` a bill and a position in its file.
/// Bill by bill, in the order of an index, so that a page of a long month is not sorted.
pub(crate) async fn read_own_lines(
    connection: &mut PgConnection,
    tenant: &TenantId,
    filter: &OwnLineFilter,
    shared: &SharedParts,
    after: Option<(Uuid, i32)>,
    limit: i64,
) -> Result<Vec<OwnCostLine>, StoreError> {
    let lines = filtered!(
        query_own_lines,
        tenant,
        filter,
        shared,
        r#"(select bill.id as bill, line.*
         from (
             select distinct bill_id from cloud_cost_totals where period = $4 and (tenant_id = $1 or is_shared)
         ) listed
         left join cloud_invoices invoice on invoice.id = listed.bill_id
         cross join lateral (select coalesce(invoice.invoice_uuid, listed.bill_id) as id) bill
         cross join lateral (
             select line.* from (
                 select * from cloud_cost_lines
                 where invoice_id = listed.bill_id and line_no > case when bill.id = $11 then $12 else 0 end
                 union all
                 select * from cloud_cost_lines
                 where estimate_id = listed.bill_id and line_no > case when bill.id = $11 then $12 else 0 end
             ) line
             -- In a CASE as in cost_lines.rs.
             where case when line.bill_period = $4 then true end"#,
        r#"order by line.line_no limit $13
         ) line
         where $11::uuid is null or bill.id >= $11
         order by bill.id, line.line_no limit $13)"#,
        after.map(|(bill, _)| bill),
        after.map_or(0, |(_, line_no)| line_no),
        limit
    )
    .fetch_all(connection)
    .await?;
    Ok(lines)
}

fn unknown_line(id: Uuid) -> StoreError {
    StoreError::NotFound {
        entity: "cost line",
        id,
    }
}
