//! Extractors of requests (path, query, body) that return problem documents for invalid values.

mod body;
mod kind;
mod serde_errors;
mod time;

use std::error::Error;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, Path, RawForm, Request};
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use uuid::Uuid;

use self::serde_errors::{Place, explain};
use crate::problem::Problem;

pub(crate) use self::body::Body;
pub(crate) use self::kind::KnownKind;
pub(crate) use self::time::{Period, TimeOrDate};

/// Reads the query string.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejection| invalid_parameter(first_cause(&rejection)))
    }
}

/// The fields of an HTML form.
pub(crate) struct Form<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let RawForm(fields) = RawForm::from_request(request, state)
            .await
            .map_err(|_| Problem::UnsupportedMediaType)?;
        serde_urlencoded::from_bytes(&fields)
            .map(Self)
            .map_err(|error| Problem::InvalidBody(error.to_string()))
    }
}

/// Reads an optional parameter of a page. HTML forms send empty fields: an empty one is absent.
pub(crate) fn optional_field<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
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

/// Reads a `T` from some parameters of a query string. `further` are the names of parameters that
/// are read elsewhere; the error for an unknown parameter lists them as well.
pub(crate) fn read_parameters<T: DeserializeOwned>(
    parameters: Vec<(String, String)>,
    further: &[&str],
) -> Result<T, Problem> {
    let parameters = MapDeserializer::<_, serde::de::value::Error>::new(parameters.into_iter());
    serde_path_to_error::deserialize(parameters).map_err(|error| {
        let mut text = error.to_string();
        if text.contains("unknown field `") {
            text.extend(further.iter().map(|name| format!(", `{name}`")));
        }
        invalid_parameter(text)
    })
}

fn invalid_parameter(error: String) -> Problem {
    let (name, message) = split_name(error);
    Problem::InvalidParameter(explain(Place::Query, &name, &message))
}

/// Splits `NAME: MESSAGE`; a name has letters, digits and underscores only.
fn split_name(text: String) -> (String, String) {
    let is_name = |name: &str| {
        name.chars()
            .all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    match text.split_once(": ") {
        Some((name, message)) if is_name(name) => (name.to_owned(), message.to_owned()),
        _ => (String::new(), text),
    }
}

/// Refuses every query parameter, for routes without parameters: a caller could rely on a parameter
/// that has no effect.
pub(crate) struct NoParameters;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFields {}

impl<S: Sync> FromRequestParts<S> for NoParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(NoFields {}) = Query::from_request_parts(parts, state).await?;
        Ok(Self)
    }
}

/// A UUID in a path, a query or a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Id(pub(crate) Uuid);

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self).map_err(|_| {
            format!(
                "invalid UUID {text:?}: expected a form like 22737513-0ea7-4206-8ceb-98a575af7681"
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

/// The parameters of a path other than a single id.
pub(crate) struct InPath<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Path::<T>::from_request_parts(parts, state)
            .await
            .map(|Path(value)| Self(value))
            .map_err(|rejection| {
                Problem::InvalidParameter(format!("path: {}", first_cause(&rejection)))
            })
    }
}

/// Returns the text of the innermost error: it has the field and the problem, which the wrapping
/// errors do not have.
fn first_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A text without NUL characters, which PostgreSQL cannot store.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, pattern = "^[^\\x00]+$")]
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
            Err("invalid character U+0000: remove it")
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

/// Checks that a time is not in the future.
pub(crate) fn not_in_the_future(field: &str, time: Option<DateTime<Utc>>) -> Result<(), Problem> {
    match time {
        Some(time) if time > Utc::now() => Err(Problem::Conflict(format!(
            "{field}: {} is in the future: use a time in the past",
            time.format("%Y-%m-%dT%H:%M:%SZ")
        ))),
        _ => Ok(()),
    }
}

/// The pattern of a tenant id, as in [`domain::TenantId`].
pub(crate) const TENANT_PATTERN: &str =
    r"^[^\x00-\x20\x7f-\xa0\s]([^\x00-\x1f\x7f-\x9f]{0,98}[^\x00-\x20\x7f-\xa0\s])?$";

/// Returns the schema of a tenant id that may be null.
pub(crate) fn tenant_or_null() -> RefOr<Schema> {
    text_or_null(100, TENANT_PATTERN)
}

/// The pattern of a reason or a purpose; see [`is_remark`].
const REMARK_PATTERN: &str =
    r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0\s][^\x00-\x1f\x7f-\x9f]*$";

/// Returns the schema of a reason or a purpose that may be null; see [`is_remark`].
pub(crate) fn remark_or_null() -> RefOr<Schema> {
    text_or_null(500, REMARK_PATTERN)
}

/// Returns the schema of a reason that must be stated; see [`is_remark`].
pub(crate) fn remark() -> RefOr<Schema> {
    text(SchemaType::new(Type::String), 500, REMARK_PATTERN)
}

fn text_or_null(max_length: usize, pattern: &str) -> RefOr<Schema> {
    let text_or_null = SchemaType::from_iter([Type::String, Type::Null]);
    text(text_or_null, max_length, pattern)
}

fn text(schema_type: SchemaType, max_length: usize, pattern: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(schema_type)
        .min_length(Some(1))
        .max_length(Some(max_length))
        .pattern(Some(pattern))
        .into()
}

/// Returns true if a text is valid as a reason or purpose by an operator: 1 to 500 characters, not
/// only white space, no control characters.
pub(crate) fn is_remark(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= 500 && !text.chars().any(char::is_control)
}

/// A text of a person, such as the reason for a change: 1 to 500 characters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Remark(String);

impl TryFrom<String> for Remark {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if is_remark(&text) {
            Ok(Self(text))
        } else {
            Err("expected 1 to 500 characters, no control characters, or null")
        }
    }
}

impl FromStr for Remark {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        Self::try_from(text.to_owned())
            .map_err(|_| "expected a reason of 1 to 500 characters, no control characters")
    }
}

impl Remark {
    /// Returns the text, if there is one.
    pub(crate) fn text(remark: Option<Self>) -> Option<String> {
        remark.map(|Self(text)| text)
    }
}

/// Reads a required parameter.
pub(crate) fn required<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// Reads an optional parameter. An empty one (`?kind=`) is refused: it is not absent.
pub(crate) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Err(serde::de::Error::custom("empty value: omit the parameter"));
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// Reads a field such that null becomes `Some(None)`; `#[serde(default)]` makes an absent field
/// `None`.
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
