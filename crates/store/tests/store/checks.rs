//! Rechecks of ingested invoices: a failed check confirms nothing and reverts nothing.

use domain::invoices::{ChargePart, InvoiceSummary, join_items, part_by_summary, read_invoice_csv};
use rust_decimal::Decimal;
use store::StoreError;
use store::invoices::{
    CostLine, Document, DocumentWriter, IngestOutcome, Invoice, InvoiceContent, InvoicePart,
    InvoiceVersion, Sources,
};

use super::bills::{
    APRIL, HEADER, april_lines, correct, csv_only, header, ingest, items, no_recheck, uuid,
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

/// The documents of the invoice that DigitalOcean returns at one time.
#[derive(Clone)]
struct Response {
    csv: Option<String>,
    /// The lines with items, and the ids of the items.
    items: Option<(String, Vec<Option<&'static str>>)>,
    summary: Option<InvoiceSummary>,
    /// Why a document is missing, if a later read may succeed.
    unread: Option<&'static str>,
}

impl Response {
    fn complete() -> Self {
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
        let response = self.items.as_ref().map(|(lines, ids)| items(lines, ids));
        let csv = self.csv.as_ref().map(|csv| format!("{HEADER}\n{csv}"));
        let (mut lines, joined, sources) = match (&csv, &response) {
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
            items: response.is_some().then_some(&document),
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
    let outcome = Response::complete().ingest(&fixture).await.unwrap();
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

/// Returns everything that is stored of the invoice, except the results of its checks.
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

    // A later failure replaces the error and keeps the time of the first failure.
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

    // A successful check clears the failure.
    Response::complete().ingest(&fixture).await.unwrap();
    let verified = invoice(&fixture).await;
    assert_eq!(
        (verified.check_failed_since, verified.last_check_error),
        (None, None)
    );
    assert!(verified.verified_at > first.check_failed_since);
    assert_eq!((verified.version, verified.is_final), (1, true));
}

#[tokio::test]
async fn an_invoice_with_a_failed_check_stays_pending_for_every_run() {
    let fixture = ingested().await;
    let pending = async || {
        let pending = fixture
            .pending_invoices(None, no_recheck(), 10)
            .await
            .unwrap()
            .len();
        assert_eq!(
            fixture.count_pending_invoices(no_recheck()).await.unwrap(),
            pending
        );
        pending
    };
    assert_eq!(pending().await, 0);
    fixture.fail_invoice(uuid(1), "404").await.unwrap();
    assert_eq!(pending().await, 1);
    Response::complete().ingest(&fixture).await.unwrap();
    assert_eq!(pending().await, 0);
}

#[tokio::test]
async fn a_provisional_read_is_completed_within_its_version() {
    let fixture = fixture().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", CENTS)])
        .await
        .unwrap();
    let without_items = Response {
        items: None,
        unread: Some("without the items: 500"),
        ..Response::complete()
    };
    for _ in 0..2 {
        let outcome = without_items.ingest(&fixture).await.unwrap();
        assert_eq!((outcome.version, outcome.is_final), (1, false));
        let read = invoice(&fixture).await;
        assert_eq!((read.verified_at, read.last_error), (None, None));
        assert_eq!(read.verification.as_deref(), Some("unverified"));
        assert!(read.check_failed_since.is_some());
        assert_eq!(
            read.last_check_error.as_deref(),
            Some("without the items: 500")
        );
        let pending = fixture.count_pending_invoices(no_recheck()).await;
        assert_eq!(pending.unwrap(), 1);
    }
    // A complete read of the same invoice creates no new version.
    let outcome = Response::complete().ingest(&fixture).await.unwrap();
    assert_eq!((outcome.version, outcome.replaced), (1, true));
    assert!(outcome.is_final);
    let read = invoice(&fixture).await;
    assert!(read.verified_at.is_some());
    assert_eq!(
        (read.check_failed_since, read.last_check_error),
        (None, None)
    );
    let versions = fixture.invoice_versions(read.id).await.unwrap();
    assert_eq!(versions.len(), 1);
    assert_eq!(
        fixture.count_pending_invoices(no_recheck()).await.unwrap(),
        0
    );
}

#[tokio::test]
async fn a_completed_version_has_the_sums_of_the_complete_read() {
    let fixture = fixture().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", CENTS)])
        .await
        .unwrap();
    let short: String = APRIL.split_inclusive('\n').take(2).collect();
    let only_items = Response {
        csv: None,
        items: Some((short, IDS[..2].to_vec())),
        summary: None,
        unread: Some("without the CSV: 500"),
    };
    let outcome = only_items.ingest(&fixture).await.unwrap();
    assert_eq!((outcome.version, outcome.lines), (1, 2));
    let outcome = Response::complete().ingest(&fixture).await.unwrap();
    assert_eq!((outcome.version, outcome.lines), (1, 3));
    let id = invoice(&fixture).await.id;
    let versions = fixture.invoice_versions(id).await.unwrap();
    let sums: Vec<_> = versions
        .iter()
        .map(|version| (version.version, version.line_count, version.line_total))
        .collect();
    assert_eq!(sums, [(1, 3, Decimal::new(CENTS, 2))]);
}

#[tokio::test]
async fn a_read_that_proves_less_than_the_stored_content_is_rejected() {
    let complete = Response::complete();
    let short: String = APRIL.split_inclusive('\n').take(2).collect();
    let other = |change: fn(&mut Response)| {
        let mut response = complete.clone();
        change(&mut response);
        response
    };
    let mut truncated = complete.clone();
    truncated.csv = Some(short.clone());
    let mut torn = complete.clone();
    torn.items = Some((short, IDS[..2].to_vec()));
    let mut torn_at_the_start = complete.clone();
    let rest: String = APRIL.split_inclusive('\n').skip(1).collect();
    torn_at_the_start.items = Some((rest, IDS[1..].to_vec()));
    for (case, response) in [
        ("without the CSV", other(|response| response.csv = None)),
        ("without the items", other(|response| response.items = None)),
        (
            "without the summary",
            other(|response| response.summary = None),
        ),
        (
            "only the CSV",
            other(|response| (response.items, response.summary) = (None, None)),
        ),
        ("a truncated CSV", truncated.clone()),
        ("a list of items without its end", torn),
        ("a list of items without its start", torn_at_the_start),
        (
            "a different amount",
            other(|response| response.csv = Some(APRIL.replace("$6.00", "$5.00"))),
        ),
        (
            "a summary with a different amount",
            other(|response| response.summary = Some(summary(CENTS + 1))),
        ),
        (
            "items that may be incomplete",
            other(|response| {
                let renamed = APRIL.replace(",web,", ",shop,");
                response.csv = Some(renamed.clone());
                response.items = Some((renamed, IDS.to_vec()));
                response.unread = Some("the items may be incomplete");
            }),
        ),
        (
            "a summary without a part",
            other(|response| response.summary.as_mut().unwrap().parts.truncate(2)),
        ),
        (
            "a summary with different parts",
            other(|response| {
                for (_, amount) in &mut response.summary.as_mut().unwrap().parts {
                    *amount += Decimal::ONE;
                }
            }),
        ),
    ] {
        let fixture = ingested().await;
        let before = stored(&fixture).await;
        let refused = response.ingest(&fixture).await;
        assert!(
            matches!(refused, Err(StoreError::Unconfirmed { .. })),
            "{case}: {refused:?}"
        );
        assert_eq!(stored(&fixture).await, before, "{case}");
    }

    // A truncated CSV is also rejected if it reduces the difference to the invoice's amount.
    let fixture = fixture().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", 700)])
        .await
        .unwrap();
    Response {
        summary: None,
        ..complete
    }
    .ingest(&fixture)
    .await
    .unwrap();
    let refused = Response {
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
async fn a_read_that_proves_as_much_is_a_new_version() {
    let fixture = ingested().await;
    let mut moved = Response::complete();
    let renamed = APRIL.replace(",web,", ",shop,");
    moved.csv = Some(renamed.clone());
    moved.items = Some((renamed, IDS.to_vec()));
    let outcome = moved.ingest(&fixture).await.unwrap();
    assert_eq!((outcome.version, outcome.is_final), (2, true));
    assert_eq!(april_lines(&fixture).await[0].project_name, "shop");
}

#[tokio::test]
async fn an_unreconciled_invoice_accepts_only_better_content() {
    let fixture = fixture().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", CENTS)])
        .await
        .unwrap();
    ingest(&fixture, 1, &APRIL.replace("$6.00", "$5.00")).await;
    let worse = Response {
        csv: Some(APRIL.replace("$6.00", "$4.00")),
        items: None,
        summary: Some(summary(CENTS)),
        unread: None,
    };
    assert!(matches!(
        worse.ingest(&fixture).await,
        Err(StoreError::Unconfirmed { .. })
    ));
    let outcome = ingest(&fixture, 1, APRIL).await;
    assert_eq!((outcome.version, outcome.off_by), (2, Decimal::ZERO));
    // Documents that were missing before may be added.
    assert!(
        Response::complete()
            .ingest(&fixture)
            .await
            .unwrap()
            .is_final
    );
}

#[tokio::test]
async fn a_corrected_amount_is_ingested_without_a_check() {
    let fixture = ingested().await;
    let outcome = correct(&fixture, 1, &APRIL.replace("$6.00", "$5.00")).await;
    assert_eq!((outcome.version, outcome.off_by), (2, Decimal::ZERO));
}

#[tokio::test]
async fn a_failed_first_ingest_marks_the_invoice_failed() {
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
async fn an_invoice_missing_from_a_complete_list_is_withdrawn_until_listed() {
    let fixture = ingested().await;
    let other = [header(2, "2026-05", 100)];
    let both = [header(1, "2026-04", CENTS), header(2, "2026-05", 100)];
    let list = async |headers: &[_], is_complete| {
        let evidence = fixture.evidence().await;
        fixture
            .store_invoice_list(headers, evidence, is_complete)
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
    // An incomplete list proves nothing about missing invoices.
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
    // `missing_since` stays the time of the first list without it, and its documents are not
    // requested.
    assert_eq!(list(&other, true).await.missing, 0);
    assert_eq!(
        invoice(&fixture).await.missing_since,
        withdrawn.missing_since
    );
    fixture.fail_invoice(uuid(1), "404").await.unwrap();
    let pending = fixture
        .pending_invoices(None, no_recheck(), 10)
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
async fn a_list_begun_before_the_latest_one_changes_nothing() {
    let fixture = ingested().await;
    let (old, new) = (fixture.evidence().await, fixture.evidence().await);
    let headers = [header(1, "2026-04", CENTS)];
    fixture
        .store_invoice_list(&headers, new, true)
        .await
        .unwrap();
    // The old list lacks the invoice, or has its amount before a correction.
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
async fn an_invoice_stored_during_a_list_read_is_not_missing() {
    let fixture = fixture().await;
    let evidence = fixture.evidence().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", CENTS)])
        .await
        .unwrap();
    let outcome = fixture
        .store_invoice_list(&[], evidence, true)
        .await
        .unwrap();
    assert_eq!(outcome.missing, 0);
    // Only the CSV, as in a manual ingest.
    let csv = format!("{HEADER}\n{APRIL}");
    let file = read_invoice_csv(csv.as_bytes()).unwrap();
    let document = Document::csv(csv.as_bytes());
    fixture
        .ingest_invoice(uuid(1), csv_only(&document, &file.lines))
        .await
        .unwrap();
    assert_eq!(invoice(&fixture).await.missing_since, None);
}
