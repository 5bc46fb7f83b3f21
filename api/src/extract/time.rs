//! Parameter types of months and times, for queries, paths and bodies.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, Utc};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Month as `YYYY-MM`, or as its first day, `YYYY-MM-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(
    value_type = String,
    pattern = "^[0-9]{4}-(0[1-9]|1[0-2])(-01)?$",
    examples("2026-04", "2026-04-01")
)]
pub(crate) struct Period(pub(crate) NaiveDate);

impl Period {
    const EXPECTED: &str = "a month like 2026-04 or 2026-04-01";
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let day = match text.len() {
            // A month without its first day.
            7 => parse_date(&format!("{text}-01")),
            _ => parse_date(text),
        };
        match day {
            Some(day) if day.day() == 1 => Ok(Self(day)),
            Some(day) => Err(format!(
                "{text} is not the first of a month: expected {0} or {0}-01",
                day.format("%Y-%m")
            )),
            None => Err(format!(
                "invalid month {text:?}: expected {}",
                Self::EXPECTED
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromText::<Self>::expecting(Self::EXPECTED))
    }
}

/// Time (RFC 3339), or a date as midnight UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimeOrDate(pub(crate) DateTime<Utc>);

impl PartialSchema for TimeOrDate {
    fn schema() -> RefOr<Schema> {
        let text = |format| {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(format)))
        };
        AnyOfBuilder::new()
            .item(text(KnownFormat::DateTime))
            .item(text(KnownFormat::Date))
            .description(Some("Time (RFC 3339), or a date as midnight UTC."))
            .examples(["2026-11-23T10:00:00Z", "2026-11-23"])
            .into()
    }
}

impl ToSchema for TimeOrDate {}

impl TimeOrDate {
    const EXPECTED: &str =
        "a time like 2026-11-23T10:00:00Z, or a date like 2026-11-23 for midnight UTC";
}

impl FromStr for TimeOrDate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
        let midnight = || Some(parse_date(text)?.and_time(NaiveTime::MIN).and_utc());
        time.ok().or_else(midnight).map(Self).ok_or_else(|| {
            format!(
                "invalid time {text:?}: expected {}{}",
                Self::EXPECTED,
                hint(text)
            )
        })
    }
}

/// Returns a hint for a text that is almost a time.
fn hint(text: &str) -> &'static str {
    let with = |suffix: &str| DateTime::parse_from_rfc3339(&format!("{text}{suffix}")).is_ok();
    if with("Z") {
        "; add Z for UTC"
    } else if DateTime::parse_from_rfc3339(&text.replacen(' ', "+", 1)).is_ok() {
        // In a query, `+` is decoded as a space.
        "; write %2B for the + of an offset"
    } else {
        ""
    }
}

impl<'de> Deserialize<'de> for TimeOrDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromText::<Self>::expecting(Self::EXPECTED))
    }
}

/// Parses a date as `YYYY-MM-DD`; chrono alone also accepts `2026-4-1` and `+2026-04-01`.
fn parse_date(text: &str) -> Option<NaiveDate> {
    let is_plain =
        text.len() == "YYYY-MM-DD".len() && text.starts_with(|first: char| first.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

/// Reads a `T` from a string; the error for any other type has the expected format.
struct FromText<T> {
    expected: &'static str,
    read: fn(&str) -> Result<T, String>,
}

impl<T: FromStr<Err = String>> FromText<T> {
    fn expecting(expected: &'static str) -> Self {
        Self {
            expected,
            read: T::from_str,
        }
    }
}

impl<T> Visitor<'_> for FromText<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expected)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_month_or_its_first_day() {
        for (text, expected) in [
            ("2026-04", Some("2026-04-01")),
            ("2026-04-01", Some("2026-04-01")),
            ("2026-12", Some("2026-12-01")),
            ("2026-04-02", None),
            ("2026-04-31", None),
            ("2026-4-1", None),
            ("2026-4", None),
            ("26-04", None),
            ("2026-13", None),
            ("2026-13-01", None),
            ("+202604", None),
            ("2026-04-1", None),
            ("2026-04-01T00:00:00Z", None),
            ("April", None),
            ("", None),
        ] {
            let period = text.parse::<Period>().ok();
            let read = period.map(|Period(day)| day.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_error_for_a_day_within_a_month_has_both_forms_of_the_month() {
        let refused = "2026-04-15".parse::<Period>().unwrap_err();
        assert!(refused.contains("2026-04 or 2026-04-01"), "{refused}");
    }

    #[test]
    fn a_date_is_midnight_utc() {
        for (text, expected) in [
            ("2026-04-01", Some("2026-04-01T00:00:00+00:00")),
            ("2026-04-01T10:00:00Z", Some("2026-04-01T10:00:00+00:00")),
            (
                "2026-04-01T10:00:00.25+01:00",
                Some("2026-04-01T09:00:00.250+00:00"),
            ),
            ("2026-04-31", None),
            ("2026-4-1", None),
            ("2026-04", None),
            ("2026-04-01T10:00:00", None),
            ("yesterday", None),
            ("", None),
        ] {
            let time = text.parse::<TimeOrDate>().ok();
            let read = time.map(|TimeOrDate(time)| time.to_rfc3339());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_error_for_a_time_without_offset_has_a_hint() {
        for (text, hint) in [
            ("2026-04-01T10:00:00", "add Z"),
            ("2026-04-01T10:00:00 01:00", "%2B"),
        ] {
            let refused = text.parse::<TimeOrDate>().unwrap_err();
            assert!(refused.contains(hint), "{refused}");
        }
    }

    #[test]
    fn periods_and_times_are_read_from_json_strings_only() {
        let period: Period = serde_json::from_str("\"2026-04\"").unwrap();
        assert_eq!(period.0.to_string(), "2026-04-01");
        let time: TimeOrDate = serde_json::from_str("\"2026-04-01\"").unwrap();
        assert_eq!(time.0.to_rfc3339(), "2026-04-01T00:00:00+00:00");
        for json in ["202604", "null", "true", "[]", "{}"] {
            assert!(serde_json::from_str::<Period>(json).is_err(), "{json}");
            let refused = serde_json::from_str::<TimeOrDate>(json).unwrap_err();
            assert!(refused.to_string().contains("a date like"), "{refused}");
        }
    }
}
