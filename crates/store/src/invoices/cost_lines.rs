//! Queries of lines of invoices and estimates.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::reads::Invoice;
use crate::costs::GroupBy;
use crate::{Store, StoreError, usd};

/// Queries [`CostLine`] from the current lines, as `line`, and their invoices, as `invoice`. The
/// only list of its columns.
macro_rules! query_lines {
    ([$($rest:tt)*] $($arguments:tt)*) => {
        sqlx::query_as!(
            CostLine,
            r#"select line.id as "id!", line.invoice_id, invoice.invoice_uuid as "invoice_uuid?",
                 line.estimate_id is not null as "is_estimate!", false as "superseded!",
                 line.bill_period as "period!", line.line_no as "line_no!",
                 line.product as "product!", line.kind,
                 line.group_description as "group_description!", line.description as "description!",
                 line.hours, line.start_at, line.end_at, line.amount as "amount!", line.preview_amount,
                 line.project_name as "project_name!", line.category, line.part, line.resource_name,
                 line.described_region as region, line.described_size as size,
                 line.item_resource_id as provider_resource_id,
                 line.item_resource_uuid as provider_resource_uuid, line.resource_id,
                 line.match_rule as "match_rule!", line.match_note, line.match_candidates,
                 line.is_shared as "is_shared!", line.tenant_id,
                 case when line.is_split then (
                     select coalesce(jsonb_agg(
                         jsonb_build_object('tenant_id', share.tenant_id, 'amount', share.amount::text)
                         order by share.tenant_id nulls first), '[]')
                     from cloud_cost_line_shares share where share.line_id = line.id
                 ) end as "shares: Json<Vec<Share>>",
                 line.attributed_by as "attributed_by?"
             from "#
                + $($rest)*
            $($arguments)*
        )
    };
}

/// Queries [`CostLineTotal`] of lines, as `line`. Of a split line, the part of the tenant in `$4`
/// is attributed, or the unallocated part if `$9` is `tenant`.
macro_rules! query_total {
    ([$($rest:tt)*] $($arguments:tt)*) => {
        sqlx::query_as!(
            CostLineTotal,
            r#"select count(*) as "count!", coalesce(sum(line.amount), 0) as "amount!",
                 coalesce(sum(case when line.is_split and ($4::text is not null or $9::text = 'tenant')
                     then (select share.amount from cloud_cost_line_shares share
                           where share.line_id = line.id and share.tenant_id is not distinct from $4)
                     else line.amount end), 0) as "attributed!"
             from "#
                + $($rest)*
            $($arguments)*
        )
    };
}

/// Passes the conditions of a filter to a macro. The only list of them: `$2` to `$9`; the query has
/// that of `$1`, the month.
macro_rules! with_conditions {
    ($with:ident, ($($rest:tt)*)) => {
        $with!(
            r#"
            and ($2::text is null or line.kind = $2)
            and (cardinality($3::text[]) = 0 or line.match_rule = any($3))
            and ($4::text is null or line.tenant_id = $4 or (line.is_split and exists (
                select 1 from cloud_cost_line_shares share where share.line_id = line.id and share.tenant_id = $4)))
            and ($5::uuid is null or line.resource_id = $5)
            and ($6::text is null or line.resource_group = $6)
            and ($7::text is null or line.product = $7)
            and ($8::text is null or line.project_name = $8)
            and ($9::text is null or case $9
                when 'tenant' then line.tenant_id is null and not line.is_shared and (not line.is_split or exists (
                    select 1 from cloud_cost_line_shares share where share.line_id = line.id and share.tenant_id is null))
                when 'project' then line.project_name = ''
                when 'kind' then line.kind is null
                when 'resource' then line.resource_id is null and line.match_rule <> 'historic'
                else false end) "#,
            $($rest)*
        )
    };
}

/// Runs one of the queries above with a filter.
macro_rules! filtered {
    ($query:ident, $filter:expr, $start:tt, $end:tt $(, $argument:expr)*) => {
        with_conditions!(filtered_once, ($query, $filter, $start, $end $(, $argument)*))
    };
}

macro_rules! filtered_once {
    ($conditions:tt, $query:ident, $filter:expr, $start:tt, $end:tt $(, $argument:expr)*) => {
        bound!($query, [$start + $conditions + $end], $filter $(, $argument)*)
    };
}

/// Runs one of the queries above with a filter in two places.
macro_rules! filtered_twice {
    ($conditions:tt, $query:ident, $filter:expr, $start:tt, $middle:tt, $end:tt $(, $argument:expr)*) => {
        bound!($query, [$start + $conditions + $middle + $conditions + $end], $filter $(, $argument)*)
    };
}

macro_rules! bound {
    ($query:ident, $sql:tt, $filter:expr $(, $argument:expr)*) => {
        $query!(
            $sql,
            $filter.period,
            $filter.kind,
            &$filter.match_rules,
            $filter.tenant_id,
            $filter.resource_id,
            $filter.historic_resource,
            $filter.product,
            $filter.project_name,
            $filter.without.map(GroupBy::name)
            $(, $argument)*
        )
    };
}

/// One tenant's share of a line; USD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Share {
    /// Null for unallocated costs.
    pub tenant_id: Option<String>,
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub amount: Decimal,
}

/// A change of a stored line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LineChange {
    /// `{"field": {"before": ..., "after": ...}}`
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub changes: Value,
    /// `inventory` (a sync changed resources or projects), `ingest` (an unchanged invoice was read
    /// again, an invoice moved to another month, or a correction moved an override) or `operator`
    /// (an override or an assignment).
    pub cause: String,
    /// The name of the operator's access token; null for other causes.
    pub changed_by: Option<String>,
    pub changed_at: DateTime<Utc>,
    /// The Temporal workflow of a sync that changed the line, if known; null for other causes.
    pub workflow_id: Option<String>,
    pub run_id: Option<String>,
}

/// A line of an invoice or of an estimate; the amount in USD.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CostLine {
    pub id: Uuid,
    /// `id` of the invoice; null for a line of an estimate.
    pub invoice_id: Option<Uuid>,
    /// `invoice_uuid` of the invoice; null for a line of an estimate.
    pub invoice_uuid: Option<Uuid>,
    /// True for a line of the open month's estimate, which the invoice will replace.
    pub is_estimate: bool,
    /// True if a correction of the invoice removed the line; it no longer counts.
    pub superseded: bool,
    /// The first of the month.
    pub period: NaiveDate,
    /// The position in the file; the first line is 1.
    pub line_no: i32,
    pub product: String,
    /// The kind of the billed resource; null if there is none or the product is unknown.
    pub kind: Option<String>,
    pub group_description: String,
    pub description: String,
    pub hours: Option<Decimal>,
    pub start_at: Option<DateTime<Utc>>,
    pub end_at: Option<DateTime<Utc>>,
    /// Negative for credits.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub amount: Decimal,
    /// The amount in DigitalOcean's preview, if invoices of the running month charge a part of it
    /// already; `amount` is the rest. Null for every other line.
    #[serde(serialize_with = "usd::serialize_optional")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<usd::Usd>))]
    pub preview_amount: Option<Decimal>,
    /// The name of the project at billing time.
    pub project_name: String,
    pub category: Option<String>,
    /// `product_charges`, `overages`, `taxes` or `credits_and_adjustments`; null for a superseded
    /// line.
    pub part: Option<String>,
    /// The name in the description or the group.
    pub resource_name: Option<String>,
    /// The region in the description.
    pub region: Option<String>,
    /// The size in the description.
    pub size: Option<String>,
    /// DigitalOcean's numeric id of the resource.
    pub provider_resource_id: Option<String>,
    /// DigitalOcean's UUID of the resource.
    pub provider_resource_uuid: Option<String>,
    /// The matched resource; null if there is none.
    pub resource_id: Option<Uuid>,
    /// The rule that matched the line, most reliable first: `operator`; `uuid` and `id`, from
    /// DigitalOcean; `group`; `name`, together with kind, region or size, and lifetime; `project`,
    /// if only one of several candidates was in the project on the line; `historic`, for an id of
    /// DigitalOcean that the mirror has not observed, usually of a resource that was deleted before
    /// the first sync; `account`, for a charge without a resource; `ambiguous`; `unmatched`.
    pub match_rule: String,
    /// An explanation, if the rule alone is not sufficient.
    pub match_note: Option<String>,
    /// The `id` of each resource with the name on the line, for `ambiguous` lines and those matched
    /// by `project`.
    pub match_candidates: Option<Vec<Uuid>>,
    /// True for a shared cost, which has no resource.
    pub is_shared: bool,
    /// The tenant; null for an unallocated, shared or split line.
    pub tenant_id: Option<String>,
    /// The shares of a line that is split between tenants by time; they total the amount of the
    /// line. Null for every other line.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<Share>>))]
    pub shares: Option<Json<Vec<Share>>>,
    /// The source of the tenant: `resource`, `project_name`, `first_known`, `none` or `shared`;
    /// null for a superseded line.
    pub attributed_by: Option<String>,
}

/// A filter of the lines of one month's invoices and of its open estimate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CostLineFilter {
    /// The first of the month.
    pub period: NaiveDate,
    pub kind: Option<String>,
    /// The match rules to include; empty for all.
    pub match_rules: Vec<String>,
    /// Includes lines that are split between this tenant and others.
    pub tenant_id: Option<String>,
    pub resource_id: Option<Uuid>,
    /// A resource that the mirror has not observed, as `KIND:PROVIDER_ID`: the group of
    /// [`GroupBy::Resource`].
    pub historic_resource: Option<String>,
    pub product: Option<String>,
    /// The name of the project on the bill.
    pub project_name: Option<String>,
    /// Includes only lines that [`Store::costs`] counts as costs without a group in this dimension.
    pub without: Option<GroupBy>,
}

/// The cursor of a page of lines.
#[derive(Debug, Clone, Copy)]
pub struct AfterLine {
    /// The UUID of the invoice, or the id of the estimate.
    pub bill: Uuid,
    pub line_no: i32,
}

/// The number and the total of a month's lines; USD.
#[derive(Debug, Clone, PartialEq)]
pub struct CostLineTotal {
    pub count: i64,
    /// The total with the full amount of split lines.
    pub amount: Decimal,
    /// With a tenant in the filter, or without one, the total of that tenant's parts of the lines;
    /// otherwise `amount`.
    pub attributed: Decimal,
}

impl Store {
    /// Lists the lines of a superseded version, in the order of the file.
    pub async fn superseded_lines(
        &self,
        invoice: &Invoice,
        version: i32,
        after_line: i32,
        limit: i64,
    ) -> Result<Vec<CostLine>, StoreError> {
        let lines = sqlx::query_as!(
            CostLine,
            r#"select line.id, line.invoice_id as "invoice_id?", $5::uuid as invoice_uuid, false as "is_estimate!",
                   true as "superseded!", $6::date as "period!", line.line_no, line.product, line.kind, line.group_description,
                   line.description, line.hours, line.start_at, line.end_at, line.amount, null::numeric as preview_amount,
                   line.project_name, line.category, null::text as part, line.resource_name, null::text as region, null::text as size,
                   line.item_resource_id as provider_resource_id, line.item_resource_uuid as provider_resource_uuid,
                   line.resource_id, line.match_rule, null::text as match_note, null::uuid[] as match_candidates,
                   line.match_rule = 'account' or (line.match_rule = 'operator' and line.resource_id is null) as "is_shared!",
                   line.tenant_id,
                   case when line.shares is not null then (
                       select coalesce(jsonb_agg(
                           jsonb_build_object('tenant_id', nullif(share.key, ''), 'amount', share.value)
                           order by share.key), '[]')
                       from jsonb_each_text(line.shares) share
                   ) end as "shares: Json<Vec<Share>>",
                   null::text as attributed_by
               from cloud_superseded_cost_lines line
               where line.invoice_id = $1 and line.version = $2 and line.line_no > $3
               order by line.line_no limit $4"#,
            invoice.id,
            version,
            after_line,
            limit,
            invoice.invoice_uuid,
            invoice.period,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(lines)
    }

    /// Lists the lines of a month, in the order of the files.
    pub async fn cost_lines(
        &self,
        filter: &CostLineFilter,
        after: Option<AfterLine>,
        limit: i64,
    ) -> Result<Vec<CostLine>, StoreError> {
        // Bill by bill, in the order of the two indexes, so that a page of a long month is not
        // sorted. Bills without a total of the filter have none of its lines. The month is in a
        // CASE, because PostgreSQL would combine its index with that of the bill, and sort.
        let mut tx = self.snapshot().await?;
        let lines = with_conditions!(
            filtered_twice,
            (
                query_lines,
                filter,
                r#"(select distinct bill_id from cloud_cost_totals where period = $1
                   and ($2::text is null or kind = $2)
                   and (cardinality($3::text[]) = 0 or match_rule is null or match_rule = any($3))
                   and ($4::text is null or tenant_id = $4)
                   and ($7::text is null or product = $7)
                   and ($8::text is null or project_name = $8)
                   and ($9::text is distinct from 'tenant' or (tenant_id is null and not is_shared))
             ) listed
             left join cloud_invoices invoice on invoice.id = listed.bill_id
             cross join lateral (select coalesce(invoice.invoice_uuid, listed.bill_id) as id) bill
             cross join lateral (
                 (select * from cloud_cost_lines line
                 where line.invoice_id = listed.bill_id and line.line_no > case when bill.id = $10 then $11 else 0 end
                 and case when line.bill_period = $1 then true end"#,
                r#"order by line.line_no limit $12)
                 union all
                 (select * from cloud_cost_lines line
                 where line.estimate_id = listed.bill_id and line.line_no > case when bill.id = $10 then $11 else 0 end
                 and case when line.bill_period = $1 then true end"#,
                r#"order by line.line_no limit $12)
             ) line
             where $10::uuid is null or bill.id >= $10
             order by bill.id, line.line_no limit $12"#,
                after.map(|after| after.bill),
                after.map_or(0, |after| after.line_no),
                limit
            )
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(lines)
    }

    /// Returns a text that changes when lines of the month are added, removed or renumbered.
    pub async fn lines_version(&self, period: NaiveDate) -> Result<String, StoreError> {
        let version = sqlx::query_scalar!(
            r#"select coalesce(string_agg(version, ' ' order by version), '') as "version!" from (
                   select concat_ws(':', id, version, encode(lines_sha256, 'hex')) from cloud_invoices
                   where id in (select bill_id from cloud_cost_totals where period = $1)
                   union all
                   select id || ':' || state || encode(lines_sha256, 'hex') from cloud_estimates where period = $1
               ) bill (version)"#,
            period,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(version)
    }

    /// Returns the number and the total of the lines on all pages, from the maintained totals.
    pub async fn cost_line_total(
        &self,
        filter: &CostLineFilter,
    ) -> Result<CostLineTotal, StoreError> {
        let mut tx = self.snapshot().await?;
        if filter.resource_id.is_some() || filter.historic_resource.is_some() {
            let total = filtered!(
                query_total,
                filter,
                "cloud_cost_lines line where line.bill_period = $1",
                ""
            )
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            return Ok(total);
        }
        // Shares have totals too, but these do not contain the number of their lines.
        let split = filtered!(
            query_total,
            filter,
            "cloud_cost_lines line where line.bill_period = $1",
            " and line.is_split"
        )
        .fetch_one(&mut *tx)
        .await?;
        let whole = sqlx::query!(
            r#"select coalesce(sum(line_and_share_count), 0)::bigint as "count!", coalesce(sum(amount), 0) as "amount!"
               from cloud_cost_totals
               where period = $1 and match_rule is not null
                 and ($2::text is null or kind = $2)
                 and (cardinality($3::text[]) = 0 or match_rule = any($3))
                 and ($4::text is null or tenant_id = $4)
                 and ($5::text is null or product = $5)
                 and ($6::text is null or project_name = $6)
                 and ($7::text is null or case $7
                     when 'tenant' then tenant_id is null and not is_shared
                     when 'project' then project_name = ''
                     when 'kind' then kind is null
                     when 'resource' then is_shared or match_rule in ('ambiguous', 'unmatched')
                     else false end)"#,
            filter.period,
            filter.kind,
            &filter.match_rules,
            filter.tenant_id,
            filter.product,
            filter.project_name,
            filter.without.map(GroupBy::name),
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(CostLineTotal {
            count: whole.count + split.count,
            amount: whole.amount + split.amount,
            attributed: whole.amount + split.attributed,
        })
    }

    /// Returns a line.
    pub async fn cost_line(&self, id: Uuid) -> Result<CostLine, StoreError> {
        query_lines!(
            [r#"cloud_cost_lines line left join cloud_invoices invoice on invoice.id = line.invoice_id
             where line.id = $1"#],
            id
        )
            .fetch_optional(&self.pool)
            .await?
            .ok_or(StoreError::NotFound {
                entity: "cost line",
                id,
            })
    }

    /// Lists the changes of a stored line, latest first, at most 100.
    pub async fn line_changes(&self, line: Uuid) -> Result<Vec<LineChange>, StoreError> {
        let changes = sqlx::query_as!(
            LineChange,
            "select changes, cause, changed_by, changed_at, workflow_id, run_id
             from cloud_cost_line_changes where line_id = $1 order by id desc limit 100",
            line,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(changes)
    }
}
