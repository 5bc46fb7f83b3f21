//! Leases of requests by concurrent processes, in PostgreSQL.

use std::time::{Duration, Instant};

use futures::future::join_all;
use store::rate_limit::{Lease, LimitReport, Limits, Share, Shortage, TokenHash};

use super::support::fixture;

const TOKEN: TokenHash = [7; 32];
/// A burst of 100, then one request in five seconds.
const LIMITS: Limits = Limits {
    per_minute: 0,
    per_hour: 800,
    times_faster: 1,
};
const INTERVAL: Duration = Duration::from_secs(5);

fn granted(lease: Lease) -> u32 {
    match lease {
        Lease::Granted { requests, .. } => requests,
        Lease::Refused { .. } => 0,
        Lease::Unknown => panic!("the budget is open"),
    }
}

fn report(remaining: u32, age: Duration) -> LimitReport {
    LimitReport {
        limit: 5_000,
        remaining,
        resets_in: Duration::from_mins(10),
        age,
    }
}

#[tokio::test]
async fn concurrent_leases_together_do_not_exceed_the_limit() {
    let fixture = fixture().await;
    fixture.open_budget(&TOKEN, "cloud-billing").await.unwrap();
    let start = Instant::now();
    let leases = (0..40).map(|_| {
        let store = fixture.store.clone();
        tokio::spawn(async move {
            let lease = store.lease_requests(&TOKEN, &LIMITS, Share::All, 10, None);
            granted(lease.await.unwrap())
        })
    });
    let all: u32 = join_all(leases).await.into_iter().map(Result::unwrap).sum();
    let regained = u32::try_from(start.elapsed().as_secs() / INTERVAL.as_secs()).unwrap();
    assert!((100..=101 + regained).contains(&all), "{all}");
}

#[tokio::test]
async fn a_429_closes_the_budget_of_its_token_only() {
    let fixture = fixture().await;
    fixture.open_budget(&TOKEN, "cloud-billing").await.unwrap();
    let minute = Duration::from_mins(1);
    fixture.close_budget(&TOKEN, &LIMITS, minute).await.unwrap();
    let lease = fixture.lease_requests(&TOKEN, &LIMITS, Share::All, 1, None);
    let lease = lease.await.unwrap();
    let Lease::Refused {
        retry_after,
        reason,
    } = lease
    else {
        panic!("{lease:?}");
    };
    assert_eq!(reason, Shortage::Closed);
    assert!(
        retry_after > minute / 2 && retry_after <= minute,
        "{retry_after:?}"
    );
    let other = [8; 32];
    fixture
        .open_budget(&other, "cloud-sync-full")
        .await
        .unwrap();
    let lease = fixture.lease_requests(&other, &LIMITS, Share::All, 1, None);
    assert_eq!(granted(lease.await.unwrap()), 1);
}

#[tokio::test]
async fn a_reported_limit_applies_to_all_processes() {
    let fixture = fixture().await;
    fixture.open_budget(&TOKEN, "cloud-billing").await.unwrap();
    let lease = async |report| {
        let lease = fixture.lease_requests(&TOKEN, &LIMITS, Share::All, 10, report);
        granted(lease.await.unwrap())
    };
    // Of 505 remaining, 500 are reserved for people.
    let first = report(505, Duration::ZERO);
    assert_eq!(lease(Some(first)).await, 5);
    assert_eq!(lease(None).await, 0);
    let older = report(4_000, Duration::from_mins(1));
    assert_eq!(lease(Some(older)).await, 0);
    let newer = report(4_000, Duration::ZERO);
    assert_eq!(lease(Some(newer)).await, 10);
}

#[tokio::test]
async fn available_requests_are_listed_by_purpose() {
    let fixture = fixture().await;
    let limits = Limits::default();
    for purpose in ["cloud-sync-full", "cloud-sync-fast"] {
        fixture.open_budget(&TOKEN, purpose).await.unwrap();
    }
    let other = [8; 32];
    fixture.open_budget(&other, "cloud-billing").await.unwrap();
    let lease = fixture.lease_requests(&TOKEN, &limits, Share::All, 10, None);
    assert_eq!(granted(lease.await.unwrap()), 10);
    let minute = Duration::from_mins(1);
    fixture.close_budget(&other, &limits, minute).await.unwrap();

    let share = |purpose: &str| match purpose {
        "cloud-sync-fast" => Share::All,
        _ => Share::AllButReserve,
    };
    let available = fixture.available_requests(&limits, share).await.unwrap();
    let purposes: Vec<_> = available.iter().map(|one| one.purpose.as_str()).collect();
    assert_eq!(
        purposes,
        ["cloud-billing", "cloud-sync-fast", "cloud-sync-full"]
    );
    let [billing, fast, full] = available.as_slice() else {
        panic!("{available:?}");
    };
    assert_eq!(billing.now(), Some(0));
    // A burst of 60 less 10, and those regained since. 15 of the burst are reserved for the fast
    // lane.
    assert!((50..=60).contains(&fast.now().unwrap()), "{fast:?}");
    assert!((35..=45).contains(&full.now().unwrap()), "{full:?}");
    let hour = fast.this_hour.unwrap();
    assert!((552..=562).contains(&hour.now), "{fast:?}");
    assert_eq!(hour.at_most, 562);
    let minute = full.this_minute.unwrap();
    assert_eq!(minute.at_most, 45, "{full:?}");
}

#[tokio::test]
async fn a_budget_is_deleted_a_week_after_its_last_use() {
    let fixture = fixture().await;
    let lease = async || {
        let lease = fixture.lease_requests(&TOKEN, &LIMITS, Share::All, 1, None);
        lease.await.unwrap()
    };
    assert_eq!(lease().await, Lease::Unknown);
    fixture.open_budget(&TOKEN, "cloud-billing").await.unwrap();
    assert_eq!(granted(lease().await), 1);

    let successor = [8; 32];
    fixture
        .open_budget(&successor, "cloud-billing")
        .await
        .unwrap();
    assert_eq!(granted(lease().await), 1);
    sqlx::query("update cloud_request_budgets set used_at = now() - interval '8 days' where provider_token_sha256 = $1")
        .bind(TOKEN.as_slice())
        .execute(&fixture.pool)
        .await
        .unwrap();
    fixture
        .open_budget(&successor, "cloud-billing")
        .await
        .unwrap();
    assert_eq!(lease().await, Lease::Unknown);
}

#[tokio::test]
async fn requests_leased_by_a_worker_that_dies_are_regained() {
    let fixture = fixture().await;
    let limits = Limits {
        per_minute: 240,
        per_hour: 0,
        // Shortens the minute to two seconds.
        times_faster: 30,
    };
    let minute = Duration::from_secs(2);
    fixture.open_budget(&TOKEN, "cloud-billing").await.unwrap();
    // It leases all available requests and sends none of them.
    let retry_after = loop {
        let lease = fixture.lease_requests(&TOKEN, &limits, Share::All, 60, None);
        match lease.await.unwrap() {
            Lease::Granted { valid_for, .. } => {
                assert!(valid_for < minute / 10, "{valid_for:?}");
            }
            Lease::Refused {
                retry_after,
                reason,
            } => {
                assert_eq!(reason, Shortage::Minute);
                break retry_after;
            }
            Lease::Unknown => panic!("the budget is open"),
        }
    };
    assert!(retry_after < minute, "{retry_after:?}");
    let start = Instant::now();
    loop {
        let share = |_: &str| Share::All;
        let available = fixture.available_requests(&limits, share).await.unwrap();
        let minutes = available[0].this_minute.unwrap();
        if minutes.now == minutes.at_most {
            break;
        }
        // The burst, a quarter of the limit, is regained in a third of the window.
        assert!(start.elapsed() < minute * 5, "{minutes:?}");
        tokio::time::sleep(minute / 20).await;
    }
    let lease = fixture.lease_requests(&TOKEN, &limits, Share::All, 60, None);
    assert!(granted(lease.await.unwrap()) > 1);
}
