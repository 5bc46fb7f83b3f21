//! The part of a month that an amount covers, so that a run rate can be computed from it.

use chrono::{DateTime, Datelike as _, Months, NaiveDate, NaiveTime, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

/// The days that an amount covers: `amount / days_elapsed * days_in_month` is the amount of the
/// whole month at the same rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CoveredDays {
    /// Start of the month.
    covers_from: DateTime<Utc>,
    /// End of the period that the amount covers.
    covers_to: DateTime<Utc>,
    /// Days from `covers_from` to `covers_to`, as a decimal string with at most four decimals.
    #[schema(value_type = String, examples("14.4375"))]
    pub(crate) days_elapsed: Decimal,
    /// Number of days of the month.
    #[schema(example = 30)]
    pub(crate) days_in_month: u32,
}

impl CoveredDays {
    /// Returns the part of a month before a time: the whole month if the time is after it, nothing
    /// if the time is before it.
    pub(crate) fn of_month(month: NaiveDate, until: DateTime<Utc>) -> Self {
        let first = month.with_day(1).unwrap_or(month);
        let start = first.and_time(NaiveTime::MIN).and_utc();
        let end = start.checked_add_months(Months::new(1)).unwrap_or(start);
        let covers_to = until.clamp(start, end);
        let seconds = Decimal::from((covers_to - start).num_seconds());
        let days = (seconds / Decimal::from(24 * 60 * 60)).round_dp(4);
        Self {
            covers_from: start,
            covers_to,
            days_elapsed: days.normalize(),
            days_in_month: u32::from(first.num_days_in_month()),
        }
    }

    /// Returns the part of the month before a time, in the month of that time.
    pub(crate) fn until(time: DateTime<Utc>) -> Self {
        Self::of_month(time.date_naive(), time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_outside_the_month_covers_nothing_or_all_of_it() {
        let february = "2026-02-01".parse().unwrap();
        for (until, covers_to, days_elapsed) in [
            ("2026-01-31T12:00:00Z", "2026-02-01T00:00:00Z", "0"),
            ("2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z", "0"),
            ("2026-02-10T06:00:00Z", "2026-02-10T06:00:00Z", "9.25"),
            ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "28"),
            ("2026-04-15T00:00:00Z", "2026-03-01T00:00:00Z", "28"),
        ] {
            let covered = CoveredDays::of_month(february, until.parse().unwrap());
            assert_eq!(
                covered.covers_to,
                covers_to.parse::<DateTime<Utc>>().unwrap()
            );
            assert_eq!(covered.days_elapsed.to_string(), days_elapsed, "{until}");
            assert_eq!(covered.days_in_month, 28);
        }
    }
}
