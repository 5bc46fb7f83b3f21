//! Entries of the account's billing history: charges, payments and credits.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::ids::InvoiceUuid;

/// One entry of the billing history (`GET /v2/customers/my/billing_history`). It has no id: two
/// entries can be equal in every field (spec).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BillingEntry {
    pub description: String,
    /// USD; negative for payments and credits.
    pub amount: Decimal,
    /// The number printed on the invoice; only entries for invoices have one.
    pub invoice_id: Option<String>,
    /// Only entries for invoices have one. None if the text is not a uuid (rule of ours): the
    /// spec's own example has a word there.
    pub invoice_uuid: Option<InvoiceUuid>,
    pub date: DateTime<Utc>,
    /// `Invoice`, `Payment`, `Credit` ... (spec: `type`); kept open.
    pub entry_type: String,
}
