//! The rows of Invoice Detail and Billing Period.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::charge::Category;
use super::line::{Account, Period};
use crate::invoices::ChargePart;

/// The properties that the charges of one row of Invoice Detail have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DetailKey<'a> {
    pub part: ChargePart,
    pub product: Cow<'a, str>,
    pub category: Category,
}

impl DetailKey<'_> {
    /// Returns the id of the row in Invoice Detail, by the id of its invoice.
    pub(super) fn id(&self, invoice: &str) -> String {
        let (part, category) = (self.part.as_str(), self.category.as_str());
        format!("{invoice}:{part}:{}:{category}", self.product)
    }
}

/// A row of Invoice Detail: the charges of an invoice for one product in one category. USD.
#[derive(Debug, Clone)]
pub struct InvoiceDetail {
    pub(super) account_id: String,
    pub(super) month: Period,
    pub(super) invoice_id: String,
    pub(super) id: String,
    pub(super) key: DetailKey<'static>,
    pub(super) grain: String,
    pub(super) billed_cost: Decimal,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) issued_at: DateTime<Utc>,
}

/// The facts of an invoice for its rows.
#[derive(Debug, Clone)]
pub struct InvoiceFacts<'a> {
    pub account: &'a Account,
    /// The first of the month.
    pub period: NaiveDate,
    pub uuid: Uuid,
    /// When its first and its current version were stored.
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// When DigitalOcean issued it; none if the billing history does not state it.
    pub issued_at: Option<DateTime<Utc>>,
}

impl InvoiceDetail {
    /// Returns the row of the charges with a key; `billed_cost` is their total.
    pub fn new(of: &InvoiceFacts<'_>, key: DetailKey<'static>, billed_cost: Decimal) -> Self {
        let month = Period::month(of.period);
        let invoice_id = of.uuid.to_string();
        let (part, product) = (key.part.as_str(), &key.product);
        let grain = serde_json::json!({ "x_ChargePart": part, "x_Product": product });
        Self {
            account_id: of.account.id(),
            id: key.id(&invoice_id),
            grain: grain.to_string(),
            key,
            invoice_id,
            billed_cost,
            created_at: of.created_at,
            updated_at: of.updated_at.max(of.created_at),
            // DigitalOcean issues an invoice when its month ends, or earlier at a threshold.
            issued_at: of.issued_at.unwrap_or_else(|| month.end.min(of.created_at)),
            month,
        }
    }
}

/// `BillingPeriodStatus`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeriodStatus {
    Open,
    Closed,
}

impl PeriodStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::Closed => "Closed",
        }
    }
}

/// A row of Billing Period.
#[derive(Debug, Clone)]
pub struct BillingPeriod {
    pub(super) month: Period,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) status: PeriodStatus,
}

impl BillingPeriod {
    /// Returns the row of a month.
    pub fn new(period: NaiveDate, updated_at: DateTime<Utc>, status: PeriodStatus) -> Self {
        let month = Period::month(period);
        Self {
            // The period exists from its start on.
            updated_at: updated_at.max(month.start),
            month,
            status,
        }
    }
}
