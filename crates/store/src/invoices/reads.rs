//! Invoices as they are read.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use uuid::Uuid;

use crate::{Store, StoreError, usd};

/// Queries invoices: the one list of the columns of [`Invoice`].
macro_rules! query_invoices {
    ($rest:tt $($arguments:tt)*) => {
        sqlx::query_as!(
            Invoice,
            r#"select id, provider, invoice_uuid, invoice_id, period, amount, ingest_status,
                 ingested_at, checked_at, verified_at, check_failed_since, last_check_error,
                 missing_since is not null as "is_withdrawn!", missing_since, line_count,
                 line_total, reconciled, off_by, summary_amount, summary_off_by, is_final,
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
    /// DigitalOcean's id of it.
    pub invoice_uuid: Uuid,
    /// The number printed on it.
    pub invoice_id: Option<String>,
    /// The first of the month it is for.
    pub period: NaiveDate,
    /// Its own total.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub amount: Decimal,
    /// `pending`, `ingested` or `failed`: whether its lines are here. A check that fails later
    /// leaves `ingested` as it is.
    pub ingest_status: String,
    pub ingested_at: Option<DateTime<Utc>>,
    /// When its documents were last asked for, with success or without.
    pub checked_at: Option<DateTime<Utc>>,
    /// When its documents were last read and agreed with the lines and sums that are stored.
    pub verified_at: Option<DateTime<Utc>>,
    /// Since when it could not be verified: the first check that failed since `verified_at`. Null
    /// while the last check succeeded.
    pub check_failed_since: Option<DateTime<Utc>>,
    /// Why the last check failed; null while the last check succeeded.
    pub last_check_error: Option<String>,
    /// Whether DigitalOcean no longer lists it. Its lines count as before, and its month is not
    /// final.
    pub is_withdrawn: bool,
    /// When the first complete list began that lacks it; null while it is listed.
    pub missing_since: Option<DateTime<Utc>>,
    pub line_count: Option<i32>,
    #[serde(serialize_with = "usd::serialize_optional")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<usd::Usd>))]
    pub line_total: Option<Decimal>,
    /// Whether the lines total the amount that the invoice states.
    pub reconciled: Option<bool>,
    /// `amount` less `line_total`.
    #[serde(serialize_with = "usd::serialize_optional")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<usd::Usd>))]
    pub off_by: Option<Decimal>,
    /// The total of its summary; null where there is none.
    #[serde(serialize_with = "usd::serialize_optional")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<usd::Usd>))]
    pub summary_amount: Option<Decimal>,
    /// `amount` less `summary_amount`.
    #[serde(serialize_with = "usd::serialize_optional")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<usd::Usd>))]
    pub summary_off_by: Option<Decimal>,
    /// Whether it was proven: its lines are here, and every sum agreed with every other when its
    /// documents were last read in full. A check that fails later does not unset it; another amount
    /// in DigitalOcean's list does.
    pub is_final: bool,
    /// 0 before its lines are here, then 1; every correction counts up.
    pub version: i32,
    /// What its lines were read from: `csv+items`, `csv` or `items`. Only the CSV has categories,
    /// only the items resources' ids.
    pub sources: Option<String>,
    /// Why not from both.
    pub source_note: Option<String>,
    /// How many rows of the CSV have no item; null where there were not both.
    pub rows_without_item: Option<i32>,
    /// How many items have no row in the CSV; null where there were not both.
    pub items_without_row: Option<i32>,
    /// Why it is `failed`; null of an invoice that is `ingested`, whose failed checks are in
    /// `last_check_error`.
    pub last_error: Option<String>,
}

/// One of the four sums of an invoice; USD.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InvoicePart {
    /// `product_charges`, `overages`, `taxes` or `credits_and_adjustments`.
    pub part: String,
    /// By the summary; null where it does not state it.
    #[serde(serialize_with = "usd::serialize_optional")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<usd::Usd>))]
    pub stated: Option<Decimal>,
    /// What the lines of this part come to.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub lines: Decimal,
    /// `stated` less `lines`.
    #[serde(serialize_with = "usd::serialize_optional")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<usd::Usd>))]
    pub off_by: Option<Decimal>,
    /// Whether the two agree; null where nothing is stated.
    pub reconciled: Option<bool>,
}

/// What an invoice was from one correction to the next; amounts in USD.
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
    /// When the next version came; null for the one that counts.
    pub superseded_at: Option<DateTime<Utc>>,
}

/// Where a page of invoices ended.
#[derive(Debug, Clone, Copy)]
pub struct AfterInvoice {
    pub period: NaiveDate,
    pub invoice_uuid: Uuid,
}

impl Store {
    /// Invoices, the newest period first.
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
                what: "invoice",
                id: invoice_uuid,
            })
    }

    /// The four sums of an invoice.
    pub async fn invoice_parts(&self, invoice: Uuid) -> Result<Vec<InvoicePart>, StoreError> {
        let parts = sqlx::query_as!(
            InvoicePart,
            "select part, stated, lines, off_by, off_by = 0 as reconciled from cloud_invoice_parts where invoice_id = $1 order by part",
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
}
