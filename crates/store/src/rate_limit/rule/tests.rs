use super::*;

const LIMITS: Limits = Limits {
    per_minute: 240,
    per_hour: 4_500,
    times_faster: 1,
};

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn full() -> Budget {
    Budget {
        minute_full_at: start(),
        hour_full_at: start(),
        closed_until: None,
        reported: None,
    }
}

fn reported(remaining: i64, reset_in: i64, at: DateTime<Utc>) -> ReportedLimit {
    ReportedLimit {
        limit: 5_000,
        remaining,
        reset_at: at + TimeDelta::seconds(reset_in),
        at,
    }
}

/// Leases all available requests for `time`, retrying as early as allowed. Returns the time of each
/// granted request.
fn drain(budget: &mut Budget, share: Share, time: TimeDelta) -> Vec<DateTime<Utc>> {
    let mut granted = Vec::new();
    let mut now = start();
    while now < start() + time {
        match budget.lease(&LIMITS, share, 10, now) {
            Ok(count) => granted.extend((0..count).map(|_| now)),
            Err((at, _)) => {
                assert!(at > now, "the retry is not later");
                now = at;
            }
        }
    }
    granted
}

fn most_in_any(window: TimeDelta, granted: &[DateTime<Utc>]) -> usize {
    let in_window_from = |first: usize| {
        let end = granted[first] + window;
        granted[first..].partition_point(|at| *at < end)
    };
    (0..granted.len()).map(in_window_from).max().unwrap_or(0)
}

#[test]
fn no_minute_and_no_hour_exceeds_its_limit_even_with_jitter() {
    let granted = drain(&mut full(), Share::All, TimeDelta::hours(5));
    // A request may arrive ten seconds later than another one of the same lease.
    let jitter = TimeDelta::seconds(10);
    assert!(most_in_any(TimeDelta::minutes(1) + jitter, &granted) <= 240);
    assert!(most_in_any(TimeDelta::hours(1) + jitter, &granted) <= 4_500);
    // The budget is used: seven eighths of the limit in each hour.
    assert!(granted.len() >= 5 * 4_500 * 7 / 8, "{}", granted.len());
}

#[test]
fn a_retry_at_the_returned_time_is_granted() {
    let mut budget = full();
    let mut now = start();
    for _ in 0..2_000 {
        if let Err((at, _)) = budget.lease(&LIMITS, Share::AllButReserve, 1, now) {
            now = at;
            let granted = budget.lease(&LIMITS, Share::AllButReserve, 1, now);
            assert_eq!(granted, Ok(1));
        }
    }
}

#[test]
fn an_endless_listing_leaves_the_reserve_to_the_fast_lane() {
    let mut budget = full();
    let others = Share::AllButReserve;
    drain(&mut budget, others, TimeDelta::hours(3));
    let mut now = start() + TimeDelta::hours(3);
    while budget.lease(&LIMITS, others, 10, now).is_ok() {}
    // The fast lane needs two a minute; ten are available at any time.
    for _ in 0..10 {
        assert_eq!(budget.lease(&LIMITS, Share::All, 1, now), Ok(1));
        now += TimeDelta::milliseconds(1);
    }
}

#[test]
fn a_pause_regains_the_burst_and_no_more() {
    let mut budget = full();
    drain(&mut budget, Share::All, TimeDelta::minutes(1));
    let later = start() + TimeDelta::hours(24);
    let mut granted = 0;
    while let Ok(count) = budget.lease(&LIMITS, Share::All, 10, later) {
        granted += count;
    }
    assert_eq!(granted, 60);
}

#[test]
fn requests_of_other_programs_reduce_the_budget() {
    let mut budget = full();
    // Others have used 4,495 of 5,000; 500 are reserved for people.
    budget.record_reported(reported(505, 90, start()));
    assert_eq!(budget.lease(&LIMITS, Share::All, 10, start()), Ok(5));
    assert_eq!(
        budget.lease(&LIMITS, Share::All, 10, start()),
        Err((
            start() + TimeDelta::seconds(90),
            Shortage::ReservedForOthers
        ))
    );
    // After the reset, one request at a time probes the limit.
    let probe = start() + TimeDelta::seconds(90);
    assert_eq!(budget.lease(&LIMITS, Share::All, 10, probe), Ok(1));
    let (_, shortage) = budget.lease(&LIMITS, Share::All, 10, probe).unwrap_err();
    assert_eq!(shortage, Shortage::ReservedForOthers);
    let response = probe + TimeDelta::seconds(1);
    budget.record_reported(reported(3_000, 90, response));
    assert_eq!(budget.lease(&LIMITS, Share::All, 10, response), Ok(10));
}

#[test]
fn a_late_report_does_not_replace_a_newer_one() {
    let mut budget = full();
    budget.record_reported(reported(100, 90, start()));
    budget.record_reported(reported(4_000, 90, start() - TimeDelta::seconds(1)));
    assert!(budget.lease(&LIMITS, Share::All, 1, start()).is_err());
}

#[test]
fn a_429_closes_the_budget_and_it_opens_without_a_burst() {
    let mut budget = full();
    let until = start() + TimeDelta::seconds(30);
    budget.close(&LIMITS, until);
    budget.close(&LIMITS, start() + TimeDelta::seconds(10));
    assert_eq!(
        budget.lease(&LIMITS, Share::All, 1, start()),
        Err((until, Shortage::Closed))
    );
    let (at, shortage) = budget.lease(&LIMITS, Share::All, 10, until).unwrap_err();
    assert_eq!(shortage, Shortage::Minute);
    assert!(at < until + TimeDelta::seconds(1));
    assert_eq!(budget.lease(&LIMITS, Share::All, 10, at), Ok(1));
}

#[test]
fn without_limits_a_429_and_the_headers_still_count() {
    let mut budget = full();
    let lease = |budget: &mut Budget| budget.lease(&Limits::NONE, Share::All, 10, start());
    for _ in 0..10_000 {
        assert_eq!(lease(&mut budget), Ok(10));
    }
    budget.record_reported(reported(400, 90, start()));
    assert!(lease(&mut budget).is_err());
    budget.reported = None;
    budget.close(&Limits::NONE, start() + TimeDelta::seconds(5));
    assert!(lease(&mut budget).is_err());
}
