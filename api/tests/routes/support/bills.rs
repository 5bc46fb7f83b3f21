//! Invoices, estimates and entries of the billing history for tests.

use chrono::{DateTime, TimeDelta, Utc};
use domain::InvoiceUuid;
use domain::invoices::{
    ChargePart, InvoiceHeader, InvoiceLine, InvoicePeriod, InvoiceSummary, read_invoice_csv,
};
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

/// Returns the summary that DigitalOcean states for these lines.
pub(crate) fn summary_of(period: InvoicePeriod, lines: &[InvoiceLine]) -> InvoiceSummary {
    let total = |part: ChargePart| -> Decimal {
        let lines = lines.iter().filter(|line| line.part == part);
        lines.map(|line| line.amount).sum()
    };
    InvoiceSummary {
        invoice_uuid: None,
        invoice_id: None,
        period,
        amount: lines.iter().map(|line| line.amount).sum(),
        parts: ChargePart::ALL.map(|part| (part, total(part))).into(),
        charged_products: Vec::new(),
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

/// Stores these invoices as listed by DigitalOcean, without lines.
pub(crate) async fn list_invoices(store: &Store, headers: &[InvoiceHeader]) {
    let evidence = store.begin_fetch().await.unwrap();
    let listed = store.store_invoice_list(headers, evidence, false).await;
    listed.unwrap();
}

impl TestApi {
    /// Stores the invoice of the month, or replaces it; `amount` is the amount stated on it.
    pub(crate) async fn invoice(&self, period: &str, amount: &str, rows: &str) -> IngestOutcome {
        self.invoice_of_lines(period, amount, &lines(rows)).await
    }

    /// Lists an invoice, without lines.
    pub(crate) async fn listed(&self, invoice_uuid: InvoiceUuid, period: &str, amount: &str) {
        let header = InvoiceHeader {
            invoice_uuid,
            invoice_id: None,
            period: period.parse().unwrap(),
            amount: amount.parse().unwrap(),
        };
        list_invoices(&self.store, &[header]).await;
    }

    /// Lists an invoice and ingests these lines with their summary.
    pub(crate) async fn ingested(
        &self,
        invoice_uuid: InvoiceUuid,
        period: &str,
        amount: &str,
        lines: &[InvoiceLine],
    ) -> IngestOutcome {
        self.listed(invoice_uuid, period, amount).await;
        let summary = summary_of(period.parse().unwrap(), lines);
        let content = InvoiceContent {
            summary: Some(&summary),
            ..content(lines)
        };
        self.ingest(invoice_uuid, content).await
    }

    pub(crate) async fn invoice_of_lines(
        &self,
        period: &str,
        amount: &str,
        lines: &[InvoiceLine],
    ) -> IngestOutcome {
        self.ingested(invoice_of(period), period, amount, lines)
            .await
    }

    /// Stores a second invoice of the month.
    pub(crate) async fn second_invoice_of_lines(
        &self,
        period: &str,
        amount: &str,
        lines: &[InvoiceLine],
    ) -> IngestOutcome {
        let invoice_uuid: InvoiceUuid = "11111111-0000-4000-8000-000000000000".parse().unwrap();
        self.ingested(invoice_uuid, period, amount, lines).await
    }

    /// Stores the preview of the month's invoice.
    pub(crate) async fn estimate(&self, period: &str, amount: &str, rows: &str) {
        let amount: Decimal = amount.parse().unwrap();
        let period = period.parse().unwrap();
        let evidence = self.store.begin_fetch().await.unwrap();
        self.store
            .store_estimate(period, amount, evidence, content(&lines(rows)))
            .await
            .unwrap();
    }

    /// Stores the content of an invoice.
    pub(crate) async fn ingest(
        &self,
        invoice: InvoiceUuid,
        content: InvoiceContent<'_>,
    ) -> IngestOutcome {
        let evidence = self.store.begin_fetch().await.unwrap();
        let ingested = self.store.ingest_invoice(invoice, evidence, content).await;
        ingested.unwrap()
    }

    pub(crate) async fn fail_check(&self, invoice: InvoiceUuid, reason: &str) {
        let evidence = self.store.begin_fetch().await.unwrap();
        let failed = self.store.fail_invoice(invoice, evidence, reason).await;
        failed.unwrap();
    }

    /// Stores the complete billing history.
    pub(crate) async fn ledger(&self, entries: &[BillingEntry]) {
        let evidence = self.store.begin_fetch().await.unwrap();
        let stored = self.store.store_ledger(entries, evidence, true).await;
        stored.unwrap();
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
