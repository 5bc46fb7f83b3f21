//! Invoices that move to another month, and discrepancies of months.

use chrono::{Datelike as _, Months, NaiveDate};
use rust_decimal::Decimal;
use store::inventory::{Commit, OverrideChange};
use store::invoices::CostLine;

use super::{Running, droplet_line, tax_line};
use crate::bills::{assert_balanced, estimate, header, ingest, lines_of, uuid};
use crate::portions::until_waiting;
use crate::support::{by, droplet, fixture};

#[tokio::test]
async fn the_lines_of_an_invoice_follow_it_to_another_month() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    let change = OverrideChange {
        tenant_id: Some(Some("acme".parse().unwrap())),
        cloud_project_id: None,
        since: Some("2026-04-08T00:00:00Z".parse().unwrap()),
    };
    let resource = fixture.resource("1").await.id;
    fixture
        .change_override(resource, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    let month = |month| NaiveDate::from_ymd_opt(2026, month, 1).unwrap();
    // The second line has no dates: its charge period is the month.
    let lines = droplet_line(month(4), "web-1", 1, 15, 300)
        + "Droplets,,web-1 (s-1vcpu-1gb),1,,,$2.00,web,iaas\n"
        + &tax_line(month(4), 10);
    let split = "select count(*) from cloud_cost_lines where is_split";
    for (number, period) in [(1, "2026-04"), (2, "2026-05")] {
        fixture
            .discover_invoices(&[header(number, period, 510)])
            .await
            .unwrap();
        ingest(&fixture, number, &lines).await;
    }
    let totals = async || {
        assert_balanced(&fixture).await;
        let mut totals = Vec::new();
        for period in [month(4), month(5)] {
            let month = fixture.statements(period).await.unwrap();
            assert_eq!(month.total(), month.invoice_total);
            totals.push((month.line_total, month.is_final()));
        }
        totals
    };
    assert_eq!(fixture.count(split).await, 3);
    let before = lines_of(&fixture, "2026-04-01").await;
    fixture
        .discover_invoices(&[header(1, "2026-05", 510)])
        .await
        .unwrap();
    assert_eq!(
        totals().await,
        [(Decimal::ZERO, false), (Decimal::new(1020, 2), true)]
    );
    // In May, acme has the resource all the time.
    assert_eq!(fixture.count(split).await, 2);
    let ids = |lines: &[CostLine]| -> Vec<_> { lines.iter().map(|line| line.id).collect() };
    let after = lines_of(&fixture, "2026-05-01").await;
    assert_eq!(ids(&after)[..3], ids(&before));
    fixture
        .discover_invoices(&[header(1, "2026-04", 510)])
        .await
        .unwrap();
    assert_eq!(lines_of(&fixture, "2026-04-01").await, before);
    assert_eq!(
        totals().await,
        [(Decimal::new(510, 2), true), (Decimal::new(510, 2), true)]
    );
}

#[tokio::test]
async fn an_invoice_that_moves_while_it_is_ingested_takes_its_lines_along() {
    let fixture = fixture().await;
    let april = NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
    for number in [1, 2] {
        fixture
            .discover_invoices(&[header(number, "2026-04", 310)])
            .await
            .unwrap();
        let lines = droplet_line(april, "web-1", 1, 15, 300) + &tax_line(april, 10);
        ingest(&fixture, number, &lines).await;
    }
    // As if the ingest of the first invoice were in progress: it has no version yet, and the lock.
    let version_of_first = "update cloud_invoices set version = $1 where invoice_uuid = $2";
    let set_version = async |version: i32| {
        sqlx::query(version_of_first)
            .bind(version)
            .bind(uuid(1).as_uuid())
            .execute(&fixture.pool)
            .await
            .unwrap();
    };
    let mut ingesting = fixture.pool.acquire().await.unwrap();
    set_version(0).await;
    sqlx::query("select pg_advisory_lock(4, hashtext(''))")
        .execute(&mut *ingesting)
        .await
        .unwrap();
    let list = [header(1, "2026-05", 310), header(2, "2026-04", 311)];
    let listing = fixture.discover_invoices(&list);
    let storing = async {
        until_waiting(&fixture, 1).await;
        set_version(1).await;
        sqlx::query("select pg_advisory_unlock(4, hashtext(''))")
            .execute(&mut *ingesting)
            .await
            .unwrap();
    };
    let (listed, ()) = tokio::join!(listing, storing);
    listed.unwrap();
    assert_eq!(lines_of(&fixture, "2026-05-01").await.len(), 2);
    assert_eq!(lines_of(&fixture, "2026-04-01").await.len(), 2);
}

#[tokio::test]
async fn an_invoice_that_moves_opens_and_reduces_estimates() {
    let running = Running::start().await;
    let before = running.month - Months::new(1);
    let text = before.format("%Y-%m").to_string();
    let preview = running.droplet("web-1", 1, 20, 400);
    running.preview(&preview).await;
    running
        .fixture
        .discover_invoices(&[header(1, &text, 300)])
        .await
        .unwrap();
    ingest(&running.fixture, 1, &running.droplet("web-1", 1, 15, 300)).await;
    running.assert_runs(400, 400).await;
    let of_before = running.fixture.statements(before).await.unwrap();
    assert!(of_before.is_final());
    // The invoice belongs to the running month.
    running
        .fixture
        .discover_invoices(&[header(1, &running.text(), 300)])
        .await
        .unwrap();
    running.assert_runs(400, 100).await;
    let moved = running.fixture.invoice(uuid(1).as_uuid()).await.unwrap();
    assert_eq!(
        (moved.verification.as_deref(), moved.is_final),
        (Some("verified"), false)
    );
    let of_before = running.fixture.statements(before).await.unwrap();
    assert_eq!(of_before.line_total, Decimal::ZERO);
    // And back.
    running
        .fixture
        .discover_invoices(&[header(1, &text, 300)])
        .await
        .unwrap();
    running.assert_runs(400, 400).await;
    let of_before = running.fixture.statements(before).await.unwrap();
    assert!(of_before.is_final());
}

#[tokio::test]
async fn a_closed_estimate_opens_again_after_its_invoice_moved() {
    let fixture = fixture().await;
    let month = NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
    let line = droplet_line(month, "web-1", 1, 15, 300);
    for round in 1..=2 {
        estimate(&fixture, "2026-04", 300, &line).await;
        fixture
            .discover_invoices(&[header(1, "2026-04", 300)])
            .await
            .unwrap();
        ingest(&fixture, 1, &line).await;
        let estimates = fixture.estimates(None, 10).await.unwrap();
        assert_eq!(estimates[0].state, "final", "round {round}");
        fixture
            .discover_invoices(&[header(1, "2026-03", 300)])
            .await
            .unwrap();
        assert_balanced(&fixture).await;
    }
}

#[tokio::test]
async fn lines_in_another_month_than_their_bill_are_a_discrepancy() {
    let fixture = fixture().await;
    let month = NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
    fixture
        .discover_invoices(&[header(1, "2026-04", 300)])
        .await
        .unwrap();
    ingest(&fixture, 1, &droplet_line(month, "web-1", 1, 15, 300)).await;
    assert_balanced(&fixture).await;
    let expect = async |what: &str| {
        let found = fixture.cost_discrepancies().await.unwrap();
        assert!(
            found.iter().any(|found| found.what.starts_with(what)),
            "{what}: {found:?}"
        );
    };
    for statement in [
        "update cloud_cost_lines set bill_period = '2026-05-01'",
        "update cloud_invoices set period = '2026-06-01'",
    ] {
        sqlx::query(statement).execute(&fixture.pool).await.unwrap();
        expect("lines in another month than their bill").await;
    }
    sqlx::query("update cloud_cost_lines set bill_period = '2026-06-01'")
        .execute(&fixture.pool)
        .await
        .unwrap();
    assert_balanced(&fixture).await;
    sqlx::query("update cloud_cost_totals set period = '2026-05-01'")
        .execute(&fixture.pool)
        .await
        .unwrap();
    expect("lines and their total").await;
}

#[tokio::test]
async fn lines_of_an_estimate_that_do_not_total_it_are_a_discrepancy() {
    let running = Running::start().await;
    running.preview(&running.droplet("web-1", 1, 20, 400)).await;
    running
        .invoice(1, &running.droplet("web-1", 1, 15, 300))
        .await;
    assert_balanced(&running.fixture).await;
    sqlx::query("update cloud_cost_lines set preview_amount = 5 where estimate_id is not null")
        .execute(&running.fixture.pool)
        .await
        .unwrap();
    let found = running.fixture.cost_discrepancies().await.unwrap();
    assert_eq!(
        found[0].what,
        "line_total of the estimate and the preview amounts of its lines"
    );
    assert_eq!(found[0].period.month(), running.month.month());
}

#[tokio::test]
async fn an_amount_that_returns_is_verified_again() {
    let fixture = fixture().await;
    let month = NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
    let line = droplet_line(month, "web-1", 1, 15, 300);
    let list = async |cents| {
        fixture
            .discover_invoices(&[header(1, "2026-04", cents)])
            .await
            .unwrap()
    };
    let state = async || {
        let invoice = fixture.invoice(uuid(1).as_uuid()).await.unwrap();
        (
            invoice.ingest_status,
            invoice.verification,
            invoice.is_final,
            invoice.last_error,
        )
    };
    let verified = || {
        (
            "ingested".to_owned(),
            Some("verified".to_owned()),
            true,
            None,
        )
    };
    list(300).await;
    ingest(&fixture, 1, &line).await;
    assert_eq!(state().await, verified());
    // Another amount is listed, of which the documents cannot be read.
    assert_eq!(list(301).await.corrected, 1);
    assert_eq!(state().await, ("pending".to_owned(), None, false, None));
    fixture.fail_invoice(uuid(1), "404").await.unwrap();
    assert_eq!(
        state().await,
        ("failed".to_owned(), None, false, Some("404".to_owned()))
    );
    assert_eq!(list(300).await.corrected, 0);
    assert_eq!(state().await, verified());
    // The lines of the other amount replace the verified ones.
    list(301).await;
    ingest(&fixture, 1, &line.replace("$3.00", "$3.01")).await;
    assert_eq!(list(300).await.corrected, 1);
    assert_eq!(state().await.0, "pending");
    assert_balanced(&fixture).await;
}
