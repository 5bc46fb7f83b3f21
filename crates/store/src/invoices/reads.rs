//! Invoices and lines as they are read.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{Store, StoreError};

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
    pub line_count: Option<i32>,
    pub line_total: Option<Decimal>,
    pub reconciled: Option<bool>,
    pub off_by: Option<Decimal>,
    pub last_error: Option<String>,
}

/// Where a page of invoices ended.
#[derive(Debug, Clone, Copy)]
pub struct AfterInvoice {
    pub period: NaiveDate,
    pub invoice_uuid: Uuid,
}

/// A line of an invoice as it is stored; the amount in USD.
#[derive(Debug, Clone, PartialEq)]
pub struct CostLine {
    pub id: Uuid,
    /// The row of the invoice, as `invoice_uuid` is DigitalOcean's name for it.
    pub invoice_id: Uuid,
    pub invoice_uuid: Uuid,
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
    pub resource_name: Option<String>,
    pub resource_id: Option<Uuid>,
    pub match_rule: String,
    pub tenant_id: Option<String>,
}

/// Which lines: those of one month's invoices, of one kind where it is given.
#[derive(Debug, Clone)]
pub struct CostLineFilter {
    /// The first of the month.
    pub period: NaiveDate,
    pub kind: Option<String>,
}

/// Where a page of lines ended.
#[derive(Debug, Clone, Copy)]
pub struct AfterLine {
    pub invoice_uuid: Uuid,
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
        let invoices = sqlx::query_as!(
            Invoice,
            "select id, provider, invoice_uuid, invoice_id, period, amount, ingest_status, ingested_at, line_count, line_total,
                 reconciled, off_by, last_error
             from cloud_invoices
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
        sqlx::query_as!(
            Invoice,
            "select id, provider, invoice_uuid, invoice_id, period, amount, ingest_status, ingested_at, line_count, line_total,
                 reconciled, off_by, last_error
             from cloud_invoices where invoice_uuid = $1",
            invoice_uuid,
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(StoreError::NotFound { what: "invoice", id: invoice_uuid })
    }

    /// The lines of a month's invoices, in the order of the files.
    pub async fn cost_lines(
        &self,
        filter: &CostLineFilter,
        after: Option<AfterLine>,
        limit: i64,
    ) -> Result<Vec<CostLine>, StoreError> {
        let lines = sqlx::query_as!(
            CostLine,
            "select line.id, line.invoice_id, invoice.invoice_uuid, invoice.period, line.line_no, line.product, line.kind, line.group_description,
                 line.description, line.hours, line.start_at, line.end_at, line.amount, line.project_name, line.category,
                 line.resource_name, line.resource_id, line.match_rule, line.tenant_id
             from cloud_cost_lines line join cloud_invoices invoice on invoice.id = line.invoice_id
             where invoice.period = $1
               and ($2::text is null or line.kind = $2)
               and ($3::uuid is null or (invoice.invoice_uuid, line.line_no) > ($3, $4))
             order by invoice.invoice_uuid, line.line_no limit $5",
            filter.period,
            filter.kind,
            after.map(|after| after.invoice_uuid),
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
               from cloud_cost_lines line join cloud_invoices invoice on invoice.id = line.invoice_id
               where invoice.period = $1 and ($2::text is null or line.kind = $2)"#,
            filter.period,
            filter.kind,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(total)
    }
}
