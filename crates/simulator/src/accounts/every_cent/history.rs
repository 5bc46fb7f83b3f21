//! The entries of the billing history other than invoices and their payments.

use rust_decimal::Decimal;

use crate::{Account, HistoryEntry, dates::moment};

/// Year, month, day and hour, UTC.
type Moment = (i32, u32, u32, u32);

/// Entries of every type in the specification and of an unknown type, and two identical ones.
#[rustfmt::skip]
const ENTRIES: &[(&str, &str, i64, Moment)] = &[
    ("Credit", "Promotional credit", -5000, (2025, 1, 15, 9)),
    ("Credit", "Referral credit", -1000, (2025, 3, 3, 12)),
    ("Credit", "Referral credit", -1000, (2025, 3, 3, 12)),
    ("CreditExpiration", "Promotional credit expired", 1250, (2025, 7, 15, 0)),
    ("Refund", "Refund for duplicate charge", 2400, (2025, 8, 4, 16)),
    ("Adjustment", "Billing adjustment", -350, (2025, 9, 12, 3)),
    ("Chargeback", "Chargeback", 8640, (2025, 10, 6, 11)),
    ("Reversal", "Chargeback reversed", -8640, (2025, 11, 20, 11)),
    ("Payment", "Payment (ACH)", -41_207, (2025, 12, 10, 8)),
    ("ACHFailure", "ACH payment returned", 41_207, (2025, 12, 13, 8)),
    ("GoodwillGesture", "For the outage in February", -500, (2026, 2, 20, 14)),
    ("AttemptFailed", "Payment attempt failed (MC 2026)", -312_500, (2026, 5, 2, 6)),
];

pub(super) fn add(account: &mut Account) {
    for (kind, description, cents, date) in ENTRIES {
        let amount = Decimal::new(*cents, 2);
        account.add_history(HistoryEntry::new(kind, description, amount, moment(*date)));
    }
}
