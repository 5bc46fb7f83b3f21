//! Discovery and ingest of invoices.

use rust_decimal::Decimal;
use store::StoreError;
use store::inventory::Commit;
use store::invoices::Document;
use store::projects::ProjectChange;

use super::bills::{APRIL, april_lines, correct, csv_only, header, ingest, no_recheck, uuid};
use super::support::{by, droplet, fixture, members, project};

#[tokio::test]
async fn new_invoices_are_pending_until_ingested_newest_first() {
    let fixture = fixture().await;
    let headers = [
        header(1, "2026-03", 100),
        header(2, "2026-04", 200),
        header(3, "2026-02", 300),
    ];
    let found = fixture.discover_invoices(&headers).await.unwrap();
    assert_eq!((found.listed, found.new, found.corrected), (3, 3, 0));
    let again = fixture.discover_invoices(&headers).await.unwrap();
    assert_eq!((again.new, again.corrected), (0, 0));

    let first_page = fixture
        .pending_invoices(None, no_recheck(), 2)
        .await
        .unwrap();
    let uuids: Vec<_> = first_page
        .iter()
        .map(|pending| pending.invoice_uuid)
        .collect();
    assert_eq!(uuids, [uuid(2), uuid(1)]);
    let second_page = fixture
        .pending_invoices(first_page.last().copied(), no_recheck(), 2)
        .await
        .unwrap();
    assert_eq!(second_page[0].invoice_uuid, uuid(3));

    ingest(&fixture, 2, "").await;
    assert_eq!(
        fixture
            .pending_invoices(None, no_recheck(), 10)
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn lines_are_stored_as_in_the_file() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture
        .discover_invoices(&[header(1, "2026-04", -99_501)])
        .await
        .unwrap();
    let outcome = ingest(&fixture, 1, APRIL).await;
    assert_eq!((outcome.lines, outcome.off_by), (3, Decimal::ZERO));
    assert_eq!(
        outcome.rules.into_iter().collect::<Vec<_>>(),
        [
            ("account".to_owned(), 1),
            ("name".to_owned(), 1),
            ("unmatched".to_owned(), 1)
        ]
    );

    let lines = april_lines(&fixture).await;
    let rules: Vec<_> = lines
        .iter()
        .map(|line| (line.line_no, line.match_rule.as_str()))
        .collect();
    assert_eq!(rules, [(1, "name"), (2, "unmatched"), (3, "account")]);
    assert_eq!(lines[0].resource_id, Some(fixture.resource("1").await.id));
    assert_eq!(lines[0].resource_name.as_deref(), Some("WEB-1"));
    assert_eq!(lines[2].description, "GST (18%), India\\");
    assert_eq!(
        (lines[2].amount, lines[2].hours),
        (Decimal::new(-100_110, 2), None)
    );
    let invoice = fixture.invoice(uuid(1).as_uuid()).await.unwrap();
    assert_eq!(
        (invoice.ingest_status.as_str(), invoice.line_count),
        ("ingested", Some(3))
    );
    assert_eq!(
        (invoice.reconciled, invoice.off_by),
        (Some(true), Some(Decimal::ZERO))
    );
}

#[tokio::test]
async fn an_unreconciled_invoice_has_its_difference() {
    let fixture = fixture().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", -99_500)])
        .await
        .unwrap();
    assert_eq!(ingest(&fixture, 1, APRIL).await.off_by, Decimal::new(1, 2));
    let invoice = fixture.invoice(uuid(1).as_uuid()).await.unwrap();
    assert_eq!(
        (invoice.reconciled, invoice.off_by),
        (Some(false), Some(Decimal::new(1, 2)))
    );
}

#[tokio::test]
async fn a_repeated_ingest_changes_nothing_and_another_file_replaces_all() {
    let fixture = fixture().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", -99_501)])
        .await
        .unwrap();
    assert!(ingest(&fixture, 1, APRIL).await.replaced);
    let before = april_lines(&fixture).await;
    let (one, two) = tokio::join!(ingest(&fixture, 1, APRIL), ingest(&fixture, 1, APRIL));
    assert!(!one.replaced && !two.replaced);
    assert_eq!(april_lines(&fixture).await, before);

    let shorter = APRIL.lines().next().unwrap();
    assert!(correct(&fixture, 1, shorter).await.replaced);
    let after = april_lines(&fixture).await;
    assert_eq!(after, before[..1]);
}

#[tokio::test]
async fn a_failed_ingest_of_a_correction_keeps_the_previous_lines() {
    let fixture = fixture().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", -99_400)])
        .await
        .unwrap();
    ingest(&fixture, 1, APRIL).await;
    fixture
        .discover_invoices(&[header(1, "2026-04", -99_501)])
        .await
        .unwrap();
    fixture
        .fail_invoice(uuid(1), "line 3, column USD: no amount")
        .await
        .unwrap();
    let invoice = fixture.invoice(uuid(1).as_uuid()).await.unwrap();
    assert_eq!(invoice.ingest_status, "failed");
    assert_eq!(
        invoice.last_error.as_deref(),
        Some("line 3, column USD: no amount")
    );
    assert_eq!(april_lines(&fixture).await.len(), 3);
    assert_eq!(
        fixture
            .pending_invoices(None, no_recheck(), 10)
            .await
            .unwrap()
            .len(),
        1
    );

    ingest(&fixture, 1, APRIL).await;
    let invoice = fixture.invoice(uuid(1).as_uuid()).await.unwrap();
    assert_eq!(
        (invoice.ingest_status.as_str(), invoice.last_error),
        ("ingested", None)
    );
}

#[tokio::test]
async fn a_corrected_amount_makes_an_invoice_pending() {
    let fixture = fixture().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", -99_501)])
        .await
        .unwrap();
    ingest(&fixture, 1, APRIL).await;
    let found = fixture
        .discover_invoices(&[header(1, "2026-04", -99_000)])
        .await
        .unwrap();
    assert_eq!((found.new, found.corrected), (0, 1));
    let invoice = fixture.invoice(uuid(1).as_uuid()).await.unwrap();
    assert_eq!(
        (invoice.ingest_status.as_str(), invoice.off_by),
        ("pending", Some(Decimal::new(501, 2)))
    );
}

#[tokio::test]
async fn an_unknown_invoice_cannot_be_ingested() {
    let fixture = fixture().await;
    assert!(!fixture.has_invoice(uuid(9)).await.unwrap());
    let outcome = fixture
        .ingest_invoice(uuid(9), csv_only(&Document::csv(b"x"), &[]))
        .await;
    assert!(
        matches!(outcome, Err(StoreError::NotFound { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_line_has_the_tenant_of_its_resource_or_of_its_project_name() {
    let fixture = fixture().await;
    fixture.sweep_projects(&[project(1, "web")]).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture
        .store_members(&[members(1, &["do:droplet:1"])])
        .await;
    fixture
        .discover_invoices(&[header(1, "2026-04", -99_501)])
        .await
        .unwrap();
    ingest(&fixture, 1, APRIL).await;
    let web = fixture.resource("1").await.cloud_project_id.unwrap();
    let change = ProjectChange {
        tenant_id: Some(Some("acme".parse().unwrap())),
        tenant_since: Some("2015-01-01T00:00:00Z".parse().unwrap()),
        purpose: None,
    };
    fixture
        .change_project(web, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    let tenants: Vec<_> = april_lines(&fixture)
        .await
        .into_iter()
        .map(|line| line.tenant_id)
        .collect();
    // The droplet of the second line is not stored, so the project name decides. The tax is a
    // shared cost.
    let acme = Some("acme".to_owned());
    assert_eq!(tenants, [acme.clone(), acme, None]);
}
