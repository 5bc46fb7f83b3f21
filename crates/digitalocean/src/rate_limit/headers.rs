//! Reads the headers `ratelimit-*` and `retry-after` of responses.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// The hourly limit of a token as a response reported it (spec: headers `ratelimit-*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in a rolling hour.
    pub limit: u32,
    /// Requests remaining; 0 also if only the limit per minute is used up (spec).
    pub remaining: u32,
    /// The time at which the oldest request in the window leaves it.
    pub reset_at: DateTime<Utc>,
    /// The time of the response, by the server's clock, which may differ from ours.
    pub reported_at: DateTime<Utc>,
}

impl RateLimit {
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        Some(Self {
            limit: number(headers, "ratelimit-limit")?,
            remaining: number(headers, "ratelimit-remaining")?,
            reset_at: DateTime::from_timestamp(number(headers, "ratelimit-reset")?, 0)?,
            reported_at: reported_at(headers),
        })
    }

    /// The time from the response until the reset.
    pub fn resets_in(&self) -> Duration {
        until(self.reset_at, self.reported_at)
    }
}

fn number<N: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<N> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

const MIN_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_hours(1);
const MAX_OUTAGE_DELAY: Duration = Duration::from_mins(5);

/// If the headers contain no delay: both limits are rolling, the shorter one over a minute (spec).
const DEFAULT_DELAY: Duration = Duration::from_mins(1);

/// The delay after a 429, between a second and an hour (rule of ours).
///
/// `retry-after` takes precedence. The limit per minute has it (spec), and `ratelimit-reset` may
/// then be most of an hour ahead and is irrelevant. The hourly limit has only the reset.
pub(crate) fn retry_after(headers: &HeaderMap) -> Duration {
    let reported = requested_delay(headers).or_else(|| {
        RateLimit::read(headers)
            .filter(|limit| limit.remaining == 0)
            .map(|limit| limit.resets_in())
    });
    reported
        .unwrap_or(DEFAULT_DELAY)
        .clamp(MIN_DELAY, MAX_DELAY)
}

/// The delay that an unavailable server requests, if any; between a second and five minutes (rule
/// of ours: such a server can rarely predict the end of its outage).
pub(crate) fn retry_after_outage(headers: &HeaderMap) -> Option<Duration> {
    requested_delay(headers).map(|delay| delay.clamp(MIN_DELAY, MAX_OUTAGE_DELAY))
}

/// Reads `retry-after`: seconds (spec), or a date, which HTTP allows and a proxy may send.
fn requested_delay(headers: &HeaderMap) -> Option<Duration> {
    let seconds = number(headers, RETRY_AFTER.as_str()).map(Duration::from_secs);
    seconds.or_else(|| Some(until(date(headers, &RETRY_AFTER)?, reported_at(headers))))
}

/// The time of the response by its `date` header; without one, by our clock.
fn reported_at(headers: &HeaderMap) -> DateTime<Utc> {
    date(headers, &DATE).unwrap_or_else(Utc::now)
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<DateTime<Utc>> {
    let date = headers.get(name)?.to_str().ok()?;
    Some(DateTime::parse_from_rfc2822(date).ok()?.to_utc())
}

/// The time from `now` until `at`; zero if `at` has passed.
fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (at - now).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT
    const NOW: i64 = 784_111_777;

    /// The headers of a response of that time.
    fn response<V: AsRef<str>>(headers: &[(&'static str, V)]) -> HeaderMap {
        let headers = headers.iter().map(|(name, value)| (*name, value.as_ref()));
        headers
            .chain([("date", "Sun, 06 Nov 1994 08:49:37 GMT")])
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    fn delay<V: AsRef<str>>(headers: &[(&'static str, V)]) -> u64 {
        retry_after(&response(headers)).as_secs()
    }

    fn exhausted(reset_in: i64) -> [(&'static str, String); 3] {
        [
            ("ratelimit-limit", "5000".to_owned()),
            ("ratelimit-remaining", "0".to_owned()),
            ("ratelimit-reset", (NOW + reset_in).to_string()),
        ]
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_a_date() {
        assert_eq!(delay(&[("retry-after", "42")]), 42);
        assert_eq!(
            delay(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]),
            30
        );
    }

    #[test]
    fn retry_after_takes_precedence_over_the_reset_of_the_hour() {
        let mut headers = exhausted(3000).to_vec();
        headers.push(("retry-after", "7".to_owned()));
        assert_eq!(delay(&headers), 7);
    }

    #[test]
    fn the_delay_of_the_hourly_limit_is_its_reset() {
        assert_eq!(delay(&exhausted(900)), 900);
    }

    #[test]
    fn the_time_until_a_reset_is_by_the_clock_of_the_server() {
        let mut headers = response(&exhausted(900));
        let limit = RateLimit::read(&headers).unwrap();
        assert_eq!(limit.resets_in(), Duration::from_mins(15));

        headers.remove(DATE);
        let limit = RateLimit::read(&headers).unwrap();
        assert_eq!(limit.resets_in(), Duration::ZERO);
    }

    #[test]
    fn the_delay_of_an_outage_is_at_most_five_minutes() {
        let outage =
            |value| retry_after_outage(&response(&[("retry-after", value)])).map(|d| d.as_secs());
        assert_eq!(retry_after_outage(&HeaderMap::new()), None);
        assert_eq!(outage("42"), Some(42));
        assert_eq!(outage("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
        assert_eq!(outage("86400"), Some(300));
    }

    #[test]
    fn a_delay_is_between_a_second_and_an_hour() {
        assert_eq!(delay(&[("retry-after", "0")]), 1);
        assert_eq!(delay(&[("retry-after", "86400")]), 3600);
        assert_eq!(delay(&exhausted(-5)), 1);
        assert_eq!(delay(&[("retry-after", "soon")]), 60);
    }
}
