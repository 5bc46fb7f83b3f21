//! The lifetimes and overlaps that the forms of tokens offer.

use chrono::TimeDelta;

/// A lifetime or an overlap to choose: the value of the field, its words, and the time; none for a
/// token that never expires.
pub(super) type Period = (&'static str, &'static str, Option<TimeDelta>);

pub(super) const LIFETIMES: [Period; 4] = [
    ("1y", "1 year", Some(TimeDelta::days(365))),
    ("90d", "90 days", Some(TimeDelta::days(90))),
    ("30d", "30 days", Some(TimeDelta::days(30))),
    ("never", "never", None),
];

pub(super) const OVERLAPS: [Period; 4] = [
    ("7d", "7 days", Some(TimeDelta::days(7))),
    ("1d", "1 day", Some(TimeDelta::days(1))),
    ("30d", "30 days", Some(TimeDelta::days(30))),
    ("0", "none: it expires at once", Some(TimeDelta::zero())),
];

/// Returns the time of a value; the first one is the default.
pub(super) fn period_of(
    periods: &[Period],
    value: &str,
) -> Result<Option<TimeDelta>, &'static str> {
    let found = periods
        .iter()
        .find(|(name, ..)| *name == value || value.is_empty());
    found
        .map(|(.., time)| *time)
        .ok_or("Choose a time from the list.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_expires_after_a_year_by_default() {
        let year = Ok(Some(TimeDelta::days(365)));
        assert_eq!(period_of(&LIFETIMES, ""), year);
        assert_eq!(period_of(&LIFETIMES, "1y"), year);
        assert_eq!(period_of(&LIFETIMES, "never"), Ok(None));
        assert!(period_of(&LIFETIMES, "2y").is_err());
    }
}
