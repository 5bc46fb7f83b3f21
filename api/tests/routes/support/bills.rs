//! Invoices, estimates and entries of the billing history for tests.

use chrono::{DateTime, TimeDelta, Utc};
use domain::InvoiceUuid;
use domain::invoices::{InvoiceHeader, InvoiceLine, read_invoice_csv};
use domain::ledger::BillingEntry;
use rust_decimal::Decimal;
use store::Store;
use store::invoices::{IngestOutcome, InvoiceContent, Sources};

use super::TestApi;

const COLUMNS: &str =
    "product,group_description,description,hours,start,end,USD,project_name,category";

/// Returns the lines of a CSV with these rows.
pub(crate) fn lines(rows: &str) -> Vec<InvoiceLine> {
    let file = format!("{COLUMNS}\n{rows}\n");
    read_invoice_csv(file.as_bytes()).unwrap().lines
}

/// Returns an invoice that has only these lines.
pub(crate) fn content(lines: &[InvoiceLine]) -> InvoiceContent<'_> {
    InvoiceContent {
        lines,
        sources: Sources::Csv,
        source_note: None,
        unread: None,
        joined: None,
        csv: None,
        items: None,
        summary: None,
    }
}

/// Returns the UUID of the only test invoice of a month.
pub(crate) fn invoice_of(period: &str) -> InvoiceUuid {
    format!("00000000-0000-4000-8000-{:0>12}", period.replace('-', ""))
        .parse()
        .unwrap()
}

/// Returns an entry of the billing history without an invoice.
pub(crate) fn entry(entry_type: &str, amount: &str, date: &str) -> BillingEntry {
    BillingEntry {
        description: "by hand".to_owned(),
        amount: amount.parse().unwrap(),
        invoice_id: None,
        invoice_uuid: None,
        date: date.parse().unwrap(),
        entry_type: entry_type.to_owned(),
    }
}

impl TestApi {
    /// Stores the invoice of the month, or replaces it; `amount` is the amount stated on it.
    pub(crate) async fn invoice(&self, period: &str, amount: &str, rows: &str) -> IngestOutcome {
        self.invoice_of_lines(period, amount, &lines(rows)).await
    }

    pub(crate) async fn invoice_of_lines(
        &self,
        period: &str,
        amount: &str,
        lines: &[InvoiceLine],
    ) -> IngestOutcome {
        let header = InvoiceHeader {
            invoice_uuid: invoice_of(period),
            invoice_id: None,
            period: period.parse().unwrap(),
            amount: amount.parse().unwrap(),
        };
        self.store.discover_invoices(&[header]).await.unwrap();
        self.store
            .ingest_invoice(invoice_of(period), content(lines))
            .await
            .unwrap()
    }

    /// Stores a second invoice of the month.
    pub(crate) async fn second_invoice_of_lines(
        &self,
        period: &str,
        amount: &str,
        lines: &[InvoiceLine],
    ) -> IngestOutcome {
        let invoice_uuid: InvoiceUuid = "11111111-0000-4000-8000-000000000000".parse().unwrap();
        let header = InvoiceHeader {
            invoice_uuid,
            invoice_id: None,
            period: period.parse().unwrap(),
            amount: amount.parse().unwrap(),
        };
        self.store.discover_invoices(&[header]).await.unwrap();
        self.store
            .ingest_invoice(invoice_uuid, content(lines))
            .await
            .unwrap()
    }

    /// Stores the preview of the month's invoice.
    pub(crate) async fn estimate(&self, period: &str, amount: &str, rows: &str) {
        let amount: Decimal = amount.parse().unwrap();
        self.store
            .store_estimate(period.parse().unwrap(), amount, content(&lines(rows)))
            .await
            .unwrap();
    }
}

/// Returns the times one hour before and after now in the format of CSVs: changes of tenants in a
/// test are between the two.
pub(crate) async fn hour_before_and_after(store: &Store) -> (String, String) {
    let now = store.now().await.unwrap();
    let written = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S +0000").to_string();
    (
        written(now - TimeDelta::hours(1)),
        written(now + TimeDelta::hours(1)),
    )
}
