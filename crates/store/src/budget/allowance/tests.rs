use super::*;

const LIMITS: Limits = Limits {
    per_minute: 240,
    per_hour: 4_500,
    times_faster: 1,
};

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn fresh() -> Allowance {
    Allowance {
        minute_full_at: start(),
        hour_full_at: start(),
        closed_until: None,
        told: None,
    }
}

fn told(left: i64, reset_in: i64, at: DateTime<Utc>) -> Told {
    Told {
        limit: 5_000,
        left,
        reset_at: at + TimeDelta::seconds(reset_in),
        at,
    }
}

/// Takes whatever can be had for so long, as impatiently as possible; when each request was granted.
fn drain(allowance: &mut Allowance, share: Share, time: TimeDelta) -> Vec<DateTime<Utc>> {
    let mut granted = Vec::new();
    let mut now = start();
    while now < start() + time {
        match allowance.take(&LIMITS, share, 10, now) {
            Ok(count) => granted.extend((0..count).map(|_| now)),
            Err((at, _)) => {
                assert!(at > now, "to ask again at once is no pause");
                now = at;
            }
        }
    }
    granted
}

fn most_in_any(time: TimeDelta, granted: &[DateTime<Utc>]) -> usize {
    let in_time_from = |first: usize| {
        let end = granted[first] + time;
        granted[first..].partition_point(|at| *at < end)
    };
    (0..granted.len()).map(in_time_from).max().unwrap_or(0)
}

#[test]
fn no_minute_and_no_hour_sees_more_than_its_limit_however_late_requests_are_sent() {
    let granted = drain(&mut fresh(), Share::All, TimeDelta::hours(5));
    // A request may arrive ten seconds later than another that was granted with it.
    let blur = TimeDelta::seconds(10);
    assert!(most_in_any(TimeDelta::minutes(1) + blur, &granted) <= 240);
    assert!(most_in_any(TimeDelta::hours(1) + blur, &granted) <= 4_500);
    // And the allowance is used: seven eighths of the hour's, hour after hour.
    assert!(granted.len() >= 5 * 4_500 * 7 / 8, "{}", granted.len());
}

#[test]
fn who_waits_as_told_is_granted() {
    let mut allowance = fresh();
    let mut now = start();
    for _ in 0..2_000 {
        if let Err((at, _)) = allowance.take(&LIMITS, Share::AllButTheFastLanes, 1, now) {
            now = at;
            let granted = allowance.take(&LIMITS, Share::AllButTheFastLanes, 1, now);
            assert_eq!(granted, Ok(1));
        }
    }
}

#[test]
fn a_listing_without_end_leaves_the_fast_lane_its_share() {
    let mut allowance = fresh();
    let others = Share::AllButTheFastLanes;
    drain(&mut allowance, others, TimeDelta::hours(3));
    let mut now = start() + TimeDelta::hours(3);
    while allowance.take(&LIMITS, others, 10, now).is_ok() {}
    // Two a minute are what the fast lane needs; ten are there at any time.
    for _ in 0..10 {
        assert_eq!(allowance.take(&LIMITS, Share::All, 1, now), Ok(1));
        now += TimeDelta::milliseconds(1);
    }
}

#[test]
fn a_pause_fills_the_bucket_and_no_more() {
    let mut allowance = fresh();
    drain(&mut allowance, Share::All, TimeDelta::minutes(1));
    let later = start() + TimeDelta::hours(24);
    let mut granted = 0;
    while let Ok(count) = allowance.take(&LIMITS, Share::All, 10, later) {
        granted += count;
    }
    assert_eq!(granted, 60);
}

#[test]
fn what_people_use_of_the_token_is_missing_from_the_allowance() {
    let mut allowance = fresh();
    // Of 5,000 they have used 4,495; 500 are reserved for them.
    allowance.hear(told(505, 90, start()));
    assert_eq!(allowance.take(&LIMITS, Share::All, 10, start()), Ok(5));
    assert_eq!(
        allowance.take(&LIMITS, Share::All, 10, start()),
        Err((start() + TimeDelta::seconds(90), Shortage::OthersUseIt))
    );
    // Then one request at a time asks how it stands.
    let probe = start() + TimeDelta::seconds(90);
    assert_eq!(allowance.take(&LIMITS, Share::All, 10, probe), Ok(1));
    let (_, why) = allowance.take(&LIMITS, Share::All, 10, probe).unwrap_err();
    assert_eq!(why, Shortage::OthersUseIt);
    let answered = probe + TimeDelta::seconds(1);
    allowance.hear(told(3_000, 90, answered));
    assert_eq!(allowance.take(&LIMITS, Share::All, 10, answered), Ok(10));
}

#[test]
fn an_answer_that_comes_late_does_not_undo_a_later_one() {
    let mut allowance = fresh();
    allowance.hear(told(100, 90, start()));
    allowance.hear(told(4_000, 90, start() - TimeDelta::seconds(1)));
    assert!(allowance.take(&LIMITS, Share::All, 1, start()).is_err());
}

#[test]
fn a_429_closes_the_budget_and_it_opens_without_a_burst() {
    let mut allowance = fresh();
    let until = start() + TimeDelta::seconds(30);
    allowance.close(&LIMITS, until);
    allowance.close(&LIMITS, start() + TimeDelta::seconds(10));
    assert_eq!(
        allowance.take(&LIMITS, Share::All, 1, start()),
        Err((until, Shortage::Closed))
    );
    let (at, why) = allowance.take(&LIMITS, Share::All, 10, until).unwrap_err();
    assert_eq!(why, Shortage::Minute);
    assert!(at < until + TimeDelta::seconds(1));
    assert_eq!(allowance.take(&LIMITS, Share::All, 10, at), Ok(1));
}

#[test]
fn without_limits_of_our_own_a_429_and_the_headers_still_count() {
    let mut allowance = fresh();
    for _ in 0..10_000 {
        let granted = allowance.take(&Limits::NONE, Share::All, 10, start());
        assert_eq!(granted, Ok(10));
    }
    allowance.hear(told(400, 90, start()));
    assert!(
        allowance
            .take(&Limits::NONE, Share::All, 1, start())
            .is_err()
    );
    allowance.told = None;
    allowance.close(&Limits::NONE, start() + TimeDelta::seconds(5));
    assert!(
        allowance
            .take(&Limits::NONE, Share::All, 1, start())
            .is_err()
    );
}
