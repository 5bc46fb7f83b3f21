//! The data for the health of the mirror.

use std::time::Instant;

use domain::ResourceKind;
use domain::balance::BalanceReading;
use store::inventory::Decision;
use store::status::{HoldFacts, InvoiceFacts, LONGEST_COUNT};

use super::bills::{header, ingest, uuid};
use super::held_deletions::lose_droplets;
use super::support::{droplet, fixture, incomplete};

#[tokio::test]
async fn failing_since_is_the_first_attempt_after_the_last_complete_one() {
    let fixture = fixture().await;
    let droplets = [droplet(1, "web-1")];
    let failing_since = async || {
        let facts = fixture.store.status_facts().await.unwrap();
        let [kind] = &*facts.kinds else {
            panic!("{facts:?}")
        };
        (kind.last_state.clone(), kind.failing_since)
    };
    let mut first = None;
    for _ in 0..3 {
        let facts = fixture.facts(incomplete()).await;
        first.get_or_insert(facts.started_at);
        fixture
            .sweep_with(&ResourceKind::DROPLET, &droplets, &facts)
            .await;
    }
    assert_eq!(failing_since().await, ("incomplete".to_owned(), first));

    fixture.sweep(&droplets).await;
    assert_eq!(failing_since().await, ("complete".to_owned(), None));

    let again = fixture.facts(incomplete()).await;
    fixture
        .sweep_with(&ResourceKind::DROPLET, &droplets, &again)
        .await;
    let (state, since) = failing_since().await;
    assert_eq!((&*state, since), ("incomplete", Some(again.started_at)));
}

#[tokio::test]
async fn the_count_of_discrepancies_has_a_timeout() {
    let fixture = fixture().await;
    let facts = fixture.store.status_facts().await.unwrap();
    assert_eq!(facts.discrepancies, Some(0));
    // The lock simulates a table that takes long to sum.
    let mut locking = fixture.pool.begin().await.unwrap();
    sqlx::query("lock table cloud_cost_lines in access exclusive mode")
        .execute(&mut *locking)
        .await
        .unwrap();
    let started = Instant::now();
    let facts = fixture.store.status_facts().await.unwrap();
    assert_eq!(facts.discrepancies, None);
    assert!(started.elapsed() >= LONGEST_COUNT);
}

#[tokio::test]
async fn invoices_are_counted_by_problem() {
    let fixture = fixture().await;
    let facts = fixture.status_facts().await.unwrap();
    assert_eq!(facts.invoices, InvoiceFacts::default());

    let line = "Droplets,,web-1 (s-1vcpu-1gb),1,,,$6.00,web,iaas\n";
    let months = [
        (1, "2026-01", 600),
        (2, "2026-02", 600),
        (3, "2026-03", 600),
        (4, "2026-04", 600),
        (5, "2026-05", 601),
    ];
    let headers = months.map(|(number, period, cents)| header(number, period, cents));
    fixture.discover_invoices(&headers).await.unwrap();
    // The first invoice has no problem; the second is pending.
    for number in [1, 4, 5] {
        ingest(&fixture, number, line).await;
    }
    for number in [3, 4] {
        fixture.fail_invoice(uuid(number), "404").await.unwrap();
    }

    let pending_since = sqlx::query_scalar(
        "select first_seen_at from cloud_invoices where ingest_status = 'pending'",
    )
    .fetch_one(&fixture.pool)
    .await
    .unwrap();
    let unverified = fixture.invoice(uuid(4).as_uuid()).await.unwrap();
    let facts = fixture.status_facts().await.unwrap();
    assert_eq!(
        facts.invoices,
        InvoiceFacts {
            failed: 1,
            pending: 1,
            pending_since: Some(pending_since),
            unverified: 1,
            unverified_since: unverified.check_failed_since,
            unreconciled: 1,
        }
    );
}

#[tokio::test]
async fn pending_held_deletions_are_listed_until_they_are_decided() {
    let fixture = fixture().await;
    let hold = lose_droplets(&fixture, 40, 20).await.held.unwrap();
    let facts = fixture.status_facts().await.unwrap();
    assert_eq!(
        facts.holds,
        [HoldFacts {
            kind: "droplet".to_owned(),
            held_at: hold.held_at,
            would_delete: 20,
        }]
    );
    let [kind] = &*facts.kinds else {
        panic!("{facts:?}")
    };
    assert_eq!(kind.last_state, "held");
    let reason = kind.last_reason.as_deref().unwrap();
    assert!(reason.contains(&hold.id.to_string()), "{reason}");

    fixture
        .decide_held_deletion(hold.id, Decision::Reject, "ann", None)
        .await
        .unwrap();
    assert_eq!(fixture.status_facts().await.unwrap().holds, []);
}

#[tokio::test]
async fn the_time_of_the_last_balance_poll_is_included() {
    let fixture = fixture().await;
    let polled_at = async || fixture.status_facts().await.unwrap().balance_polled_at;
    assert_eq!(polled_at().await, None);
    let reading = BalanceReading {
        month_to_date_balance: "23.44".parse().unwrap(),
        account_balance: "12.23".parse().unwrap(),
        month_to_date_usage: "11.21".parse().unwrap(),
        generated_at: "2026-04-09T15:01:12Z".parse().unwrap(),
    };
    fixture.store_balance(&reading).await.unwrap();
    let first = polled_at().await;
    assert!(first > Some(reading.generated_at));
    // A repeated reading also counts as a poll.
    fixture.store_balance(&reading).await.unwrap();
    assert!(polled_at().await > first);
}
