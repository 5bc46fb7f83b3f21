//! How pages write amounts, times and shares.

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::{Decimal, RoundingStrategy};

/// An amount in USD: two decimals and thousands separators, `-1,234.50`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Money(pub(super) Decimal);

impl Money {
    /// The amount with all its decimals, if two do not show them.
    pub(super) fn exact(&self) -> Option<String> {
        let exact = self.0.normalize();
        (exact.scale() > 2).then(|| exact.to_string())
    }
}

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = self
            .0
            .round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
        let text = format!("{:.2}", rounded.abs());
        let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
        if rounded.is_sign_negative() && !rounded.is_zero() {
            formatter.write_str("-")?;
        }
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                formatter.write_str(",")?;
            }
            write!(formatter, "{digit}")?;
        }
        write!(formatter, ".{cents}")
    }
}

/// A time in UTC, with its age as help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(pub(super) DateTime<Utc>);

impl Moment {
    /// For machines: RFC 3339.
    pub(super) fn iso(&self) -> String {
        self.0.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// `5 minutes ago`, `in 2 hours`.
    pub(super) fn age(&self) -> String {
        self.age_at(Utc::now())
    }

    fn age_at(&self, now: DateTime<Utc>) -> String {
        let seconds = (now - self.0).num_seconds();
        let (amount, unit) = match seconds.abs() {
            seconds @ 0..60 => (seconds, "second"),
            seconds @ 60..3600 => (seconds / 60, "minute"),
            seconds @ 3600..172_800 => (seconds / 3600, "hour"),
            seconds => (seconds / 86_400, "day"),
        };
        let plural = if amount == 1 { "" } else { "s" };
        if seconds < 0 {
            format!("in {amount} {unit}{plural}")
        } else {
            format!("{amount} {unit}{plural} ago")
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.format("%Y-%m-%d %H:%M"))
    }
}

/// A month as in URLs: `2026-04`.
pub(super) fn month(period: NaiveDate) -> String {
    period.format("%Y-%m").to_string()
}

/// A month in words: `April 2026`.
pub(super) fn month_name(period: NaiveDate) -> String {
    period.format("%B %Y").to_string()
}

/// The part of a total in percent, with one decimal; empty without a total.
pub(super) fn percent(part: Decimal, total: Decimal) -> String {
    part.checked_div(total).map_or_else(String::new, |share| {
        let rounded = (share * Decimal::ONE_HUNDRED)
            .round_dp_with_strategy(1, RoundingStrategy::MidpointAwayFromZero);
        format!("{rounded:.1} %")
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn an_amount_has_two_decimals_and_thousands_separators() {
        for (amount, expected) in [
            ("0", "0.00"),
            ("-0.004", "0.00"),
            ("0.005", "0.01"),
            ("999.999", "1,000.00"),
            ("-1234567.5", "-1,234,567.50"),
        ] {
            assert_eq!(Money(amount.parse().unwrap()).to_string(), expected);
        }
        assert_eq!(Money("1.2345".parse().unwrap()).exact().unwrap(), "1.2345");
        assert_eq!(Money("1.2000".parse().unwrap()).exact(), None);
    }

    #[test]
    fn a_share_is_rounded_to_one_decimal() {
        let share = |part: i64, total: i64| percent(part.into(), total.into());
        assert_eq!(
            (share(1, 3), share(2, 3)),
            ("33.3 %".into(), "66.7 %".into())
        );
        assert_eq!(
            (share(1, 1), share(1, 0)),
            ("100.0 %".into(), String::new())
        );
    }

    #[test]
    fn an_age_has_one_unit() {
        let now = Utc::now();
        for (seconds, expected) in [
            (1, "1 second ago"),
            (61, "1 minute ago"),
            (7200, "2 hours ago"),
            (-3600, "in 1 hour"),
            (200_000, "2 days ago"),
        ] {
            let moment = Moment(now - TimeDelta::seconds(seconds));
            assert_eq!(moment.age_at(now), expected);
        }
    }
}
