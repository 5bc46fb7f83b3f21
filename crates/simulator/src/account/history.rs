//! The billing history: invoices, payments and other entries.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Account, Balance};

/// One entry. It has no id in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// `Invoice for May 2018`.
    pub description: String,
    /// US dollars: positive for charges, negative for payments.
    pub amount: Decimal,
    /// The invoice's number and UUID, for entries of type `Invoice`.
    pub invoice: Option<(String, Uuid)>,
    /// When it happened.
    pub date: DateTime<Utc>,
    /// `Invoice`, `Payment`, `Refund`, …: an open set.
    pub kind: String,
}

impl HistoryEntry {
    /// The type of a failed payment, which moves no money.
    const ATTEMPT_FAILED: &str = "AttemptFailed";

    /// Creates an entry without an invoice. The amount is positive if the team owes more afterwards
    /// (`Refund`, `CreditExpiration`, `Chargeback`, `ACHFailure`) and negative if it owes less
    /// (`Payment`, `Credit`).
    pub fn new(kind: &str, description: &str, amount: Decimal, date: DateTime<Utc>) -> Self {
        Self {
            description: description.to_owned(),
            amount,
            invoice: None,
            date,
            kind: kind.to_owned(),
        }
    }

    /// Returns whether the entry changes the amount owed. The amount of a failed payment does not.
    pub fn moves_money(&self) -> bool {
        self.kind != Self::ATTEMPT_FAILED
    }
}

impl Account {
    /// The billing history, newest first: all invoices, their payments
    /// ([`crate::Invoice::paid_after`]), and the entries of [`Account::add_history`].
    pub fn history(&self) -> Vec<HistoryEntry> {
        let mut entries = self.other_history.clone();
        for invoice in &self.invoices {
            let issued = invoice.issued_at();
            entries.push(HistoryEntry {
                description: format!("Invoice for {}", invoice.period.format("%B %Y")),
                amount: invoice.amount,
                invoice: Some((invoice.id.clone(), invoice.uuid)),
                date: issued,
                kind: "Invoice".to_owned(),
            });
            if let Some(wait) = invoice.paid_after {
                entries.push(HistoryEntry::new(
                    "Payment",
                    &format!("Payment (MC {})", issued.format("%Y")),
                    -invoice.amount,
                    issued + wait,
                ));
            }
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.date));
        entries
    }

    /// Adds an entry without an invoice: a refund, a credit, a failed payment.
    pub fn add_history(&mut self, entry: HistoryEntry) {
        self.other_history.push(entry);
    }

    /// The amount owed: the sum of the entries that move money.
    pub fn owed_by_history(&self) -> Decimal {
        let entries = self.history();
        let moving = entries.iter().filter(|entry| entry.moves_money());
        moving.map(|entry| entry.amount).sum()
    }

    /// Sets the balance to the totals of the history and the preview.
    pub fn settle_balance(&mut self) {
        let usage = self.preview().map(|preview| preview.amount);
        self.set_balance(Balance {
            account_balance: self.owed_by_history(),
            month_to_date_usage: usage.unwrap_or_default(),
            generated_at: self.balance.generated_at,
        });
    }
}
