//! Reading requests: axum's extractors, with problem documents where they refuse.

use std::error::Error;
use std::fmt::Display;
use std::str::FromStr;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use crate::problem::Problem;

/// The query string.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejection| Problem::InvalidParameter(first_cause(&rejection)))
    }
}

/// The `{id}` or `{uuid}` of the path.
#[derive(Debug)]
pub(crate) struct Id(pub(crate) Uuid);

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self).map_err(|_| {
            format!(
                "{text:?} in the path is no uuid: expected a form like 22737513-0ea7-4206-8ceb-98a575af7681"
            )
        })
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        required(deserializer)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let InPath(id) = InPath::from_request_parts(parts, state).await?;
        Ok(id)
    }
}

/// What the path holds in its `{...}`, where that is more than an id.
pub(crate) struct InPath<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Path::<T>::from_request_parts(parts, state)
            .await
            .map(|Path(value)| Self(value))
            .map_err(|rejection| Problem::InvalidParameter(first_cause(&rejection)))
    }
}

/// A JSON object as the body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(value) = Json::<serde_json::Value>::from_request(request, state)
            .await
            .map_err(|rejection| refused_body(&rejection))?;
        // serde would also take the fields' values from an array, by their order.
        if !value.is_object() {
            return Err(Problem::InvalidBody("expected a JSON object".to_owned()));
        }
        serde_json::from_value(value)
            .map(Self)
            .map_err(|error| Problem::InvalidBody(error.to_string()))
    }
}

fn refused_body(rejection: &JsonRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::BodyTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::UnsupportedMediaType,
        _ => Problem::InvalidBody(first_cause(rejection)),
    }
}

/// The innermost error: it names the field, where those around it say only that something could not be read.
fn first_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A text that the database can hold: any but one with a NUL character.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Text(String);

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl TryFrom<String> for Text {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.contains('\0') {
            Err("must not contain the character U+0000")
        } else {
            Ok(Self(text))
        }
    }
}

impl FromStr for Text {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

/// A time, as RFC 3339 writes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(pub(crate) DateTime<Utc>);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text)
            .map(|time| Self(time.to_utc()))
            // A plus that is not encoded arrives as a space.
            .map_err(|_| {
                format!("{text:?} is no time: expected a form like 2026-11-23T10:00:00Z, or with %2B for the + of an offset")
            })
    }
}

/// The first day of a month.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Period(pub(crate) NaiveDate);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<NaiveDate>()
            .ok()
            // chrono takes 2026-4-1 too.
            .filter(|day| day.day() == 1 && text.len() == "YYYY-MM-DD".len())
            .map(Self)
            .ok_or_else(|| {
                format!("{text:?} is no period: expected the first of a month, like 2026-04-01")
            })
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        required(deserializer)
    }
}

/// Refuses a time that is still to come.
pub(crate) fn not_in_the_future(field: &str, time: Option<DateTime<Utc>>) -> Result<(), Problem> {
    match time {
        Some(time) if time > Utc::now() => Err(Problem::InvalidParameter(format!(
            "{field}: {} is in the future; give a time that has passed",
            time.format("%Y-%m-%dT%H:%M:%SZ")
        ))),
        _ => Ok(()),
    }
}

/// Whether a text is of the length and form of those that operators may add to what they say.
pub(crate) fn is_remark(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= 500 && !text.chars().any(char::is_control)
}

/// Reads a parameter that must be there.
pub(crate) fn required<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// Reads a parameter that may be left out, or left empty (`?kind=&limit=`), which means the same.
pub(crate) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// Tells a field that is null from one that is absent, which `#[serde(default)]` makes `None`.
#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three different changes"
)]
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_the_first_of_a_month() {
        for (text, is_period) in [
            ("2026-04-01", true),
            ("2026-04-02", false),
            ("2026-4-1", false),
            ("2026-04", false),
            ("2026-13-01", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<Period>().is_ok(), is_period, "{text}");
        }
    }
}
