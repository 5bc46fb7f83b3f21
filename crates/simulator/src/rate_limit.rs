//! The two rolling rate limits of a token, and the headers that report them.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::http::{HeaderMap, HeaderName};

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

/// The number of requests that a token may make. A request counts for one hour (or one minute).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in a rolling hour.
    pub per_hour: u32,
    /// Requests in a rolling minute.
    pub per_minute: u32,
    /// The divisor of this account's hours and minutes, to shorten the waits of tests. At least 1.
    pub times_faster: u32,
}

impl RateLimit {
    /// DigitalOcean's documented limits: 5,000 an hour and 250 a minute.
    pub const DIGITALOCEAN: Self = Self {
        per_hour: 5_000,
        per_minute: 250,
        times_faster: 1,
    };

    /// The default of accounts: counted like DigitalOcean's limits, but too high for tests and
    /// benchmarks to reach.
    pub const GENEROUS: Self = Self {
        per_hour: 1_000_000,
        per_minute: 1_000_000,
        times_faster: 1,
    };

    fn hour(&self) -> Duration {
        HOUR / self.times_faster.max(1)
    }

    fn minute(&self) -> Duration {
        MINUTE / self.times_faster.max(1)
    }
}

/// The state of a token's limits after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    limit: u32,
    remaining: u32,
    /// The time until the oldest request of the window expires.
    oldest_expires_in: Duration,
    pub(crate) refusal: Option<Refusal>,
}

/// The exceeded limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The limit per minute, with the seconds until another request is possible, rounded up.
    Burst { retry_after: u64 },
    /// The limit per hour. DigitalOcean documents no `retry-after` for it, only `ratelimit-reset`.
    Hourly,
}

impl Usage {
    /// Returns the state for a request without an accepted token, which is not counted.
    pub(crate) fn uncounted(limit: RateLimit) -> Self {
        Self {
            limit: limit.per_hour,
            remaining: limit.per_hour,
            oldest_expires_in: limit.hour(),
            refusal: None,
        }
    }

    pub(crate) fn write_headers(&self, headers: &mut HeaderMap) {
        let reset = SystemTime::now() + self.oldest_expires_in;
        let reset = reset
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        headers.insert(
            HeaderName::from_static("ratelimit-limit"),
            self.limit.into(),
        );
        headers.insert(
            HeaderName::from_static("ratelimit-remaining"),
            self.remaining.into(),
        );
        headers.insert(HeaderName::from_static("ratelimit-reset"), reset.into());
    }
}

/// The times of each token's requests within the last hour.
#[derive(Default)]
pub(crate) struct Accounting(HashMap<String, VecDeque<Instant>>);

impl Accounting {
    /// Counts a request at `now`. A rejected request does not count.
    pub(crate) fn count(&mut self, token: &str, limit: RateLimit, now: Instant) -> Usage {
        let (hour, minute) = (limit.hour(), limit.minute());
        let made = self.0.entry(token.to_owned()).or_default();
        while made.front().is_some_and(|&at| now - at >= hour) {
            made.pop_front();
        }
        let in_last_minute = made.len() - made.partition_point(|&at| now - at >= minute);
        let refusal = if made.len() >= limit.per_hour as usize {
            Some(Refusal::Hourly)
        } else if in_last_minute >= limit.per_minute as usize {
            let frees_up = made
                .get(made.len() - in_last_minute)
                .map_or(minute, |&at| minute.saturating_sub(now - at));
            Some(Refusal::Burst {
                retry_after: frees_up.as_millis().div_ceil(1000).try_into().unwrap_or(60),
            })
        } else {
            made.push_back(now);
            None
        };
        let left = limit
            .per_hour
            .saturating_sub(u32::try_from(made.len()).unwrap_or(u32::MAX));
        Usage {
            limit: limit.per_hour,
            remaining: if refusal.is_some() { 0 } else { left },
            oldest_expires_in: made
                .front()
                .map_or(hour, |&at| hour.saturating_sub(now - at)),
            refusal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit {
        per_hour: 5,
        per_minute: 3,
        times_faster: 1,
    };

    #[test]
    fn the_fourth_request_of_a_minute_waits_for_the_first_to_expire() {
        let mut accounting = Accounting::default();
        let start = Instant::now();
        for second in 0..3 {
            let usage = accounting.count("a", LIMIT, start + Duration::from_secs(second));
            assert_eq!(usage.refusal, None);
            assert_eq!(u64::from(usage.remaining), 4 - second);
        }
        let refused = accounting.count("a", LIMIT, start + Duration::from_secs(10));
        assert_eq!(refused.refusal, Some(Refusal::Burst { retry_after: 50 }));
        assert_eq!(refused.remaining, 0);
        let later = accounting.count("a", LIMIT, start + MINUTE);
        assert_eq!(later.refusal, None);
    }

    #[test]
    fn the_hourly_limit_applies_until_the_oldest_request_expires() {
        let mut accounting = Accounting::default();
        let start = Instant::now();
        for minute in 0..5 {
            accounting.count("a", LIMIT, start + MINUTE * minute);
        }
        let refused = accounting.count("a", LIMIT, start + MINUTE * 10);
        assert_eq!(refused.refusal, Some(Refusal::Hourly));
        assert_eq!(refused.oldest_expires_in, MINUTE * 50);
        assert_eq!(accounting.count("a", LIMIT, start + HOUR).refusal, None);
    }

    #[test]
    fn requests_of_a_faster_account_expire_sooner() {
        let limit = RateLimit {
            times_faster: 10,
            ..LIMIT
        };
        let mut accounting = Accounting::default();
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(accounting.count("a", limit, start).refusal, None);
        }
        let refused = accounting.count("a", limit, start + Duration::from_secs(2));
        assert_eq!(refused.refusal, Some(Refusal::Burst { retry_after: 4 }));
        let later = accounting.count("a", limit, start + Duration::from_secs(6));
        assert_eq!(later.refusal, None);
    }

    #[test]
    fn each_token_has_separate_limits() {
        let mut accounting = Accounting::default();
        let now = Instant::now();
        for _ in 0..4 {
            accounting.count("a", LIMIT, now);
        }
        assert_eq!(accounting.count("b", LIMIT, now).refusal, None);
    }
}
