//! What DigitalOcean says about a token's remaining requests, and when a refused one may be tried again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The hourly limit of a token as the latest answer told it (spec: headers `ratelimit-*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in a rolling hour.
    pub limit: u32,
    /// Requests left; 0 also while only the limit per minute is used up (spec).
    pub remaining: u32,
    /// When the oldest request that counts stops counting.
    pub reset_at: DateTime<Utc>,
}

impl RateLimit {
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        Some(Self {
            limit: number(headers, "ratelimit-limit")?,
            remaining: number(headers, "ratelimit-remaining")?,
            reset_at: DateTime::from_timestamp(number(headers, "ratelimit-reset")?, 0)?,
        })
    }
}

fn number<N: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<N> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(1);

/// Both limits are rolling, the shorter one over a minute (spec).
const WITHOUT_A_HINT: Duration = Duration::from_mins(1);

/// How long to leave DigitalOcean alone after a 429.
///
/// `retry-after` decides where it is given, which is on the limit per minute (spec); `ratelimit-reset` may then lie most of an
/// hour ahead and means nothing. On the hourly limit there is only the reset. Between a second and an hour (rule of ours).
pub(crate) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Duration {
    let told = asked_delay(headers, now).or_else(|| {
        RateLimit::read(headers)
            .filter(|limit| limit.remaining == 0)
            .map(|limit| until(limit.reset_at, now))
    });
    told.unwrap_or(WITHOUT_A_HINT).clamp(SHORTEST, LONGEST)
}

/// Seconds (spec), or a date, which HTTP allows and a proxy in between may send.
fn asked_delay(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let seconds = number(headers, RETRY_AFTER.as_str()).map(Duration::from_secs);
    seconds.or_else(|| {
        let date = headers.get(RETRY_AFTER)?.to_str().ok()?;
        let date = DateTime::parse_from_rfc2822(date).ok()?;
        Some(until(date.to_utc(), now))
    })
}

fn until(moment: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (moment - now).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT
    const NOW: i64 = 784_111_777;

    fn delay(headers: &[(&'static str, &str)]) -> u64 {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect();
        retry_after(&headers, DateTime::from_timestamp(NOW, 0).unwrap()).as_secs()
    }

    fn exhausted(reset_in: i64) -> [(&'static str, String); 3] {
        [
            ("ratelimit-limit", "5000".to_owned()),
            ("ratelimit-remaining", "0".to_owned()),
            ("ratelimit-reset", (NOW + reset_in).to_string()),
        ]
    }

    #[test]
    fn a_retry_after_is_obeyed_as_seconds_and_as_a_date() {
        assert_eq!(delay(&[("retry-after", "42")]), 42);
        assert_eq!(
            delay(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]),
            30
        );
    }

    #[test]
    fn the_limit_per_minute_is_not_mistaken_for_the_hourly_one() {
        let mut headers = exhausted(3000).to_vec();
        headers.push(("retry-after", "7".to_owned()));
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(delay(&headers), 7);
    }

    #[test]
    fn the_hourly_limit_waits_for_its_reset() {
        let headers = exhausted(900);
        let headers = headers.each_ref().map(|(name, value)| (*name, &**value));
        assert_eq!(delay(&headers), 900);
    }

    #[test]
    fn a_delay_is_between_a_second_and_an_hour() {
        assert_eq!(delay(&[("retry-after", "0")]), 1);
        assert_eq!(delay(&[("retry-after", "86400")]), 3600);
        let past = exhausted(-5);
        let past = past.each_ref().map(|(name, value)| (*name, &**value));
        assert_eq!(delay(&past), 1);
        assert_eq!(delay(&[("retry-after", "soon")]), 60);
    }
}
