use std::time::{Duration, Instant};

use futures::future::join_all;
use store::budget::{Hint, Lease, Limits, Share, Shortage, TokenHash};

use super::support::fixture;

const TOKEN: TokenHash = [7; 32];
/// A hundred at once, then one in five seconds.
const LIMITS: Limits = Limits {
    per_minute: 0,
    per_hour: 800,
    times_faster: 1,
};
const REGAINED_IN: Duration = Duration::from_secs(5);

fn granted(lease: Lease) -> u32 {
    match lease {
        Lease::Granted { requests, .. } => requests,
        Lease::Refused { .. } => 0,
        Lease::Unknown => panic!("the budget was opened"),
    }
}

fn hint(remaining: u32, age: Duration) -> Hint {
    Hint {
        limit: 5_000,
        remaining,
        resets_in: Duration::from_mins(10),
        age,
    }
}

#[tokio::test]
async fn those_who_ask_at_once_do_not_get_more_together_than_one_would_alone() {
    let fixture = fixture().await;
    fixture.open_budget(&TOKEN, "cloud-billing").await.unwrap();
    let begun = Instant::now();
    let asking = (0..40).map(|_| {
        let store = fixture.store.clone();
        tokio::spawn(async move {
            let lease = store.take_requests(&TOKEN, &LIMITS, Share::All, 10, None);
            granted(lease.await.unwrap())
        })
    });
    let all: u32 = join_all(asking).await.into_iter().map(Result::unwrap).sum();
    let regained = u32::try_from(begun.elapsed().as_secs() / REGAINED_IN.as_secs()).unwrap();
    assert!((100..=101 + regained).contains(&all), "{all}");
}

#[tokio::test]
async fn a_429_closes_the_budget_for_whoever_asks_next() {
    let fixture = fixture().await;
    fixture.open_budget(&TOKEN, "cloud-billing").await.unwrap();
    let minute = Duration::from_mins(1);
    fixture.close_budget(&TOKEN, &LIMITS, minute).await.unwrap();
    let lease = fixture.take_requests(&TOKEN, &LIMITS, Share::All, 1, None);
    let lease = lease.await.unwrap();
    let Lease::Refused { wait, why } = lease else {
        panic!("{lease:?}");
    };
    assert_eq!(why, Shortage::Closed);
    assert!(wait > minute / 2 && wait <= minute, "{wait:?}");
    // Another token is none of its business.
    let other = [8; 32];
    fixture
        .open_budget(&other, "cloud-sync-full")
        .await
        .unwrap();
    let lease = fixture.take_requests(&other, &LIMITS, Share::All, 1, None);
    assert_eq!(granted(lease.await.unwrap()), 1);
}

#[tokio::test]
async fn what_answers_told_limits_other_processes_as_well() {
    let fixture = fixture().await;
    fixture.open_budget(&TOKEN, "cloud-billing").await.unwrap();
    let take = async |hint| {
        let lease = fixture.take_requests(&TOKEN, &LIMITS, Share::All, 10, hint);
        granted(lease.await.unwrap())
    };
    // Of 505 left, 500 are the people's.
    let seen = hint(505, Duration::ZERO);
    assert_eq!(take(Some(seen)).await, 5);
    assert_eq!(take(None).await, 0);
    // What was told before is not believed any more.
    assert_eq!(take(Some(hint(4_000, Duration::from_mins(1)))).await, 0);
    assert_eq!(take(Some(hint(4_000, Duration::ZERO))).await, 10);
}

#[tokio::test]
async fn what_is_left_is_told_for_each_purpose() {
    let fixture = fixture().await;
    let limits = Limits::default();
    for purpose in ["cloud-sync-full", "cloud-sync-fast"] {
        fixture.open_budget(&TOKEN, purpose).await.unwrap();
    }
    let other = [8; 32];
    fixture.open_budget(&other, "cloud-billing").await.unwrap();
    let lease = fixture.take_requests(&TOKEN, &limits, Share::All, 10, None);
    assert_eq!(granted(lease.await.unwrap()), 10);
    let minute = Duration::from_mins(1);
    fixture.close_budget(&other, &limits, minute).await.unwrap();

    let share = |purpose: &str| match purpose {
        "cloud-sync-fast" => Share::All,
        _ => Share::AllButTheFastLanes,
    };
    let left = fixture.budgets_left(&limits, share).await.unwrap();
    let purposes: Vec<_> = left.iter().map(|left| left.purpose.as_str()).collect();
    assert_eq!(
        purposes,
        ["cloud-billing", "cloud-sync-fast", "cloud-sync-full"]
    );
    let [billing, fast, full] = left.as_slice() else {
        panic!("{left:?}");
    };
    assert_eq!(billing.least(), Some(0));
    // Sixty at once, less ten; of these, fifteen are the fast lane's.
    assert!((50..=51).contains(&fast.least().unwrap()), "{fast:?}");
    assert!((35..=36).contains(&full.least().unwrap()), "{full:?}");
    let hour = fast.this_hour.unwrap();
    assert!((552..=553).contains(&hour.now), "{fast:?}");
    assert_eq!(hour.at_most, 562);
    let minute = full.this_minute.unwrap();
    assert_eq!(minute.at_most, 45, "{full:?}");
}

#[tokio::test]
async fn a_budget_is_opened_before_it_is_drawn_on_and_forgotten_a_week_after() {
    let fixture = fixture().await;
    let take = async || {
        let lease = fixture.take_requests(&TOKEN, &LIMITS, Share::All, 1, None);
        lease.await.unwrap()
    };
    assert_eq!(take().await, Lease::Unknown);
    fixture.open_budget(&TOKEN, "cloud-billing").await.unwrap();
    assert_eq!(granted(take().await), 1);

    let successor = [8; 32];
    fixture
        .open_budget(&successor, "cloud-billing")
        .await
        .unwrap();
    assert_eq!(granted(take().await), 1);
    sqlx::query("update cloud_request_budgets set used_at = now() - interval '8 days' where token_sha256 = $1")
        .bind(TOKEN.as_slice())
        .execute(&fixture.pool)
        .await
        .unwrap();
    fixture
        .open_budget(&successor, "cloud-billing")
        .await
        .unwrap();
    assert_eq!(take().await, Lease::Unknown);
}

#[tokio::test]
async fn requests_that_a_worker_took_into_its_grave_are_regained() {
    let fixture = fixture().await;
    let limits = Limits {
        per_minute: 240,
        per_hour: 0,
        // A minute lasts two seconds.
        times_faster: 30,
    };
    let minute = Duration::from_secs(2);
    fixture.open_budget(&TOKEN, "cloud-billing").await.unwrap();
    // It takes all that there is, sends none of it, and is never heard of again.
    let refused_for = loop {
        let lease = fixture.take_requests(&TOKEN, &limits, Share::All, 60, None);
        match lease.await.unwrap() {
            Lease::Granted { lasts, .. } => assert!(lasts < minute / 10, "{lasts:?}"),
            Lease::Refused { wait, why } => {
                assert_eq!(why, Shortage::Minute);
                break wait;
            }
            Lease::Unknown => panic!("the budget was opened"),
        }
    };
    assert!(refused_for < minute, "{refused_for:?}");
    let left = async || {
        let share = |_: &str| Share::All;
        let left = fixture.budgets_left(&limits, share).await.unwrap();
        left[0].this_minute.unwrap()
    };
    let begun = Instant::now();
    loop {
        let left = left().await;
        if left.now == left.at_most {
            break;
        }
        // A bucket of a quarter of the limit is full again after a third of the time in which the rest is regained.
        assert!(begun.elapsed() < minute * 5, "{left:?}");
        tokio::time::sleep(minute / 20).await;
    }
    let lease = fixture.take_requests(&TOKEN, &limits, Share::All, 60, None);
    assert!(granted(lease.await.unwrap()) > 1);
}
