//! Invoices. The amount, the items, the summary and the CSV follow from the lines unless set
//! otherwise.

use chrono::{DateTime, Datelike, Months, TimeDelta, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{
    Account,
    invoice_lines::{CsvForm, InvoiceLine, write_csv},
};
use crate::{dates::month_start, identifiers::identifier};

/// One month's invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// DigitalOcean's UUID.
    pub uuid: Uuid,
    /// DigitalOcean's decimal number for the same invoice.
    pub id: String,
    /// The start of the billed month.
    pub period: DateTime<Utc>,
    /// The header's amount in US dollars: the sum of the lines unless set otherwise.
    pub amount: Decimal,
    /// In the order of the items and of the CSV.
    pub lines: Vec<InvoiceLine>,
    /// The JSON items, if they differ from the lines.
    pub items: Option<Vec<InvoiceLine>>,
    /// The form of the CSV.
    pub csv_form: CsvForm,
    /// The exact CSV to send, in place of the one written from the lines.
    pub csv: Option<String>,
    /// The summary's amount, if it differs from the header's.
    pub summary_amount: Option<Decimal>,
    /// The summary's parts, if they differ from the sums of their lines.
    pub summary_parts: SummaryParts,
    /// Whether a request for the items is answered with 404 although the invoice is listed.
    pub lacks_items: bool,
    /// Whether a request for the CSV is answered with 404.
    pub lacks_csv: bool,
    /// Whether a request for the summary is answered with 404.
    pub lacks_summary: bool,
    /// The time from issue to payment; `None` for an unpaid invoice.
    pub paid_after: Option<TimeDelta>,
}

/// The parts of a summary, in US dollars. `None` means the sum of the part's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SummaryParts {
    /// `product_charges`; the products in it remain the sums of their lines.
    pub product_charges: Option<Decimal>,
    /// `overages`.
    pub overages: Option<Decimal>,
    /// `taxes`.
    pub taxes: Option<Decimal>,
    /// `credits_and_adjustments`; negative for deductions.
    pub credits_and_adjustments: Option<Decimal>,
}

impl Invoice {
    /// Creates the invoice of a month (1 to 12). Its amount is the sum of its lines; the UUID and
    /// the number follow from the month.
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

    /// The exact sum of the lines.
    pub fn total(&self) -> Decimal {
        total(&self.lines)
    }

    /// The JSON items.
    pub fn json_items(&self) -> &[InvoiceLine] {
        self.items.as_ref().unwrap_or(&self.lines)
    }

    /// `YYYY-MM`.
    pub fn period_text(&self) -> String {
        self.period.format("%Y-%m").to_string()
    }

    /// The CSV to send.
    pub fn csv_text(&self) -> String {
        self.csv
            .clone()
            .unwrap_or_else(|| write_csv(&self.lines, &self.csv_form))
    }

    /// The date of issue: on the first of the next month.
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
    /// The invoices without the preview, newest first.
    pub fn invoices(&self) -> &[Invoice] {
        &self.invoices
    }

    /// The invoice with a UUID.
    pub fn invoice(&self, uuid: Uuid) -> Option<&Invoice> {
        self.invoices.iter().find(|invoice| invoice.uuid == uuid)
    }

    /// The preview: the invoice of the current month.
    pub fn preview(&self) -> Option<&Invoice> {
        self.preview.as_ref()
    }

    /// Issues an invoice and returns its UUID. A second one for the same month receives another
    /// UUID and number.
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

    /// Sets or removes the preview.
    pub fn set_preview(&mut self, preview: Option<Invoice>) {
        self.preview = preview;
    }

    /// Changes an invoice or the preview in place. The items, the summary, the CSV and the history
    /// follow changed lines unless they were set; so does the amount, if it was the sum of the
    /// lines. Does nothing if the UUID is unknown.
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

    /// Sets the exact CSV of an invoice. Its JSON remains.
    pub fn set_invoice_csv(&mut self, uuid: Uuid, text: &str) {
        self.change_invoice(uuid, |invoice| invoice.csv = Some(text.to_owned()));
    }

    /// Sets the header's amount of an invoice, independently of the total of its lines.
    pub fn set_invoice_amount(&mut self, uuid: Uuid, amount: Decimal) {
        self.change_invoice(uuid, |invoice| invoice.amount = amount);
    }
}
