//! What an account was charged, paid and was credited.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::ids::InvoiceUuid;

/// One entry of the billing history (`GET /v2/customers/my/billing_history`). It has no id: two entries may be alike in everything
/// (spec).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BillingEntry {
    pub description: String,
    /// USD; negative for what was paid or credited.
    pub amount: Decimal,
    /// The number printed on the invoice; only entries for invoices have one.
    pub invoice_id: Option<String>,
    /// Only entries for invoices have one. What is no uuid is none (rule of ours): the spec's own example holds a word there.
    pub invoice_uuid: Option<InvoiceUuid>,
    pub date: DateTime<Utc>,
    /// `Invoice`, `Payment`, `Credit` ... (spec: `type`); kept open.
    pub entry_type: String,
}
