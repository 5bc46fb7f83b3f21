//! The data for the health of the mirror.

use domain::ResourceKind;
use domain::balance::BalanceReading;
use domain::invoices::read_invoice_csv;
use rust_decimal::Decimal;
use store::inventory::Decision;
use store::status::{HoldFacts, InvoiceFacts};

use super::bills::{HEADER, header, ingest, ingest_with, summary_of, uuid};
use super::held_deletions::lose_droplets;
use super::support::{by, droplet, fixture, incomplete};

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
        first.get_or_insert(facts.evidence.began_at());
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
    assert_eq!(
        (&*state, since),
        ("incomplete", Some(again.evidence.began_at()))
    );
}

#[tokio::test]
async fn the_status_has_the_result_of_the_last_check_of_all_sums() {
    let fixture = fixture().await;
    let status = async || fixture.status_facts().await.unwrap().books;
    assert_eq!(status().await, None);
    fixture.check_costs().await.unwrap();
    let first = status().await.unwrap();
    assert_eq!(first.discrepancies, 0);
    sqlx::query(
        "insert into cloud_cost_totals (bill_id, period, is_estimate, is_shared, project_name, product, amount, line_and_share_count)
         values (gen_random_uuid(), '2026-04-01', false, false, '', 'Droplets', 1, 1)",
    )
    .execute(&fixture.pool)
    .await
    .unwrap();
    // The status sums nothing itself.
    assert_eq!(status().await, Some(first));
    let found = fixture.check_costs().await.unwrap();
    let second = status().await.unwrap();
    assert_eq!(second.discrepancies, i64::try_from(found.len()).unwrap());
    assert!(second.discrepancies > 0 && second.checked_at > first.checked_at);
    // A check that began before the last one.
    sqlx::query("update cloud_cost_checks set checked_at = 'infinity'")
        .execute(&fixture.pool)
        .await
        .unwrap();
    sqlx::query("delete from cloud_cost_totals")
        .execute(&fixture.pool)
        .await
        .unwrap();
    fixture.check_costs().await.unwrap();
    let discrepancies: i64 = sqlx::query_scalar("select discrepancies from cloud_cost_checks")
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
    assert_eq!(discrepancies, second.discrepancies);
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
        (6, "2026-06", 600),
        (7, "2026-07", 600),
    ];
    let headers = months.map(|(number, period, cents)| header(number, period, cents));
    fixture.discover_invoices(&headers).await.unwrap();
    // The first invoice has no problem; the second is pending.
    for number in [1, 4, 5] {
        ingest(&fixture, number, line).await;
    }
    ingest_with(&fixture, 6, line, &[None], None).await;
    // Only the summary differs.
    let file = read_invoice_csv(format!("{HEADER}\n{line}").as_bytes()).unwrap();
    let mut summary = summary_of(&file.lines);
    summary.amount += Decimal::ONE;
    ingest_with(&fixture, 7, line, &[None], Some(&summary)).await;
    for number in [3, 4] {
        fixture.fail_invoice(uuid(number), "404").await.unwrap();
    }

    let pending_since = sqlx::query_scalar(
        "select first_seen_at from cloud_invoices where ingest_status = 'pending'",
    )
    .fetch_one(&fixture.pool)
    .await
    .unwrap();
    let rechecked = fixture.invoice(uuid(4).as_uuid()).await.unwrap();
    let facts = fixture.status_facts().await.unwrap();
    assert_eq!(
        facts.invoices,
        InvoiceFacts {
            failed: 1,
            pending: 1,
            pending_since: Some(pending_since),
            check_failed: 1,
            check_failed_since: rechecked.check_failed_since,
            unverified: 1,
            orphaned_overrides: 0,
            orphaned_since: None,
            unreconciled: 2,
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
        .decide_held_deletion(hold.id, Decision::Reject, &by("ann"))
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
