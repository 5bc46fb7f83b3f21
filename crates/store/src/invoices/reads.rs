//! Queries of invoices.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use uuid::Uuid;

use crate::{Store, StoreError, usd};

/// Queries [`Invoice`]. The only list of its columns.
macro_rules! query_invoices {
    ($rest:tt $($arguments:tt)*) => {
        sqlx::query_as!(
            Invoice,
            r#"select id, provider, invoice_uuid, invoice_id, period, amount, ingest_status,
                 ingested_at, checked_at, verified_at, check_failed_since, last_check_error,
                 missing_since is not null as "is_withdrawn!", missing_since, line_count,
                 line_total, reconciled, off_by, summary_amount, summary_off_by, verification, is_final,
                 version, sources, source_note, rows_without_item, items_without_row, last_error
             from cloud_invoices "#
                + $rest
            $($arguments)*
        )
    };
}

/// An invoice; amounts in USD.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Invoice {
    pub id: Uuid,
    pub provider: String,
    /// The invoice's UUID at DigitalOcean.
    pub invoice_uuid: Uuid,
    /// The invoice number on the printed invoice.
    pub invoice_id: Option<String>,
    /// The first of the invoiced month.
    pub period: NaiveDate,
    /// The total that the invoice states.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub amount: Decimal,
    /// `pending` (no lines yet), `ingested` or `failed`. A failed recheck leaves `ingested`
    /// unchanged.
    pub ingest_status: String,
    pub ingested_at: Option<DateTime<Utc>>,
    /// When its documents were last requested, with or without success.
    pub checked_at: Option<DateTime<Utc>>,
    /// When its documents last verified the stored lines; null if they never did.
    pub verified_at: Option<DateTime<Utc>>,
    /// The time of the first failed check since the last successful one; null if the last check
    /// succeeded.
    pub check_failed_since: Option<DateTime<Utc>>,
    /// The error of the last check; null if it succeeded.
    pub last_check_error: Option<String>,
    /// True if DigitalOcean no longer lists the invoice. Its lines still count, but its month is
    /// not final.
    pub is_withdrawn: bool,
    /// When the first complete list without the invoice was begun; null while the invoice is
    /// listed.
    pub missing_since: Option<DateTime<Utc>>,
    pub line_count: Option<i32>,
    #[serde(serialize_with = "usd::serialize_optional")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<usd::Usd>))]
    pub line_total: Option<Decimal>,
    /// True if the lines total the amount that the invoice states.
    pub reconciled: Option<bool>,
    /// `amount` minus `line_total`.
    #[serde(serialize_with = "usd::serialize_optional")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<usd::Usd>))]
    pub off_by: Option<Decimal>,
    /// The total that the summary states; null if there is no summary.
    #[serde(serialize_with = "usd::serialize_optional")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<usd::Usd>))]
    pub summary_amount: Option<Decimal>,
    /// `amount` minus `summary_amount`.
    #[serde(serialize_with = "usd::serialize_optional")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<usd::Usd>))]
    pub summary_off_by: Option<Decimal>,
    /// `verified`: lines, header, summary and the four parts reconcile. `unverified`: no sum
    /// differs, but the summary, one of its parts or the items could not be read. `unreconciled`: a
    /// sum differs. Null until lines of this amount are stored. A later failed check does not
    /// change it; a changed amount in DigitalOcean's list does.
    pub verification: Option<String>,
    /// True if the invoice is `verified` and its month is over: DigitalOcean can issue further
    /// invoices of a month that is not.
    pub is_final: bool,
    /// 0 until the invoice is ingested, then 1; increases with each correction.
    pub version: i32,
    /// The documents from which the lines were read: `csv+items`, `csv` or `items`. Only the CSV
    /// contains categories, only the items contain ids of resources.
    pub sources: Option<String>,
    /// Why the lines were not read from both documents.
    pub source_note: Option<String>,
    /// The number of CSV rows without an item; null if only one document was read.
    pub rows_without_item: Option<i32>,
    /// The number of items without a CSV row; null if only one document was read.
    pub items_without_row: Option<i32>,
    /// Why the invoice is `failed`; null for an `ingested` one. The error of a failed check is in
    /// `last_check_error`.
    pub last_error: Option<String>,
}

/// One of the four totals of an invoice; USD.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InvoicePart {
    /// `product_charges`, `overages`, `taxes` or `credits_and_adjustments`.
    pub part: String,
    /// The amount in the summary; null if the summary does not state it.
    #[serde(serialize_with = "usd::serialize_optional")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<usd::Usd>))]
    pub stated: Option<Decimal>,
    /// The total of the lines of this part.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub lines: Decimal,
    /// `stated` minus `lines`.
    #[serde(serialize_with = "usd::serialize_optional")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<usd::Usd>))]
    pub off_by: Option<Decimal>,
    /// True if the two are equal; null if the summary does not state an amount.
    pub reconciled: Option<bool>,
}

/// A version of an invoice, between two corrections; amounts in USD.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InvoiceVersion {
    pub version: i32,
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub amount: Decimal,
    pub line_count: i32,
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub line_total: Decimal,
    pub ingested_at: DateTime<Utc>,
    /// When the next version was ingested; null for the current version.
    pub superseded_at: Option<DateTime<Utc>>,
}

/// The cursor of a page of invoices.
#[derive(Debug, Clone, Copy)]
pub struct AfterInvoice {
    pub period: NaiveDate,
    pub invoice_uuid: Uuid,
}

impl Store {
    /// Lists invoices, newest month first.
    pub async fn invoices(
        &self,
        after: Option<AfterInvoice>,
        limit: i64,
    ) -> Result<Vec<Invoice>, StoreError> {
        let invoices = query_invoices!(
            "where $1::date is null or period < $1 or (period = $1 and invoice_uuid > $2)
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
        query_invoices!("where invoice_uuid = $1", invoice_uuid,)
            .fetch_optional(&self.pool)
            .await?
            .ok_or(StoreError::NotFound {
                entity: "invoice",
                id: invoice_uuid,
            })
    }

    /// Lists the four totals of an invoice.
    pub async fn invoice_parts(&self, invoice: Uuid) -> Result<Vec<InvoicePart>, StoreError> {
        let mut parts = self.parts_of_invoices(&[invoice]).await?;
        Ok(parts.remove(&invoice).unwrap_or_default())
    }

    /// Lists the four totals of each of these invoices.
    pub async fn parts_of_invoices(
        &self,
        invoices: &[Uuid],
    ) -> Result<BTreeMap<Uuid, Vec<InvoicePart>>, StoreError> {
        let rows = sqlx::query!(
            "select invoice_id, part, stated, lines, off_by, off_by = 0 as reconciled from cloud_invoice_parts
             where invoice_id = any($1) order by invoice_id, part",
            invoices,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut parts: BTreeMap<Uuid, Vec<InvoicePart>> = BTreeMap::new();
        for row in rows {
            parts.entry(row.invoice_id).or_default().push(InvoicePart {
                part: row.part,
                stated: row.stated,
                lines: row.lines,
                off_by: row.off_by,
                reconciled: row.reconciled,
            });
        }
        Ok(parts)
    }

    /// Lists the versions of an invoice, latest first.
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
}
