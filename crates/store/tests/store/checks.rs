//! Checks of invoices whose lines are here: what fails confirms nothing, and takes nothing back.

use std::time::Duration;

use domain::invoices::{ChargePart, InvoiceSummary, join_items, part_by_summary, read_invoice_csv};
use rust_decimal::Decimal;
use store::StoreError;
use store::invoices::{
    CostLine, Document, DocumentWriter, IngestOutcome, Invoice, InvoiceContent, InvoicePart,
    InvoiceVersion, Sources,
};

use super::bills::{
    APRIL, HEADER, april_lines, bare, correct, header, ingest, items, never_again, uuid,
};
use super::support::{Fixture, fixture};

const CENTS: i64 = -99_501;
const IDS: [Option<&str>; 3] = [Some("1"), Some("2"), None];

fn summary(cents: i64) -> InvoiceSummary {
    InvoiceSummary {
        invoice_uuid: Some(uuid(1)),
        invoice_id: None,
        period: "2026-04".parse().unwrap(),
        amount: Decimal::new(cents, 2),
        parts: [
            (ChargePart::ProductCharges, 609),
            (ChargePart::Overages, 0),
            (ChargePart::Taxes, -100_110),
            (ChargePart::CreditsAndAdjustments, 0),
        ]
        .map(|(part, cents)| (part, Decimal::new(cents, 2)))
        .into(),
        charged_products: Vec::new(),
    }
}

/// What DigitalOcean shows of the invoice at one time.
#[derive(Clone)]
struct Shown {
    csv: Option<String>,
    /// The lines that have items, and the items' ids.
    items: Option<(String, Vec<Option<&'static str>>)>,
    summary: Option<InvoiceSummary>,
    /// Why a source is not here, if it may come back.
    unread: Option<&'static str>,
}

impl Shown {
    fn right() -> Self {
        Self {
            csv: Some(APRIL.to_owned()),
            items: Some((APRIL.to_owned(), IDS.to_vec())),
            summary: Some(summary(CENTS)),
            unread: None,
        }
    }

    async fn ingest(&self, fixture: &Fixture) -> Result<IngestOutcome, StoreError> {
        let mut document = DocumentWriter::items();
        document.line("{}");
        let document = document.finish();
        let shown = self.items.as_ref().map(|(lines, ids)| items(lines, ids));
        let csv = self.csv.as_ref().map(|csv| format!("{HEADER}\n{csv}"));
        let (mut lines, joined, sources) = match (&csv, &shown) {
            (Some(csv), Some(items)) => {
                let mut file = read_invoice_csv(csv.as_bytes()).unwrap();
                let joined = join_items(&mut file, items);
                (file.lines, Some(joined), Sources::CsvAndItems)
            }
            (Some(csv), None) => {
                let file = read_invoice_csv(csv.as_bytes()).unwrap();
                (file.lines, None, Sources::Csv)
            }
            (None, items) => {
                let items = items.as_deref().unwrap();
                (
                    domain::invoices::lines_of_items(items),
                    None,
                    Sources::Items,
                )
            }
        };
        if let Some(summary) = &self.summary {
            part_by_summary(&mut lines, summary);
        }
        let csv = csv.map(|csv| Document::csv(csv.as_bytes()));
        let content = InvoiceContent {
            lines: &lines,
            sources,
            source_note: Some("without it: 404"),
            unread: self.unread,
            joined,
            csv: csv.as_ref(),
            items: shown.is_some().then_some(&document),
            summary: self.summary.as_ref(),
        };
        fixture.ingest_invoice(uuid(1), content).await
    }
}

async fn ingested() -> Fixture {
    let fixture = fixture().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", CENTS)])
        .await
        .unwrap();
    let outcome = Shown::right().ingest(&fixture).await.unwrap();
    assert!(outcome.is_final);
    fixture
}

async fn invoice(fixture: &Fixture) -> Invoice {
    fixture.invoice(uuid(1).as_uuid()).await.unwrap()
}

type Stored = (
    Invoice,
    Vec<InvoicePart>,
    Vec<InvoiceVersion>,
    Vec<CostLine>,
);

/// All that is stored of the invoice, apart from how its checks went.
async fn stored(fixture: &Fixture) -> Stored {
    let invoice = invoice(fixture).await;
    (
        Invoice {
            checked_at: None,
            check_failed_since: None,
            last_check_error: None,
            ..invoice.clone()
        },
        fixture.invoice_parts(invoice.id).await.unwrap(),
        fixture.invoice_versions(invoice.id).await.unwrap(),
        april_lines(fixture).await,
    )
}

#[tokio::test]
async fn a_failed_check_leaves_an_ingested_invoice_as_it_was() {
    let fixture = ingested().await;
    let before = stored(&fixture).await;
    fixture
        .fail_invoice(uuid(1), "line 1, column USD: missing")
        .await
        .unwrap();
    let first = invoice(&fixture).await;
    assert_eq!(
        (first.ingest_status.as_str(), first.is_final),
        ("ingested", true)
    );
    assert_eq!(first.last_error, None);
    assert_eq!(
        first.last_check_error.as_deref(),
        Some("line 1, column USD: missing")
    );
    assert!(first.check_failed_since > first.verified_at);
    assert_eq!(stored(&fixture).await, before);

    // A later failure has its own reason, and the time of the first.
    fixture.fail_invoice(uuid(1), "404").await.unwrap();
    let second = invoice(&fixture).await;
    assert_eq!(second.check_failed_since, first.check_failed_since);
    assert_eq!(second.last_check_error.as_deref(), Some("404"));

    let month = fixture
        .statements("2026-04-01".parse().unwrap())
        .await
        .unwrap();
    assert_eq!((month.invoices, month.final_invoices), (1, 1));
    assert_eq!(
        month.verification.not_verified_since,
        first.check_failed_since
    );
    assert_eq!(month.verification.last_check_error.as_deref(), Some("404"));
    assert_eq!(month.verification.verified_at, first.verified_at);

    // A success clears it.
    Shown::right().ingest(&fixture).await.unwrap();
    let verified = invoice(&fixture).await;
    assert_eq!(
        (verified.check_failed_since, verified.last_check_error),
        (None, None)
    );
    assert!(verified.verified_at > first.check_failed_since);
    assert_eq!((verified.version, verified.is_final), (1, true));
}

#[tokio::test]
async fn an_invoice_whose_check_failed_is_checked_by_every_run() {
    let fixture = ingested().await;
    let pending = async || {
        let pending = fixture
            .pending_invoices(None, never_again(), 10)
            .await
            .unwrap()
            .len();
        assert_eq!(
            fixture.count_pending_invoices(never_again()).await.unwrap(),
            pending
        );
        pending
    };
    assert_eq!(pending().await, 0);
    fixture.fail_invoice(uuid(1), "404").await.unwrap();
    assert_eq!(pending().await, 1);
    Shown::right().ingest(&fixture).await.unwrap();
    assert_eq!(pending().await, 0);
}

#[tokio::test]
async fn a_reading_that_lacked_a_source_for_a_while_is_read_again_and_completed() {
    let fixture = fixture().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", CENTS)])
        .await
        .unwrap();
    let without_items = Shown {
        items: None,
        unread: Some("without the items: 500"),
        ..Shown::right()
    };
    for _ in 0..2 {
        let outcome = without_items.ingest(&fixture).await.unwrap();
        assert_eq!((outcome.version, outcome.is_final), (1, true));
        let read = invoice(&fixture).await;
        assert_eq!((read.verified_at, read.last_error), (None, None));
        assert!(read.check_failed_since.is_some());
        assert_eq!(
            read.last_check_error.as_deref(),
            Some("without the items: 500")
        );
        let pending = fixture.count_pending_invoices(never_again()).await;
        assert_eq!(pending.unwrap(), 1);
    }
    // The same invoice, read in full: no version of its own.
    let outcome = Shown::right().ingest(&fixture).await.unwrap();
    assert_eq!((outcome.version, outcome.replaced), (1, true));
    let read = invoice(&fixture).await;
    assert!(read.verified_at.is_some());
    assert_eq!(
        (read.check_failed_since, read.last_check_error),
        (None, None)
    );
    let versions = fixture.invoice_versions(read.id).await.unwrap();
    assert_eq!(versions.len(), 1);
    assert_eq!(
        fixture.count_pending_invoices(never_again()).await.unwrap(),
        0
    );
}

#[tokio::test]
async fn a_reading_that_proves_less_than_what_is_stored_is_refused() {
    let right = Shown::right();
    let short: String = APRIL.split_inclusive('\n').take(2).collect();
    let other = |change: fn(&mut Shown)| {
        let mut shown = right.clone();
        change(&mut shown);
        shown
    };
    let mut truncated = right.clone();
    truncated.csv = Some(short.clone());
    let mut torn = right.clone();
    torn.items = Some((short, IDS[..2].to_vec()));
    let mut torn_at_the_start = right.clone();
    let rest: String = APRIL.split_inclusive('\n').skip(1).collect();
    torn_at_the_start.items = Some((rest, IDS[1..].to_vec()));
    for (what, shown) in [
        ("without the CSV", other(|shown| shown.csv = None)),
        ("without the items", other(|shown| shown.items = None)),
        ("without the summary", other(|shown| shown.summary = None)),
        (
            "the CSV alone",
            other(|shown| (shown.items, shown.summary) = (None, None)),
        ),
        ("a CSV that ends early", truncated.clone()),
        ("a list of items that ends early", torn),
        ("a list of items that starts late", torn_at_the_start),
        (
            "an amount that is other",
            other(|shown| shown.csv = Some(APRIL.replace("$6.00", "$5.00"))),
        ),
        (
            "a summary of another amount",
            other(|shown| shown.summary = Some(summary(CENTS + 1))),
        ),
        (
            "a summary with other parts",
            other(|shown| {
                for (_, amount) in &mut shown.summary.as_mut().unwrap().parts {
                    *amount += Decimal::ONE;
                }
            }),
        ),
    ] {
        let fixture = ingested().await;
        let before = stored(&fixture).await;
        let refused = shown.ingest(&fixture).await;
        assert!(
            matches!(refused, Err(StoreError::Unconfirmed { .. })),
            "{what}: {refused:?}"
        );
        assert_eq!(stored(&fixture).await, before, "{what}");
    }

    // Truncated where everything is, too: an amount off by less is no excuse for lines that are lost.
    let fixture = fixture().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", 700)])
        .await
        .unwrap();
    Shown {
        summary: None,
        ..right
    }
    .ingest(&fixture)
    .await
    .unwrap();
    let refused = Shown {
        summary: None,
        ..truncated
    }
    .ingest(&fixture)
    .await;
    assert!(
        matches!(refused, Err(StoreError::Unconfirmed { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_reading_that_proves_as_much_is_a_new_version() {
    let fixture = ingested().await;
    let mut moved = Shown::right();
    let renamed = APRIL.replace(",web,", ",shop,");
    moved.csv = Some(renamed.clone());
    moved.items = Some((renamed, IDS.to_vec()));
    let outcome = moved.ingest(&fixture).await.unwrap();
    assert_eq!((outcome.version, outcome.is_final), (2, true));
    assert_eq!(april_lines(&fixture).await[0].project_name, "shop");
}

#[tokio::test]
async fn an_invoice_that_was_never_proven_may_get_better_and_not_worse() {
    let fixture = fixture().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", CENTS)])
        .await
        .unwrap();
    ingest(&fixture, 1, &APRIL.replace("$6.00", "$5.00")).await;
    let worse = Shown {
        csv: Some(APRIL.replace("$6.00", "$4.00")),
        items: None,
        summary: None,
        unread: None,
    };
    assert!(matches!(
        worse.ingest(&fixture).await,
        Err(StoreError::Unconfirmed { .. })
    ));
    let outcome = ingest(&fixture, 1, APRIL).await;
    assert_eq!((outcome.version, outcome.off_by), (2, Decimal::ZERO));
    // With more sources than before.
    assert!(Shown::right().ingest(&fixture).await.unwrap().is_final);
}

#[tokio::test]
async fn a_corrected_amount_is_not_held_to_what_was_proven_before() {
    let fixture = ingested().await;
    let outcome = correct(&fixture, 1, &APRIL.replace("$6.00", "$5.00")).await;
    assert_eq!((outcome.version, outcome.off_by), (2, Decimal::ZERO));
}

#[tokio::test]
async fn a_first_ingest_that_fails_is_failed() {
    let fixture = fixture().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", CENTS)])
        .await
        .unwrap();
    fixture.fail_invoice(uuid(1), "404").await.unwrap();
    let failed = invoice(&fixture).await;
    assert_eq!(
        (
            failed.ingest_status.as_str(),
            failed.last_error.as_deref(),
            failed.verified_at
        ),
        ("failed", Some("404"), None)
    );
    assert_eq!(failed.last_check_error.as_deref(), Some("404"));
}

#[tokio::test]
async fn an_invoice_that_a_complete_list_lacks_is_withdrawn_until_it_is_listed() {
    let fixture = ingested().await;
    let other = [header(2, "2026-05", 100)];
    let both = [header(1, "2026-04", CENTS), header(2, "2026-05", 100)];
    let list = async |headers: &[_], is_complete| {
        let started_at = fixture.now().await.unwrap();
        fixture
            .store_invoice_list(headers, started_at, is_complete)
            .await
            .unwrap()
    };
    let is_final = async || {
        let month = fixture
            .statements("2026-04-01".parse().unwrap())
            .await
            .unwrap();
        (month.final_invoices, month.verification.withdrawn_invoices)
    };
    list(&both, true).await;
    assert_eq!(invoice(&fixture).await.missing_since, None);
    // A list that broke off says nothing of what it lacks.
    assert_eq!(list(&other, false).await.missing, 0);
    assert_eq!(invoice(&fixture).await.missing_since, None);

    let before = april_lines(&fixture).await;
    assert_eq!(list(&other, true).await.missing, 1);
    let withdrawn = invoice(&fixture).await;
    assert!(withdrawn.missing_since.is_some());
    assert_eq!(
        (withdrawn.ingest_status.as_str(), withdrawn.is_final),
        ("ingested", true)
    );
    assert_eq!(april_lines(&fixture).await, before);
    assert_eq!(is_final().await, (1, 1));
    // It is missing since the first list that lacked it, and nobody asks for its documents.
    assert_eq!(list(&other, true).await.missing, 0);
    assert_eq!(
        invoice(&fixture).await.missing_since,
        withdrawn.missing_since
    );
    fixture.fail_invoice(uuid(1), "404").await.unwrap();
    let pending = fixture
        .pending_invoices(None, never_again(), 10)
        .await
        .unwrap();
    assert!(
        pending
            .iter()
            .all(|pending| pending.invoice_uuid != uuid(1))
    );

    list(&both, true).await;
    assert_eq!(invoice(&fixture).await.missing_since, None);
    assert_eq!(is_final().await, (1, 0));
}

#[tokio::test]
async fn a_list_that_began_before_the_latest_changes_nothing() {
    let fixture = ingested().await;
    let old = fixture.now().await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    let new = fixture.now().await.unwrap();
    let right = [header(1, "2026-04", CENTS)];
    fixture.store_invoice_list(&right, new, true).await.unwrap();
    // It lacks the invoice, or has the amount before a correction.
    for stale in [vec![], vec![header(1, "2026-04", 1)]] {
        let outcome = fixture.store_invoice_list(&stale, old, true).await.unwrap();
        assert_eq!((outcome.missing, outcome.corrected), (0, 0));
    }
    let invoice = invoice(&fixture).await;
    assert_eq!(
        (invoice.missing_since, invoice.amount),
        (None, Decimal::new(CENTS, 2))
    );
}

#[tokio::test]
async fn an_invoice_that_was_stored_while_a_list_was_read_is_not_missing() {
    let fixture = fixture().await;
    let started_at = fixture.now().await.unwrap();
    fixture
        .discover_invoices(&[header(1, "2026-04", CENTS)])
        .await
        .unwrap();
    let outcome = fixture
        .store_invoice_list(&[], started_at, true)
        .await
        .unwrap();
    assert_eq!(outcome.missing, 0);
    // The CSV alone, as it was read by hand.
    let csv = format!("{HEADER}\n{APRIL}");
    let file = read_invoice_csv(csv.as_bytes()).unwrap();
    let document = Document::csv(csv.as_bytes());
    fixture
        .ingest_invoice(uuid(1), bare(&document, &file.lines))
        .await
        .unwrap();
    assert_eq!(invoice(&fixture).await.missing_since, None);
}
