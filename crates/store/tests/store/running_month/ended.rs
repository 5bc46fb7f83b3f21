//! The end of the bill of a month.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::Executor as _;

use super::droplet_line;
use crate::bills::{assert_balanced, estimate, header, ingest, uuid};
use crate::support::fixture;

#[tokio::test]
async fn the_bill_of_a_month_ends_with_an_invoice_listed_after_it() {
    let fixture = fixture().await;
    let ended = async |at: &str| -> bool {
        sqlx::query_scalar("select month_has_ended('2026-04-01', $1::timestamptz)")
            .bind(at)
            .fetch_one(&fixture.pool)
            .await
            .unwrap()
    };
    let seen = async |number: u128, at: &str| {
        sqlx::query(
            "update cloud_invoices set first_seen_at = $2::timestamptz where invoice_uuid = $1",
        )
        .bind(uuid(number).as_uuid())
        .bind(at)
        .execute(&fixture.pool)
        .await
        .unwrap();
    };
    let month = NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
    let line = droplet_line(month, "web-1", 1, 15, 300);
    // Without an invoice, nothing ends.
    assert!(!ended("2026-06-01T00:00:00Z").await);
    let headers = [header(1, "2026-04", 300), header(2, "2026-04", 300)];
    fixture.discover_invoices(&headers[..1]).await.unwrap();
    ingest(&fixture, 1, &line).await;
    seen(1, "2026-04-30T23:59:59Z").await;
    // It was listed during the month: a further one is expected for a week.
    for (at, expected) in [
        ("2026-04-30T23:59:59Z", false),
        ("2026-05-01T00:00:00Z", false),
        ("2026-05-07T23:59:59Z", false),
        ("2026-05-08T00:00:00Z", true),
    ] {
        assert_eq!(ended(at).await, expected, "{at}");
    }
    // A further one is listed, and its lines are not stored.
    fixture.discover_invoices(&headers).await.unwrap();
    seen(2, "2026-05-01T06:00:00Z").await;
    assert!(!ended("2026-05-08T00:00:00Z").await);
    ingest(&fixture, 2, &line).await;
    for (at, expected) in [
        ("2026-04-30T23:59:59Z", false),
        ("2026-05-01T00:00:00Z", true),
    ] {
        assert_eq!(ended(at).await, expected, "{at}");
    }
}

#[tokio::test]
async fn a_month_that_ends_without_a_change_is_settled() {
    let fixture = fixture().await;
    let month = NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
    let line = droplet_line(month, "web-1", 1, 15, 300);
    let preview = droplet_line(month, "web-1", 1, 20, 400);
    estimate(&fixture, "2026-04", 400, &preview).await;
    fixture
        .discover_invoices(&[header(1, "2026-04", 300)])
        .await
        .unwrap();
    let has_ended = async |answer: &str| {
        let function = format!(
            "create or replace function month_has_ended(month date, at timestamptz) returns boolean
             language sql stable as 'select {answer}'"
        );
        fixture
            .pool
            .execute(sqlx::AssertSqlSafe(function))
            .await
            .unwrap();
    };
    // As if the invoice was ingested during the month.
    has_ended("false").await;
    ingest(&fixture, 1, &line).await;
    let state = async || {
        let month = fixture.statements(month).await.unwrap();
        assert_balanced(&fixture).await;
        (month.is_final(), month.line_total, month.estimated)
    };
    let cents = |cents| Decimal::new(cents, 2);
    assert_eq!(state().await, (false, cents(400), cents(100)));
    fixture.settle_months().await.unwrap();
    assert_eq!(state().await, (false, cents(400), cents(100)));

    has_ended("true").await;
    sqlx::query("update cloud_invoices set first_seen_at = '2026-04-15T00:00:00Z'")
        .execute(&fixture.pool)
        .await
        .unwrap();
    fixture.settle_months().await.unwrap();
    assert_eq!(state().await, (true, cents(300), Decimal::ZERO));
    // The variance compares the whole month: the invoice during the month and the rest.
    let variances = fixture.variances(month).await.unwrap();
    let [variance] = &*variances else {
        panic!("{variances:?}")
    };
    assert_eq!(
        (variance.estimated, variance.invoiced, variance.variance),
        (cents(400), cents(300), cents(-100))
    );
}
