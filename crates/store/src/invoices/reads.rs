//! Invoices and lines as they are read.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use crate::{Store, StoreError};

/// Queries invoices: the one list of the columns of [`Invoice`].
macro_rules! query_invoices {
    (from $rest:tt $($arguments:tt)*) => {
        sqlx::query_as!(
            Invoice,
            "select id, provider, invoice_uuid, invoice_id, period, amount, ingest_status,
                 ingested_at, checked_at, verified_at, check_failed_since, last_check_error,
                 missing_since, line_count, line_total, reconciled, off_by, summary_amount,
                 summary_off_by, is_final, version, sources, source_note, rows_without_item,
                 items_without_row, last_error from "
                + $rest
            $($arguments)*
        )
    };
}

/// Queries the lines that count, from `cloud_cost_lines line` and `cloud_invoices invoice`: the one
/// list of the columns of [`CostLine`].
macro_rules! query_lines {
    (from $rest:tt $($arguments:tt)*) => {
        sqlx::query_as!(
            CostLine,
            r#"select line.id, line.invoice_id, invoice.invoice_uuid as "invoice_uuid?",
                 line.estimate_id is not null as "is_estimate!", line.bill_period as "period!",
                 line.line_no, line.product, line.kind, line.group_description, line.description,
                 line.hours, line.start_at, line.end_at, line.amount, line.project_name,
                 line.category, line.part, line.resource_name, line.described_region as region,
                 line.described_size as size, line.item_resource_id, line.item_resource_uuid,
                 line.resource_id, line.match_rule, line.match_note, line.match_candidates,
                 line.tenant_id, line.is_shared, line.is_split, line.attributed_by from "#
                + $rest
            $($arguments)*
        )
    };
}

/// An invoice as it is stored; amounts in USD.
#[derive(Debug, Clone, PartialEq)]
pub struct Invoice {
    pub id: Uuid,
    pub provider: String,
    pub invoice_uuid: Uuid,
    pub invoice_id: Option<String>,
    /// The first of the month.
    pub period: NaiveDate,
    pub amount: Decimal,
    pub ingest_status: String,
    pub ingested_at: Option<DateTime<Utc>>,
    pub checked_at: Option<DateTime<Utc>>,
    /// When its documents were last read and agreed with what is stored.
    pub verified_at: Option<DateTime<Utc>>,
    /// When the first check since `verified_at` failed; none while the last one succeeded.
    pub check_failed_since: Option<DateTime<Utc>>,
    pub last_check_error: Option<String>,
    /// When the first complete list began that lacks it; none while it is listed.
    pub missing_since: Option<DateTime<Utc>>,
    pub line_count: Option<i32>,
    pub line_total: Option<Decimal>,
    pub reconciled: Option<bool>,
    pub off_by: Option<Decimal>,
    pub summary_amount: Option<Decimal>,
    pub summary_off_by: Option<Decimal>,
    pub is_final: bool,
    pub version: i32,
    pub sources: Option<String>,
    pub source_note: Option<String>,
    pub rows_without_item: Option<i32>,
    pub items_without_row: Option<i32>,
    pub last_error: Option<String>,
}

/// One of the four sums of an invoice; USD.
#[derive(Debug, Clone, PartialEq)]
pub struct InvoicePart {
    pub part: String,
    /// None where the summary does not state it.
    pub stated: Option<Decimal>,
    pub lines: Decimal,
    /// `stated` less `lines`.
    pub off_by: Option<Decimal>,
}

/// One version of an invoice's lines; USD.
#[derive(Debug, Clone, PartialEq)]
pub struct InvoiceVersion {
    pub version: i32,
    pub amount: Decimal,
    pub line_count: i32,
    pub line_total: Decimal,
    pub ingested_at: DateTime<Utc>,
    /// None for the one that counts.
    pub superseded_at: Option<DateTime<Utc>>,
}

/// Whose how much of a split line is; USD.
#[derive(Debug, Clone, PartialEq)]
pub struct LineShare {
    pub line_id: Uuid,
    pub tenant_id: Option<String>,
    pub amount: Decimal,
}

/// What became of a line after it was stored.
#[derive(Debug, Clone, PartialEq)]
pub struct LineChange {
    /// `{"field": {"before": ..., "after": ...}}`
    pub changes: Value,
    /// `inventory`, `ingest` or `operator`.
    pub cause: String,
    pub changed_by: Option<String>,
    pub changed_at: DateTime<Utc>,
    pub workflow_id: Option<String>,
    pub run_id: Option<String>,
}

/// Where a page of invoices ended.
#[derive(Debug, Clone, Copy)]
pub struct AfterInvoice {
    pub period: NaiveDate,
    pub invoice_uuid: Uuid,
}

/// A line of an invoice or of an estimate as it is stored; the amount in USD.
#[derive(Debug, Clone, PartialEq)]
pub struct CostLine {
    pub id: Uuid,
    /// The row of the invoice, as `invoice_uuid` is DigitalOcean's name for it; none for a line of an estimate.
    pub invoice_id: Option<Uuid>,
    pub invoice_uuid: Option<Uuid>,
    pub is_estimate: bool,
    pub period: NaiveDate,
    pub line_no: i32,
    pub product: String,
    pub kind: Option<String>,
    pub group_description: String,
    pub description: String,
    pub hours: Option<Decimal>,
    pub start_at: Option<DateTime<Utc>>,
    pub end_at: Option<DateTime<Utc>>,
    pub amount: Decimal,
    pub project_name: String,
    pub category: Option<String>,
    pub part: Option<String>,
    pub resource_name: Option<String>,
    pub region: Option<String>,
    pub size: Option<String>,
    /// DigitalOcean's ids, from the JSON item.
    pub item_resource_id: Option<String>,
    pub item_resource_uuid: Option<String>,
    pub resource_id: Option<Uuid>,
    pub match_rule: String,
    pub match_note: Option<String>,
    pub match_candidates: Option<Vec<Uuid>>,
    pub tenant_id: Option<String>,
    pub is_shared: bool,
    pub is_split: bool,
    pub attributed_by: String,
}

/// Which lines: those of one month's invoices, or of its estimate while there is none.
#[derive(Debug, Clone)]
pub struct CostLineFilter {
    /// The first of the month.
    pub period: NaiveDate,
    pub kind: Option<String>,
    /// Matched by one of these; by any where none is given.
    pub match_rules: Vec<String>,
    /// Of these only; what is split among several counts for each.
    pub tenant_id: Option<String>,
    pub resource_id: Option<Uuid>,
}

/// Where a page of lines ended.
#[derive(Debug, Clone, Copy)]
pub struct AfterLine {
    /// The invoice's uuid, or the estimate's id.
    pub bill: Uuid,
    pub line_no: i32,
}

/// What a month's lines come to.
#[derive(Debug, Clone, PartialEq)]
pub struct CostLineTotal {
    pub count: i64,
    pub amount: Decimal,
}

impl Store {
    /// Invoices, the newest period first.
    pub async fn invoices(
        &self,
        after: Option<AfterInvoice>,
        limit: i64,
    ) -> Result<Vec<Invoice>, StoreError> {
        let invoices = query_invoices!(
            from "cloud_invoices
             where $1::date is null or period < $1 or (period = $1 and invoice_uuid > $2)
             order by period desc, invoice_uuid limit $3",
            after.map(|after| after.period),
            after.map(|after| after.invoice_uuid),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(invoices)
    }

    pub async fn invoice(&self, invoice_uuid: Uuid) -> Result<Invoice, StoreError> {
        query_invoices!(
            from "cloud_invoices where invoice_uuid = $1",
            invoice_uuid,
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(StoreError::NotFound {
            what: "invoice",
            id: invoice_uuid,
        })
    }

    /// The four sums of an invoice.
    pub async fn invoice_parts(&self, invoice: Uuid) -> Result<Vec<InvoicePart>, StoreError> {
        let parts = sqlx::query_as!(
            InvoicePart,
            "select part, stated, lines, off_by from cloud_invoice_parts where invoice_id = $1 order by part",
            invoice,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(parts)
    }

    /// The versions of an invoice, the latest first.
    pub async fn invoice_versions(&self, invoice: Uuid) -> Result<Vec<InvoiceVersion>, StoreError> {
        let versions = sqlx::query_as!(
            InvoiceVersion,
            "select version, amount, line_count, line_total, ingested_at, superseded_at
             from cloud_invoice_versions where invoice_id = $1 order by version desc",
            invoice,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(versions)
    }

    /// The lines of a version that counts no longer, in the order of the file.
    pub async fn superseded_lines(
        &self,
        invoice: &Invoice,
        version: i32,
        after_line: i32,
        limit: i64,
    ) -> Result<Vec<CostLine>, StoreError> {
        let lines = sqlx::query_as!(
            CostLine,
            r#"select line.id, line.invoice_id as "invoice_id?", $5::uuid as invoice_uuid, false as "is_estimate!", $6::date as "period!",
                   line.line_no, line.product, line.kind, line.group_description, line.description, line.hours, line.start_at,
                   line.end_at, line.amount, line.project_name, line.category, null::text as part, line.resource_name,
                   null::text as region, null::text as size, line.item_resource_id, line.item_resource_uuid, line.resource_id,
                   line.match_rule, null::text as match_note, null::uuid[] as match_candidates, line.tenant_id,
                   line.match_rule = 'account' as "is_shared!", line.shares is not null as "is_split!", 'none' as "attributed_by!"
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

    /// The lines of a month, in the order of the files.
    pub async fn cost_lines(
        &self,
        filter: &CostLineFilter,
        after: Option<AfterLine>,
        limit: i64,
    ) -> Result<Vec<CostLine>, StoreError> {
        let lines = query_lines!(
            from r#"cloud_cost_lines line left join cloud_invoices invoice on invoice.id = line.invoice_id
             where line.bill_period = $1
               and ($2::text is null or line.kind = $2)
               and (cardinality($3::text[]) = 0 or line.match_rule = any($3))
               and ($4::text is null or line.tenant_id = $4 or (line.is_split and exists (
                   select 1 from cloud_cost_line_shares share where share.line_id = line.id and share.tenant_id = $4)))
               and ($5::uuid is null or line.resource_id = $5)
               and ($6::uuid is null or (coalesce(invoice.invoice_uuid, line.estimate_id), line.line_no) > ($6, $7))
             order by coalesce(invoice.invoice_uuid, line.estimate_id), line.line_no limit $8"#,
            filter.period,
            filter.kind,
            &filter.match_rules,
            filter.tenant_id,
            filter.resource_id,
            after.map(|after| after.bill),
            after.map(|after| after.line_no),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(lines)
    }

    /// How many lines there are and what they come to, over all pages.
    pub async fn cost_line_total(
        &self,
        filter: &CostLineFilter,
    ) -> Result<CostLineTotal, StoreError> {
        let total = sqlx::query_as!(
            CostLineTotal,
            r#"select count(*) as "count!", coalesce(sum(line.amount), 0) as "amount!"
               from cloud_cost_lines line
               where line.bill_period = $1
                 and ($2::text is null or line.kind = $2)
                 and (cardinality($3::text[]) = 0 or line.match_rule = any($3))
                 and ($4::text is null or line.tenant_id = $4 or (line.is_split and exists (
                     select 1 from cloud_cost_line_shares share where share.line_id = line.id and share.tenant_id = $4)))
                 and ($5::uuid is null or line.resource_id = $5)"#,
            filter.period,
            filter.kind,
            &filter.match_rules,
            filter.tenant_id,
            filter.resource_id,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(total)
    }

    /// One line.
    pub async fn cost_line(&self, id: Uuid) -> Result<CostLine, StoreError> {
        query_lines!(
            from r#"cloud_cost_lines line left join cloud_invoices invoice on invoice.id = line.invoice_id
             where line.id = $1"#,
            id,
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(StoreError::NotFound { what: "cost line", id })
    }

    /// Whose how much of these lines is, of those that are split.
    pub async fn line_shares(&self, lines: &[Uuid]) -> Result<Vec<LineShare>, StoreError> {
        let shares = sqlx::query_as!(
            LineShare,
            "select line_id, tenant_id, amount from cloud_cost_line_shares where line_id = any($1)
             order by line_id, tenant_id nulls first",
            lines,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(shares)
    }

    /// Whose how much of these lines was, of those that were split, in a version that counts no longer.
    pub async fn superseded_line_shares(
        &self,
        invoice: Uuid,
        version: i32,
        lines: &[Uuid],
    ) -> Result<Vec<LineShare>, StoreError> {
        let shares = sqlx::query_as!(
            LineShare,
            r#"select line.id as "line_id!", nullif(share.key, '') as tenant_id, share.value::numeric as "amount!"
               from cloud_superseded_cost_lines line cross join lateral jsonb_each_text(line.shares) share
               where line.invoice_id = $1 and line.version = $2 and line.id = any($3)
               order by line.id, share.key"#,
            invoice,
            version,
            lines,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(shares)
    }

    /// What became of a line since it was stored, the latest first; at most 100 changes.
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
