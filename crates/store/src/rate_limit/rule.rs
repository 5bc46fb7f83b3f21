//! The rate limit rule: how many requests may be sent now with a token. Pure arithmetic; the caller
//! passes the time.
//!
//! Each of the two limits, per minute and per hour, is a GCRA (generic cell rate algorithm). Its
//! state is one theoretical arrival time (TAT), `minute_full_at` and `hour_full_at`: the time at
//! which all requests leased so far are regained, in the past if none is outstanding. A lease moves
//! the TAT one emission interval ahead for each request, and the TAT may be at most `burst`
//! intervals ahead of now. In any window of the limit's length, the burst and the requests that are
//! regained total the limit, so no window exceeds it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The requests that all processes together may send with one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In any minute; 0 disables the limit.
    pub per_minute: u32,
    /// In any hour; 0 disables the limit.
    pub per_hour: u32,
    /// Shortens the minute and the hour by this factor: 1, except in tests.
    pub times_faster: u32,
}

impl Limits {
    /// No limits of this system: only the headers and 429s of DigitalOcean count.
    pub const NONE: Self = Self {
        per_minute: 0,
        per_hour: 0,
        times_faster: 1,
    };

    fn minute(&self) -> TimeDelta {
        TimeDelta::minutes(1) / self.divisor()
    }

    fn hour(&self) -> TimeDelta {
        TimeDelta::hours(1) / self.divisor()
    }

    fn divisor(&self) -> i32 {
        i32::try_from(self.times_faster).unwrap_or(i32::MAX).max(1)
    }

    /// The time after a lease within which its requests may be sent: five seconds.
    pub(super) fn lease_duration(&self) -> TimeDelta {
        self.minute() / 12
    }

    /// The time by which requests may arrive closer together than they were leased: they are sent
    /// up to one lease duration late, and take as long again to arrive (rule of ours).
    fn jitter(&self) -> TimeDelta {
        self.lease_duration() * 2
    }

    fn minute_rate(&self) -> Option<Rate> {
        Rate::new(self.per_minute, 4, self.minute() + self.jitter())
    }

    fn hour_rate(&self) -> Option<Rate> {
        Rate::new(self.per_hour, 8, self.hour() + self.jitter())
    }
}

impl Default for Limits {
    /// Below DigitalOcean's 250 a minute and 5,000 an hour (spec), with a reserve for people who
    /// use the same token.
    fn default() -> Self {
        Self {
            per_minute: 240,
            per_hour: 4_500,
            times_faster: 1,
        }
    }
}

/// The share of a budget that a purpose may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// The whole budget: for the fast lane (`cloud-sync-fast`), which needs few requests at any
    /// time.
    All,
    /// The budget less a quarter of the burst, which is reserved for the fast lane.
    AllButReserve,
}

impl Share {
    fn reserve(self, burst: i64) -> i64 {
        match self {
            Self::All => 0,
            Self::AllButReserve => burst / 4,
        }
    }
}

/// The parameters of one GCRA.
struct Rate {
    /// Requests that are available at once if none is outstanding.
    burst: i64,
    /// The emission interval: the time in which one request is regained.
    interval: TimeDelta,
}

impl Rate {
    /// The burst is `limit / burst_divisor`; the rest of the limit is regained evenly in the
    /// window.
    fn new(limit: u32, burst_divisor: i64, window: TimeDelta) -> Option<Self> {
        let limit = i64::from(limit);
        let burst = (limit / burst_divisor).max(1);
        let regained = (limit - burst).max(1);
        let micros = window.num_microseconds()?;
        (limit > 0).then(|| Self {
            burst,
            // Rounded up: a request too few rather than one too many.
            interval: TimeDelta::microseconds(micros / regained + 1),
        })
    }

    /// The requests available now. Negative if more than the share is outstanding.
    fn available(&self, full_at: DateTime<Utc>, now: DateTime<Utc>, share: Share) -> i64 {
        let ahead = (full_at - now).max(TimeDelta::zero());
        let ahead = ahead.num_microseconds().unwrap_or(i64::MAX);
        let interval = self.interval.num_microseconds().unwrap_or(i64::MAX);
        let outstanding = ahead / interval + i64::from(ahead % interval > 0);
        self.burst - share.reserve(self.burst) - outstanding
    }

    /// The time at which one request is available.
    fn next_at(&self, full_at: DateTime<Utc>, share: Share) -> DateTime<Utc> {
        let others = self.burst - share.reserve(self.burst) - 1;
        full_at - self.interval * i32::try_from(others).unwrap_or(i32::MAX)
    }

    /// The TAT after a lease.
    fn after_lease(
        &self,
        requests: i64,
        full_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> DateTime<Utc> {
        full_at.max(now) + self.interval * i32::try_from(requests).unwrap_or(i32::MAX)
    }
}

/// The hourly limit of a token as DigitalOcean's headers last reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReportedLimit {
    pub(super) limit: i64,
    /// As reported, less the requests leased since.
    pub(super) remaining: i64,
    /// The time at which the next request is regained.
    pub(super) reset_at: DateTime<Utc>,
    pub(super) at: DateTime<Utc>,
}

impl ReportedLimit {
    /// The requests available of it: a tenth of the limit is reserved for people, a quarter as
    /// many for the fast lane.
    fn available(&self, share: Share) -> i64 {
        self.remaining - self.limit / 10 - share.reserve(self.limit / 10)
    }
}

/// The requests available at once by one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Available {
    pub now: u32,
    /// If none of the limit is used.
    pub at_most: u32,
}

impl Available {
    fn new(now: i64, at_most: i64) -> Self {
        let number = |number: i64| u32::try_from(number.max(0)).unwrap_or(u32::MAX);
        Self {
            now: number(now),
            at_most: number(at_most),
        }
    }
}

/// The requests that a purpose may lease at once, by each limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailableRequests {
    pub purpose: String,
    /// By the limit per minute; none if it is disabled.
    pub this_minute: Option<Available>,
    /// By the limit per hour; none if it is disabled.
    pub this_hour: Option<Available>,
    /// By DigitalOcean's headers, less the reserve for people; none if no response of the last hour
    /// had them.
    pub reported: Option<Available>,
    /// The rest of the wait after a 429; zero if the budget is open.
    pub closed_for: Duration,
}

impl AvailableRequests {
    /// The requests available now by all limits together; none if no limit applies.
    pub fn now(&self) -> Option<u32> {
        if !self.closed_for.is_zero() {
            return Some(0);
        }
        let limits = [self.this_minute, self.this_hour, self.reported];
        limits.into_iter().flatten().map(|limit| limit.now).min()
    }
}

/// The limit that refuses a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// The limit per minute.
    Minute,
    /// The limit per hour.
    Hour,
    /// The requests that DigitalOcean's headers report as remaining are reserved: others use the
    /// token as well.
    ReservedForOthers,
    /// DigitalOcean answered 429.
    Closed,
}

impl Shortage {
    /// Describes the shortage for logs and errors.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Minute => "the budget of requests per minute is used up",
            Self::Hour => "the budget of requests per hour is used up",
            Self::ReservedForOthers => {
                "the requests that DigitalOcean reports as remaining this hour are reserved for other users of the token"
            }
            Self::Closed => "DigitalOcean answered 429: requests with this token are paused",
        }
    }
}

/// The budget of a token: its row in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    /// The TAT of the limit per minute.
    pub(super) minute_full_at: DateTime<Utc>,
    /// The TAT of the limit per hour.
    pub(super) hour_full_at: DateTime<Utc>,
    pub(super) closed_until: Option<DateTime<Utc>>,
    pub(super) reported: Option<ReportedLimit>,
}

impl Budget {
    /// Leases up to `requested` requests, at least one. If none is available, returns the time of
    /// the next try and the limit that refuses.
    pub(super) fn lease(
        &mut self,
        limits: &Limits,
        share: Share,
        requested: u32,
        now: DateTime<Utc>,
    ) -> Result<u32, (DateTime<Utc>, Shortage)> {
        if let Some(until) = self.closed_until.filter(|until| *until > now) {
            return Err((until, Shortage::Closed));
        }
        let mut granted = i64::from(requested.max(1));
        let mut shortages = Vec::new();
        let reported = self.current_report(limits, now);
        let rates = [
            (
                limits.minute_rate(),
                &mut self.minute_full_at,
                Shortage::Minute,
            ),
            (limits.hour_rate(), &mut self.hour_full_at, Shortage::Hour),
        ];
        for (rate, full_at, shortage) in &rates {
            let Some(rate) = rate else { continue };
            let available = rate.available(**full_at, now, share);
            if available < 1 {
                shortages.push((rate.next_at(**full_at, share), *shortage));
            }
            granted = granted.min(available);
        }
        let mut is_probe = false;
        if let Some(reported) = reported {
            let available = reported.available(share);
            if available < 1 {
                // After the reset at least one is regained; the response to it reports how many.
                is_probe = reported.reset_at <= now;
                if !is_probe {
                    shortages.push((reported.reset_at, Shortage::ReservedForOthers));
                }
            }
            granted = granted.min(available.max(1));
        }
        if let Some(last) = shortages.into_iter().max_by_key(|(at, _)| *at) {
            return Err(last);
        }
        for (rate, full_at, _) in rates {
            if let Some(rate) = rate {
                *full_at = rate.after_lease(granted, *full_at, now);
            }
        }
        if let Some(reported) = &mut self.reported {
            reported.remaining = (reported.remaining - granted).max(0);
            if is_probe {
                // No second probe before the response to the first.
                reported.reset_at = now + limits.jitter();
            }
        }
        Ok(u32::try_from(granted).unwrap_or(1))
    }

    /// Records the limit in the headers of a response, unless a later one is recorded already.
    pub(super) fn record_reported(&mut self, new: ReportedLimit) {
        if self.reported.is_none_or(|reported| reported.at < new.at) {
            self.reported = Some(new);
        }
    }

    /// Closes the budget after a 429. It opens with an exhausted minute, since a burst would be
    /// rejected again.
    pub(super) fn close(&mut self, limits: &Limits, until: DateTime<Utc>) {
        let until = self.closed_until.map_or(until, |before| before.max(until));
        self.closed_until = Some(until);
        if let Some(rate) = limits.minute_rate() {
            let exhausted = rate.after_lease(rate.burst, until, until);
            self.minute_full_at = self.minute_full_at.max(exhausted);
        }
    }

    /// Computes the requests that a purpose may lease at once.
    pub(super) fn available(
        &self,
        purpose: String,
        limits: &Limits,
        share: Share,
        now: DateTime<Utc>,
    ) -> AvailableRequests {
        let by = |rate: Option<Rate>, full_at| {
            let rate = rate?;
            let at_most = rate.available(now, now, share);
            Some(Available::new(rate.available(full_at, now, share), at_most))
        };
        let reported = self.current_report(limits, now).map(|reported| {
            let unused = ReportedLimit {
                remaining: reported.limit,
                ..reported
            };
            Available::new(reported.available(share), unused.available(share))
        });
        AvailableRequests {
            purpose,
            this_minute: by(limits.minute_rate(), self.minute_full_at),
            this_hour: by(limits.hour_rate(), self.hour_full_at),
            reported,
            closed_for: self
                .closed_until
                .map_or(Duration::ZERO, |closed| until(closed, now)),
        }
    }

    /// The reported limit, unless it is more than an hour old.
    fn current_report(&self, limits: &Limits, now: DateTime<Utc>) -> Option<ReportedLimit> {
        self.reported
            .filter(|reported| now - reported.at < limits.hour())
    }
}

/// The time from `now` until `at`; zero if `at` has passed.
pub(super) fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (at - now).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests;
