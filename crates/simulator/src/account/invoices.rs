//! Invoices and their lines. The header's amount, the items, the summary and the CSV all come from the lines unless
//! a test says otherwise.

use chrono::{DateTime, Datelike, Months, TimeDelta, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{
    Account, InvoiceLine,
    invoice_csv::{self, CsvForm},
};
use crate::{dates::month_start, identifiers::identifier};

/// One month's invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// DigitalOcean's UUID.
    pub uuid: Uuid,
    /// DigitalOcean's decimal number for the same invoice.
    pub id: String,
    /// The first moment of the month billed.
    pub period: DateTime<Utc>,
    /// What the header says, in US dollars: the sum of the lines unless set otherwise.
    pub amount: Decimal,
    /// In the order of the items and of the CSV.
    pub lines: Vec<InvoiceLine>,
    /// The JSON items, where they are not the lines: in another order, too few, too many.
    pub items: Option<Vec<InvoiceLine>>,
    /// How the lines are written as CSV.
    pub csv_form: CsvForm,
    /// A CSV to send instead of the one made from the lines, to the byte.
    pub csv: Option<String>,
    /// What the summary says is to be paid, where that is not the header's amount.
    pub summary_amount: Option<Decimal>,
    /// What the summary says of its four parts, where that is not the sum of their lines.
    pub summary_parts: SummaryParts,
    /// Whether the items are answered with 404, though the invoice is listed.
    pub lacks_items: bool,
    /// Whether the CSV is answered with 404.
    pub lacks_csv: bool,
    /// Whether the summary is answered with 404.
    pub lacks_summary: bool,
    /// How long after it was issued it was paid; nothing for one that is still owed.
    pub paid_after: Option<TimeDelta>,
}

/// What a summary says of its parts, in US dollars. What is not set is the sum of the part's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SummaryParts {
    /// Of `product_charges`; what it says of each product stays the sum of the product's lines.
    pub product_charges: Option<Decimal>,
    /// Of `overages`.
    pub overages: Option<Decimal>,
    /// Of `taxes`.
    pub taxes: Option<Decimal>,
    /// Of `credits_and_adjustments`; negative for what is taken off.
    pub credits_and_adjustments: Option<Decimal>,
}

impl Invoice {
    /// The invoice for a month (1 to 12), whose amount is the sum of its lines. The UUID and the number follow from
    /// the month.
    pub fn for_month(year: i32, month: u32, lines: Vec<InvoiceLine>) -> Self {
        let number = u64::from(year.unsigned_abs()) * 12 + u64::from(month);
        Self {
            uuid: identifier("invoice", number),
            id: (418_000_000 + number * 7_919).to_string(),
            period: month_start(year, month),
            amount: total(&lines),
            lines,
            items: None,
            csv_form: CsvForm::default(),
            csv: None,
            summary_amount: None,
            summary_parts: SummaryParts::default(),
            lacks_items: false,
            lacks_csv: false,
            lacks_summary: false,
            paid_after: Some(TimeDelta::days(1)),
        }
    }

    /// The exact sum of the lines, which is the header's amount unless that was set to something else.
    pub fn total(&self) -> Decimal {
        total(&self.lines)
    }

    /// The items as the JSON has them.
    pub fn json_items(&self) -> &[InvoiceLine] {
        self.items.as_ref().unwrap_or(&self.lines)
    }

    /// `YYYY-MM`.
    pub fn period_text(&self) -> String {
        self.period.format("%Y-%m").to_string()
    }

    /// The CSV as it is sent.
    pub fn csv_text(&self) -> String {
        self.csv
            .clone()
            .unwrap_or_else(|| invoice_csv::write(&self.lines, &self.csv_form))
    }

    /// When it was issued: on the first of the next month.
    pub(crate) fn issued_at(&self) -> DateTime<Utc> {
        let next = self.period.checked_add_months(Months::new(1));
        next.unwrap_or(self.period)
            .with_day(1)
            .unwrap_or(self.period)
            + TimeDelta::hours(6)
    }
}

fn total(lines: &[InvoiceLine]) -> Decimal {
    lines.iter().map(|line| line.amount).sum()
}

impl Account {
    /// The invoices, newest first. The preview is not among them.
    pub fn invoices(&self) -> &[Invoice] {
        &self.invoices
    }

    /// One invoice.
    pub fn invoice(&self, uuid: Uuid) -> Option<&Invoice> {
        self.invoices.iter().find(|invoice| invoice.uuid == uuid)
    }

    /// The invoice of the running month, if there is one.
    pub fn preview(&self) -> Option<&Invoice> {
        self.preview.as_ref()
    }

    /// Issues an invoice and returns its UUID. A second one for the same month gets a UUID and number of its own.
    pub fn add_invoice(&mut self, mut invoice: Invoice) -> Uuid {
        if self.invoice(invoice.uuid).is_some() {
            let number = self.next_number();
            invoice.uuid = identifier("supplementary invoice", number);
            invoice.id = (419_000_000 + number).to_string();
        }
        let uuid = invoice.uuid;
        let older = |known: &Invoice| known.period > invoice.period;
        let place = self.invoices.partition_point(older);
        self.invoices.insert(place, invoice);
        uuid
    }

    /// Sets the invoice of the running month, or takes it away.
    pub fn set_preview(&mut self, preview: Option<Invoice>) {
        self.preview = preview;
    }

    /// Changes an invoice in place, the preview too. When its lines change, so do its items, summary, CSV and history,
    /// unless a text or amount of their own was set; and so does its amount, if that was their sum. Does nothing when
    /// there is none with this UUID.
    pub fn change_invoice(&mut self, uuid: Uuid, change: impl FnOnce(&mut Invoice)) {
        let mut invoices = self.invoices.iter_mut().chain(&mut self.preview);
        if let Some(invoice) = invoices.find(|invoice| invoice.uuid == uuid) {
            let before = invoice.amount;
            let was_the_sum = before == invoice.total();
            change(invoice);
            if was_the_sum && invoice.amount == before {
                invoice.amount = invoice.total();
            }
        }
    }

    /// Replaces the CSV of an invoice by this text, to the byte; its JSON stays as it is.
    pub fn set_invoice_csv(&mut self, uuid: Uuid, text: &str) {
        self.change_invoice(uuid, |invoice| invoice.csv = Some(text.to_owned()));
    }

    /// Sets what the header of an invoice says, whatever its lines sum to.
    pub fn set_invoice_amount(&mut self, uuid: Uuid, amount: Decimal) {
        self.change_invoice(uuid, |invoice| invoice.amount = amount);
    }
}
