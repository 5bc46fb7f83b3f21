//! Estimates of the open month.

use rust_decimal::Decimal;
use store::invoices::EstimateOutcome;

use super::bills::{APRIL, april_lines, assert_balanced, estimate, header, ingest, statements};
use super::support::{droplet, fixture};

const HALF: &str = "\
Droplets,,web-1 (s-1vcpu-1gb),372,2026-04-01 00:00:00 +0000,2026-04-16 00:00:00 +0000,$3.00,web,iaas
Taxes,,GST,,2026-04-01 00:00:00 +0000,2026-04-15 23:59:59 +0000,$0.30,,iaas
";

#[tokio::test]
async fn an_estimate_replaces_the_previous_one() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    let first = estimate(&fixture, "2026-04", 330, HALF).await;
    assert!(
        matches!(first, EstimateOutcome::Estimated { lines: 2, off_by, replaced: true, .. } if off_by.is_zero()),
        "{first:?}"
    );
    let lines = april_lines(&fixture).await;
    assert!(
        lines
            .iter()
            .all(|line| line.is_estimate && line.invoice_id.is_none())
    );
    assert_eq!(lines[0].match_rule, "name");

    let later = HALF
        .replace("$3.00", "$4.00")
        .lines()
        .next()
        .unwrap()
        .to_owned();
    estimate(&fixture, "2026-04", 400, &later).await;
    let lines = april_lines(&fixture).await;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].amount, Decimal::new(400, 2));
    assert_eq!(statements(&fixture, "2026-04-01").await, [(None, 400, 0)]);
    let month = fixture
        .statements("2026-04-01".parse().unwrap())
        .await
        .unwrap();
    assert!(month.is_estimate);
    assert_balanced(&fixture).await;
}

#[tokio::test]
async fn an_invoice_closes_the_estimate_and_keeps_the_variance_by_product() {
    let fixture = fixture().await;
    estimate(&fixture, "2026-04", 330, HALF).await;
    fixture
        .discover_invoices(&[header(1, "2026-04", -99_501)])
        .await
        .unwrap();
    let april = "2026-04-01".parse().unwrap();
    assert!(fixture.variances(april).await.unwrap().is_empty());
    ingest(&fixture, 1, APRIL).await;
    let lines = april_lines(&fixture).await;
    assert!(lines.len() == 3 && lines.iter().all(|line| !line.is_estimate));
    let variances: Vec<_> = fixture
        .variances(april)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.product, row.estimated, row.invoiced, row.variance))
        .collect();
    let cents = |cents: i64| Decimal::new(cents, 2);
    assert_eq!(
        variances,
        [
            ("Droplets".to_owned(), cents(300), cents(609), cents(309)),
            (
                "Taxes".to_owned(),
                cents(30),
                cents(-100_110),
                cents(-100_140)
            ),
        ]
    );
    let estimates = fixture.estimates(None, 10).await.unwrap();
    assert_eq!(
        (estimates[0].state.as_str(), estimates[0].amount),
        ("final", cents(330))
    );
    // The preview lags behind the invoice.
    let late = estimate(&fixture, "2026-04", 330, HALF).await;
    assert_eq!(late, EstimateOutcome::AlreadyInvoiced);
    assert_eq!(april_lines(&fixture).await.len(), 3);
    assert_balanced(&fixture).await;
}

#[tokio::test]
async fn concurrent_estimate_and_invoice_leave_the_invoice() {
    let fixture = fixture().await;
    fixture
        .discover_invoices(&[header(1, "2026-04", -99_501)])
        .await
        .unwrap();
    tokio::join!(
        ingest(&fixture, 1, APRIL),
        estimate(&fixture, "2026-04", 330, HALF),
        estimate(&fixture, "2026-04", 330, HALF)
    );
    assert!(
        april_lines(&fixture)
            .await
            .iter()
            .all(|line| !line.is_estimate)
    );
    assert_balanced(&fixture).await;
}
