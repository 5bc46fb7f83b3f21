//! The billing history, balances, invoices and previews.

use std::slice::from_ref;

use domain::balance::BalanceReading;
use domain::invoices::InvoiceLine;
use domain::ledger::BillingEntry;
use rust_decimal::Decimal;
use store::invoices::{Document, EstimateOutcome, IngestOutcome, InvoicesDiscovered};
use store::{Evidence, StoreError};

use super::{CENTS, assert_unchanged, rows};
use crate::bills::{APRIL, HEADER, april_lines, csv_only, header, ingest, no_recheck, uuid};
use crate::support::{Fixture, fixture};

fn entry(entry_type: &str, cents: i64, day: u32) -> BillingEntry {
    BillingEntry {
        description: entry_type.to_owned(),
        amount: Decimal::new(cents, 2),
        invoice_id: None,
        invoice_uuid: None,
        date: format!("2026-04-{day:02}T06:00:00Z").parse().unwrap(),
        entry_type: entry_type.to_owned(),
    }
}

async fn owed(fixture: &Fixture) -> Decimal {
    fixture.ledger_balance().await.unwrap().total
}

#[tokio::test]
async fn an_older_billing_history_changes_nothing() {
    let fixture = fixture().await;
    let invoice = entry("Invoice", 10_000, 1);
    let older_history = [
        invoice.clone(),
        entry("Credit", -100, 2),
        entry("Adjustment", -200, 2),
    ];
    fixture
        .store_ledger(&older_history[..2], true)
        .await
        .unwrap();
    let older = fixture.evidence().await;
    // The credit is withdrawn, the adjustment was never stored, and the invoice is paid.
    let newer_history = [invoice, entry("Payment", -10_000, 3)];
    let newer = fixture.store_ledger(&newer_history, true).await.unwrap();
    assert_eq!((newer.new, newer.missing), (1, 1));
    assert_eq!(owed(&fixture).await, Decimal::ZERO);
    let before = rows(&fixture).await;
    let outcome = fixture.store.store_ledger(&older_history, older, true);
    let outcome = outcome.await.unwrap();
    assert_eq!((outcome.new, outcome.missing), (0, 0));
    assert_eq!(owed(&fixture).await, Decimal::ZERO);
    assert_unchanged(&fixture, &before).await;
}

#[tokio::test]
async fn an_entry_of_a_later_incomplete_history_is_not_missing() {
    let fixture = fixture().await;
    let older = fixture.evidence().await;
    let payment = entry("Payment", -10_000, 3);
    fixture.store_ledger(&[payment], false).await.unwrap();
    let history = [entry("Invoice", 10_000, 1)];
    let outcome = fixture.store.store_ledger(&history, older, true);
    let outcome = outcome.await.unwrap();
    assert_eq!((outcome.new, outcome.missing), (1, 0));
    assert_eq!(owed(&fixture).await, Decimal::ZERO);
}

#[tokio::test]
async fn an_older_balance_is_not_the_latest() {
    let fixture = fixture().await;
    let morning = BalanceReading {
        month_to_date_balance: "23.44".parse().unwrap(),
        account_balance: "12.23".parse().unwrap(),
        month_to_date_usage: "11.21".parse().unwrap(),
        generated_at: "2026-04-09T06:00:00Z".parse().unwrap(),
    };
    let noon = BalanceReading {
        account_balance: "0.00".parse().unwrap(),
        generated_at: "2026-04-09T12:00:00Z".parse().unwrap(),
        ..morning.clone()
    };
    // Other figures of the same time.
    let corrected = BalanceReading {
        account_balance: "1.00".parse().unwrap(),
        ..noon.clone()
    };
    let evidence = [
        fixture.evidence().await,
        fixture.evidence().await,
        fixture.evidence().await,
    ];
    for (reading, evidence) in [
        (&corrected, evidence[2]),
        (&noon, evidence[1]),
        (&morning, evidence[0]),
    ] {
        fixture
            .store
            .store_balance(reading, evidence)
            .await
            .unwrap();
        let latest = fixture.latest_balance().await.unwrap().unwrap();
        let figures = (latest.generated_at, latest.account_balance);
        assert_eq!(figures, (corrected.generated_at, corrected.account_balance));
        let ledger = fixture.ledger_balance().await.unwrap();
        assert_eq!(ledger.account_balance, Some(corrected.account_balance));
    }
    // A cache of DigitalOcean answers the next poll.
    fixture.store_balance(&morning).await.unwrap();
    let latest = fixture.latest_balance().await.unwrap().unwrap();
    assert_eq!(latest.generated_at, corrected.generated_at);
    let polled = fixture.status_facts().await.unwrap().balance_polled_at;
    assert!(polled > Some(latest.last_polled_at));
}

#[tokio::test]
async fn an_older_list_of_invoices_changes_nothing() {
    let fixture = fixture().await;
    let older_list = [header(1, "2026-04", 100), header(2, "2026-03", 200)];
    fixture.discover_invoices(&older_list).await.unwrap();
    let older = fixture.evidence().await;
    // An invoice is corrected, another one is withdrawn, and one is issued.
    let newer_list = [header(1, "2026-04", 150), header(3, "2026-05", 300)];
    let newer = fixture.evidence().await;
    let stored = fixture.store_invoice_list(&newer_list, newer, true);
    let stored = stored.await.unwrap();
    assert_eq!((stored.new, stored.corrected, stored.missing), (1, 1, 1));
    let before = rows(&fixture).await;
    let stored = fixture.store_invoice_list(&older_list, older, true);
    let stored = stored.await.unwrap();
    assert_eq!((stored.new, stored.corrected, stored.missing), (0, 0, 0));
    assert_unchanged(&fixture, &before).await;
}

#[tokio::test]
async fn an_invoice_of_a_later_incomplete_list_keeps_its_amount() {
    let fixture = fixture().await;
    let (older, newer) = (fixture.evidence().await, fixture.evidence().await);
    // A manual ingest reads one header.
    let corrected = header(1, "2026-04", 150);
    let listed = fixture.store_invoice_list(from_ref(&corrected), newer, false);
    listed.await.unwrap();
    let complete = [header(2, "2026-03", 200)];
    let stored = fixture.store_invoice_list(&complete, older, true);
    let stored = stored.await.unwrap();
    assert_eq!((stored.new, stored.missing), (1, 0));
    let before = [header(1, "2026-04", 100)];
    let stored = fixture.store_invoice_list(&before, older, false);
    assert_eq!(stored.await.unwrap().corrected, 0);
    let invoice = fixture.invoice(uuid(1).as_uuid()).await.unwrap();
    assert_eq!(
        (invoice.amount, invoice.missing_since),
        (corrected.amount, None)
    );
}

/// Stores the header of the invoice as DigitalOcean lists it now.
async fn list_invoice(fixture: &Fixture, cents: i64) -> InvoicesDiscovered {
    let listed = [header(1, "2026-04", cents)];
    fixture.discover_invoices(&listed).await.unwrap()
}

/// Returns the lines of a CSV with these rows, and the CSV.
fn read(rows: &str) -> (Document, Vec<InvoiceLine>) {
    let csv = format!("{HEADER}\n{rows}");
    let file = domain::invoices::read_invoice_csv(csv.as_bytes()).unwrap();
    (Document::csv(csv.as_bytes()), file.lines)
}

async fn ingest_fetched(
    fixture: &Fixture,
    evidence: Evidence,
    rows: &str,
) -> Result<IngestOutcome, StoreError> {
    let (csv, lines) = read(rows);
    let content = csv_only(&csv, &lines);
    fixture
        .store
        .ingest_invoice(uuid(1), evidence, content)
        .await
}

#[tokio::test]
async fn older_content_of_an_invoice_changes_nothing() {
    let fixture = fixture().await;
    list_invoice(&fixture, CENTS).await;
    let renamed = APRIL.replace(",web,", ",shop,");
    ingest(&fixture, 1, APRIL).await;
    let older = fixture.evidence().await;
    assert_eq!(ingest(&fixture, 1, &renamed).await.version, 2);
    let before = rows(&fixture).await;
    // Content that proves less is not a failed check either.
    let truncated: String = APRIL.split_inclusive('\n').take(2).collect();
    for content in [APRIL, &truncated] {
        let outcome = ingest_fetched(&fixture, older, content).await.unwrap();
        assert_eq!((outcome.version, outcome.replaced), (2, false));
        assert_eq!((outcome.lines, outcome.off_by), (3, Decimal::ZERO));
        assert_eq!(outcome.rules.values().sum::<usize>(), 3);
        assert_unchanged(&fixture, &before).await;
    }
}

#[tokio::test]
async fn content_that_was_fetched_before_a_correction_is_refetched() {
    let fixture = fixture().await;
    list_invoice(&fixture, CENTS).await;
    ingest(&fixture, 1, APRIL).await;
    let older = fixture.evidence().await;
    let corrected = list_invoice(&fixture, CENTS - 100).await;
    assert_eq!(corrected.corrected, 1);
    let before = rows(&fixture).await;
    let error = ingest_fetched(&fixture, older, APRIL).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Superseded { .. }) && error.is_transient(),
        "{error}"
    );
    assert_unchanged(&fixture, &before).await;
    let pending = fixture.pending_invoices(None, no_recheck(), 10).await;
    assert_eq!(pending.unwrap().len(), 1);
    let outcome = ingest(&fixture, 1, &APRIL.replace("$6.00", "$5.00")).await;
    assert_eq!((outcome.version, outcome.off_by), (2, Decimal::ZERO));
}

#[tokio::test]
async fn the_latest_check_of_an_invoice_decides_whether_it_failed() {
    let fixture = fixture().await;
    list_invoice(&fixture, CENTS).await;
    let first = fixture.evidence().await;
    ingest(&fixture, 1, APRIL).await;
    let before = rows(&fixture).await;
    let failed = fixture.store.fail_invoice(uuid(1), first, "404");
    failed.await.unwrap();
    assert_unchanged(&fixture, &before).await;

    let second = fixture.evidence().await;
    fixture.fail_invoice(uuid(1), "404").await.unwrap();
    let before = rows(&fixture).await;
    let outcome = ingest_fetched(&fixture, second, APRIL).await.unwrap();
    assert_eq!((outcome.version, outcome.replaced), (1, false));
    assert_unchanged(&fixture, &before).await;
}

#[tokio::test]
async fn an_older_preview_changes_nothing() {
    let fixture = fixture().await;
    let preview = async |evidence, cents: i64, rows: &str| {
        let (csv, lines) = read(rows);
        fixture
            .store_estimate(
                "2026-04".parse().unwrap(),
                Decimal::new(cents, 2),
                evidence,
                csv_only(&csv, &lines),
            )
            .await
            .unwrap()
    };
    let first: String = APRIL.split_inclusive('\n').take(1).collect();
    let second: String = APRIL.split_inclusive('\n').take(2).collect();
    preview(fixture.evidence().await, 600, &first).await;
    let older = fixture.evidence().await;
    preview(fixture.evidence().await, 609, &second).await;
    let before = rows(&fixture).await;
    let outcome = preview(older, 600, &first).await;
    assert_eq!(
        outcome,
        EstimateOutcome::Estimated {
            lines: 2,
            line_total: Decimal::new(609, 2),
            off_by: Decimal::ZERO,
            invoiced: Decimal::ZERO,
            replaced: false,
        }
    );
    assert_eq!(april_lines(&fixture).await.len(), 2);
    assert_unchanged(&fixture, &before).await;
}
