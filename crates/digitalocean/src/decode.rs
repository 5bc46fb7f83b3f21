//! Decodes amounts, times, texts and ids from the JSON forms that DigitalOcean sends.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use domain::money::parse_amount;
use rust_decimal::Decimal;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The reason that an item or a body does not match the spec.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(String);

impl Unreadable {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// An amount in USD: a decimal string (spec). A JSON number, which other servers send, is parsed
/// from its digits and never converted to a float.
#[derive(Debug)]
pub(crate) struct Amount(pub(crate) Decimal);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        if json.starts_with('"') {
            let text: Cow<'_, str> = serde_json::from_str(json).map_err(D::Error::custom)?;
            return parse_amount(&text).map(Self).map_err(D::Error::custom);
        }
        Decimal::from_str_exact(json)
            .or_else(|_| Decimal::from_scientific(json))
            .map(Self)
            .map_err(|_| D::Error::custom("expected an amount"))
    }
}

/// Reads an optional time: RFC 3339 with any fraction and offset. An invalid time is read as none,
/// because no decision depends on it.
pub(crate) fn optional_time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    let time = value
        .as_ref()
        .and_then(Value::as_str)
        .and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    Ok(time.map(|time| time.to_utc()))
}

/// Reads a text that other servers send as a number. None if it is absent, null or empty.
pub(crate) fn optional_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(Option::<Value>::deserialize(deserializer)?
        .as_ref()
        .and_then(text_of))
}

/// Returns a string or a number as text. None for any other value and for the empty string.
pub(crate) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Removes the white space between the tokens of a JSON text. Every digit and letter stays as
/// received.
pub(crate) fn compact(json: &str) -> String {
    let mut in_text = false;
    let mut is_escaped = false;
    let is_kept = |character: &char| {
        if in_text {
            in_text = is_escaped || *character != '"';
            is_escaped = !is_escaped && *character == '\\';
            return true;
        }
        in_text = *character == '"';
        !character.is_ascii_whitespace()
    };
    json.chars().filter(is_kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compacting_removes_only_the_white_space_between_tokens() {
        let json = "{\r\n  \"a b\" : [ 1.50, \"x \\\" : y\\\\\" , null ],\n\t\"ü\": 79228162514264.33759354395033 }";
        let expected = r#"{"a b":[1.50,"x \" : y\\",null],"ü":79228162514264.33759354395033}"#;
        assert_eq!(compact(json), expected);
        assert_eq!(compact(expected), expected);
    }

    #[test]
    fn an_amount_is_exact_as_a_string_and_as_a_number() {
        for (json, expected) in [
            (r#""12.34""#, "12.34"),
            (r#""-1779.55""#, "-1779.55"),
            ("23.440", "23.440"),
            (
                "0.1000000000000000055511151231",
                "0.1000000000000000055511151231",
            ),
            ("12345678901234567890.12", "12345678901234567890.12"),
            ("-5", "-5"),
            ("1.5e2", "150"),
        ] {
            let amount: Amount = serde_json::from_str(json).unwrap();
            assert_eq!(amount.0.to_string(), expected, "{json}");
        }
    }

    #[test]
    fn invalid_amounts_are_refused() {
        for json in ["null", "true", r#""""#, r#""12.34 USD""#, "[]", "1e99"] {
            assert!(serde_json::from_str::<Amount>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn times_are_read_with_any_fraction_and_offset() {
        #[derive(Deserialize)]
        struct Timed(#[serde(deserialize_with = "optional_time")] Option<DateTime<Utc>>);
        let read = |json: &str| serde_json::from_str::<Timed>(json).unwrap().0;
        for text in [
            "2019-09-03T16:34:46Z",
            "2019-09-03T16:34:46.000000000Z",
            "2019-09-03T18:34:46.000+02:00",
        ] {
            let time = read(&format!("{text:?}")).unwrap();
            assert_eq!(time.timestamp(), 1_567_528_486, "{text}");
        }
        assert_eq!(read("null"), None);
        assert_eq!(read(r#""""#), None);
    }
}
