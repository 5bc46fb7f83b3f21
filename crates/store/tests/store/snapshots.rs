//! Answers of several queries read one snapshot: a commit between two queries changes nothing.

use domain::balance::BalanceReading;
use sqlx::AssertSqlSafe;

use super::bills::{APRIL, header, ingest};
use super::support::{Fixture, droplet, fixture};

/// Runs `read`, and commits `statement` while one of its queries waits for the table `locked`, so
/// that the queries before it have been answered.
async fn commit_between<T>(
    fixture: &Fixture,
    locked: &str,
    statement: &'static str,
    read: impl Future<Output = T>,
) -> T {
    let mut writer = fixture.pool.begin().await.unwrap();
    let lock = format!("lock table {locked} in access exclusive mode");
    sqlx::raw_sql(AssertSqlSafe(lock))
        .execute(&mut *writer)
        .await
        .unwrap();
    let committing = async {
        let waiting = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
            where not l.granted and l.relation is not null and d.datname = current_database()";
        while fixture.count(waiting).await == 0 {
            tokio::task::yield_now().await;
        }
        sqlx::raw_sql(statement)
            .execute(&mut *writer)
            .await
            .unwrap();
        writer.commit().await.unwrap();
    };
    tokio::join!(read, committing).0
}

async fn with_bill() -> Fixture {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture
        .discover_invoices(&[header(1, "2026-04", -99_501)])
        .await
        .unwrap();
    ingest(&fixture, 1, APRIL).await;
    let reading = BalanceReading {
        month_to_date_balance: "1".parse().unwrap(),
        account_balance: "2".parse().unwrap(),
        month_to_date_usage: "3".parse().unwrap(),
        generated_at: "2026-05-01T00:00:00Z".parse().unwrap(),
    };
    fixture.store_balance(&reading).await.unwrap();
    fixture
}

#[tokio::test]
async fn statements_of_a_month_are_of_one_snapshot() {
    let fixture = with_bill().await;
    let period = "2026-04-01".parse().unwrap();
    let before = fixture.statements(period).await.unwrap();
    let changed = "update cloud_invoices set amount = amount + 1";
    let read = fixture.statements(period);
    let month = commit_between(&fixture, "cloud_allocation_rules", changed, read).await;
    assert_eq!(month.unwrap(), before);
    let after = fixture.statements(period).await.unwrap();
    assert_ne!(after.invoice_total, before.invoice_total);
}

#[tokio::test]
async fn gauges_are_of_one_snapshot() {
    let fixture = with_bill().await;
    let before = fixture.gauges().await.unwrap();
    let changed = "update cloud_balance_snapshots set account_balance = 99";
    let gauges = Box::pin(fixture.gauges());
    let read = commit_between(&fixture, "cloud_invoices", changed, gauges).await;
    let read = read.unwrap();
    assert_eq!(read.balance, before.balance);
    assert_eq!(read.ledger, before.ledger);
    assert_ne!(fixture.gauges().await.unwrap().balance, before.balance);
}

#[tokio::test]
async fn the_facts_of_the_status_are_of_one_snapshot() {
    let fixture = with_bill().await;
    let before = fixture.status_facts().await.unwrap();
    let changed = "update cloud_balance_snapshots set last_polled_at = '2026-01-01'";
    let read = fixture.status_facts();
    let read = commit_between(&fixture, "cloud_held_deletions", changed, read).await;
    let read = read.unwrap();
    assert_eq!(read.balance_polled_at, before.balance_polled_at);
    let after = fixture.status_facts().await.unwrap();
    assert_ne!(after.balance_polled_at, before.balance_polled_at);
}
