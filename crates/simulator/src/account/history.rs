//! The billing history: what was invoiced, what was paid, and what else happened.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Account, Balance};

/// One entry. DigitalOcean gives it no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// `Invoice for May 2018`.
    pub description: String,
    /// US dollars: positive for what is owed, negative for what was paid.
    pub amount: Decimal,
    /// The invoice's number and UUID, for entries of type `Invoice`.
    pub invoice: Option<(String, Uuid)>,
    /// When it happened.
    pub date: DateTime<Utc>,
    /// `Invoice`, `Payment`, `Refund`, …: an open word.
    pub kind: String,
}

impl HistoryEntry {
    /// The word for a payment that did not go through: nothing was moved.
    const ATTEMPT_FAILED: &str = "AttemptFailed";

    /// An entry that belongs to no invoice. The amount is positive when more is owed afterwards (`Refund`,
    /// `CreditExpiration`, `Chargeback`, `ACHFailure`) and negative when less is (`Payment`, `Credit`).
    pub fn new(kind: &str, description: &str, amount: Decimal, date: DateTime<Utc>) -> Self {
        Self {
            description: description.to_owned(),
            amount,
            invoice: None,
            date,
            kind: kind.to_owned(),
        }
    }

    /// Whether what is owed changes by the amount. A failed attempt to pay says how much was tried.
    pub fn moves_money(&self) -> bool {
        self.kind != Self::ATTEMPT_FAILED
    }
}

impl Account {
    /// The billing history, newest first: every invoice, the payment that settled it ([`crate::Invoice::paid_after`]), and
    /// what was added with [`Account::add_history`].
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

    /// Adds an entry that belongs to no invoice: a refund, a credit, a failed attempt.
    pub fn add_history(&mut self, entry: HistoryEntry) {
        self.other_history.push(entry);
    }

    /// What is owed by the history: the sum of its entries that move money.
    pub fn owed_by_history(&self) -> Decimal {
        let entries = self.history();
        let moving = entries.iter().filter(|entry| entry.moves_money());
        moving.map(|entry| entry.amount).sum()
    }

    /// Makes the balance say what the history and the preview come to.
    pub fn settle_balance(&mut self) {
        let usage = self.preview().map(|preview| preview.amount);
        self.set_balance(Balance {
            account_balance: self.owed_by_history(),
            month_to_date_usage: usage.unwrap_or_default(),
            generated_at: self.balance.generated_at,
        });
    }
}
