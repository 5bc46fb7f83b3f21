//! What DigitalOcean says about a token's remaining requests, and when a refused one may be tried again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// The hourly limit of a token as the latest answer told it (spec: headers `ratelimit-*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in a rolling hour.
    pub limit: u32,
    /// Requests left; 0 also while only the limit per minute is used up (spec).
    pub remaining: u32,
    /// When the oldest request that counts stops counting.
    pub reset_at: DateTime<Utc>,
    /// When this was told, by the same clock, which need not agree with ours.
    pub told_at: DateTime<Utc>,
}

impl RateLimit {
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        Some(Self {
            limit: number(headers, "ratelimit-limit")?,
            remaining: number(headers, "ratelimit-remaining")?,
            reset_at: DateTime::from_timestamp(number(headers, "ratelimit-reset")?, 0)?,
            told_at: told_at(headers),
        })
    }

    /// How long after it was told the oldest request stops counting.
    pub fn resets_in(&self) -> Duration {
        until(self.reset_at, self.told_at)
    }
}

fn number<N: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<N> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(1);
const LONGEST_OUTAGE: Duration = Duration::from_mins(5);

/// Both limits are rolling, the shorter one over a minute (spec).
const WITHOUT_A_HINT: Duration = Duration::from_mins(1);

/// How long to leave DigitalOcean alone after a 429.
///
/// `retry-after` decides where it is given, which is on the limit per minute (spec); `ratelimit-reset` may then lie most of an
/// hour ahead and means nothing. On the hourly limit there is only the reset. Between a second and an hour (rule of ours).
pub(crate) fn retry_after(headers: &HeaderMap) -> Duration {
    let told = asked_delay(headers).or_else(|| {
        RateLimit::read(headers)
            .filter(|limit| limit.remaining == 0)
            .map(|limit| limit.resets_in())
    });
    told.unwrap_or(WITHOUT_A_HINT).clamp(SHORTEST, LONGEST)
}

/// How long a server that cannot answer now asks to be left alone, if it says so; between a second and five minutes (rule of ours:
/// who is down seldom knows for how long).
pub(crate) fn retry_after_outage(headers: &HeaderMap) -> Option<Duration> {
    asked_delay(headers).map(|asked| asked.clamp(SHORTEST, LONGEST_OUTAGE))
}

/// Seconds (spec), or a date, which HTTP allows and a proxy in between may send.
fn asked_delay(headers: &HeaderMap) -> Option<Duration> {
    let seconds = number(headers, RETRY_AFTER.as_str()).map(Duration::from_secs);
    seconds.or_else(|| Some(until(date(headers, &RETRY_AFTER)?, told_at(headers))))
}

/// When the answer was made: by its server's clock where that says, else by ours.
fn told_at(headers: &HeaderMap) -> DateTime<Utc> {
    date(headers, &DATE).unwrap_or_else(Utc::now)
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<DateTime<Utc>> {
    let date = headers.get(name)?.to_str().ok()?;
    Some(DateTime::parse_from_rfc2822(date).ok()?.to_utc())
}

fn until(moment: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (moment - now).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT
    const NOW: i64 = 784_111_777;

    /// Of an answer that was made then, whatever the time is here.
    fn answer(headers: &[(&'static str, &str)]) -> HeaderMap {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        headers
            .iter()
            .chain([&date])
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    fn delay(headers: &[(&'static str, &str)]) -> u64 {
        retry_after(&answer(headers)).as_secs()
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
    fn a_reset_is_as_far_ahead_as_it_was_for_the_server() {
        let headers = exhausted(900);
        let headers = headers.each_ref().map(|(name, value)| (*name, &**value));
        let limit = RateLimit::read(&answer(&headers)).unwrap();
        assert_eq!(limit.resets_in(), Duration::from_mins(15));

        let mut without_a_date = answer(&headers);
        without_a_date.remove(DATE);
        let limit = RateLimit::read(&without_a_date).unwrap();
        assert_eq!(limit.resets_in(), Duration::ZERO);
    }

    #[test]
    fn an_outage_is_waited_out_as_it_asks_and_five_minutes_at_most() {
        let outage = |headers: &[(&'static str, &str)]| {
            retry_after_outage(&answer(headers)).map(|delay| delay.as_secs())
        };
        assert_eq!(outage(&[]), None);
        assert_eq!(outage(&[("retry-after", "42")]), Some(42));
        assert_eq!(
            outage(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]),
            Some(30)
        );
        assert_eq!(outage(&[("retry-after", "86400")]), Some(300));
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
