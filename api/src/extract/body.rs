//! The extractor of JSON bodies, with errors that have the field and the fix.

use std::fmt;

use axum::body::Bytes;
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use super::serde_errors::{Place, explain};
use crate::problem::Problem;

/// Reads the body as a JSON object. Errors have the field and the fix.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::UnsupportedMediaType);
        }
        let bytes = bytes_of(request, state).await?;
        read(&bytes).map(Self).map_err(Problem::InvalidBody)
    }
}

/// Reads a body that may be empty.
impl<S: Send + Sync, T: DeserializeOwned> OptionalFromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        let is_json = is_json(request.headers());
        let bytes = bytes_of(request, state).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        if !is_json {
            return Err(Problem::UnsupportedMediaType);
        }
        let body = read(&bytes).map_err(Problem::InvalidBody)?;
        Ok(Some(Self(body)))
    }
}

async fn bytes_of<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let bytes = Bytes::from_request(request, state).await;
    bytes.map_err(|rejection| match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::BodyTooLarge,
        _ => Problem::InvalidBody("the body is incomplete: send it again".to_owned()),
    })
}

/// Returns true if the content type is `application/json` or `application/...+json`.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE);
    let Some(text) = content_type.and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence
        .strip_prefix("application/")
        .is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("the body is empty: expected a JSON object".to_owned());
    }
    let value = read_json(bytes)?;
    // serde would also read the fields from an array, by position.
    if !value.is_object() {
        return Err(format!("expected a JSON object, found {}", type_of(&value)));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = path_text(error.path());
        explain(Place::Body, &path, &error.inner().to_string())
    })
}

/// Reads any JSON without duplicate fields: with duplicates, the valid one would be ambiguous.
fn read_json(bytes: &[u8]) -> Result<Value, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize::<_, UniqueFields>(&mut deserializer);
    let UniqueFields(value) = read.map_err(|error| {
        let path = path_text(error.path());
        let error = error.into_inner();
        if error.is_data() {
            explain(Place::Body, &path, &without_place(&error))
        } else {
            malformed(&error)
        }
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> String {
    format!(
        "invalid JSON at line {}, column {}: {}",
        error.line(),
        error.column(),
        without_place(error)
    )
}

/// Returns the text of the error without its line and column.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Formats a path like `weights.acme`; keys with other characters are quoted.
fn path_text(path: &Path) -> String {
    let is_plain = |key: &str| {
        let fits = |letter: char| letter.is_alphanumeric() || "_-".contains(letter);
        !key.is_empty() && key.chars().all(fits)
    };
    let segments = path.iter().map(|segment| match segment {
        Segment::Map { key } | Segment::Enum { variant: key } if is_plain(key) => format!(".{key}"),
        Segment::Map { key } | Segment::Enum { variant: key } => format!("[{key:?}]"),
        Segment::Seq { index } => format!("[{index}]"),
        Segment::Unknown => String::new(),
    });
    let text: String = segments.collect();
    text.strip_prefix('.').unwrap_or(&text).to_owned()
}

/// JSON without duplicate fields in its objects.
struct UniqueFields(Value);

impl<'de> Deserialize<'de> for UniqueFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson).map(Self)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(UniqueFields(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, UniqueFields(value))) = fields.next_entry::<String, _>()? {
            if object.contains_key(&name) {
                return Err(serde::de::Error::custom(format!(
                    "duplicate field {name:?}: remove one"
                )));
            }
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the errors are checked")]
    struct Example {
        name: String,
        #[serde(default)]
        weights: BTreeMap<String, u8>,
    }

    #[test]
    fn each_body_error_has_its_place_and_the_fix() {
        for (body, expected) in [
            ("", "the body is empty: expected a JSON object"),
            ("  \n", "the body is empty: expected a JSON object"),
            ("[]", "expected a JSON object, found an array"),
            ("\"name\"", "expected a JSON object, found a string"),
            (
                "{\"name\": \"a\"",
                "invalid JSON at line 1, column 12: EOF while parsing an object",
            ),
            (
                "{\n  \"name\": a}",
                "invalid JSON at line 2, column 11: expected value",
            ),
            (
                "{\"name\": \"a\"} {}",
                "invalid JSON at line 1, column 15: trailing characters",
            ),
            ("{}", "missing field \"name\": add it"),
            (
                "{\"name\": 5}",
                "name: invalid type: integer 5, expected a string",
            ),
            (
                "{\"nam\": \"a\"}",
                "unknown field \"nam\": expected name or weights; did you mean name?",
            ),
            (
                "{\"name\": \"a\", \"name\": \"b\"}",
                "duplicate field \"name\": remove one",
            ),
            (
                "{\"name\": \"a\", \"weights\": {\"x\": 1, \"x\": 2}}",
                "weights: duplicate field \"x\": remove one",
            ),
            (
                "{\"name\": \"a\", \"weights\": {\"a b\": 300}}",
                "weights[\"a b\"]: invalid value: integer 300, expected u8",
            ),
        ] {
            let refused = read::<Example>(body.as_bytes()).unwrap_err();
            assert_eq!(refused, expected, "{body}");
        }
    }

    #[test]
    fn json_is_recognised_by_its_content_type() {
        for (content_type, expected) in [
            (Some("application/json"), true),
            (Some("application/json; charset=utf-8"), true),
            (Some("Application/JSON"), true),
            (Some("application/merge-patch+json"), true),
            (Some("text/plain"), false),
            (Some("application/x-www-form-urlencoded"), false),
            (None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(content_type) = content_type {
                headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
            }
            assert_eq!(is_json(&headers), expected, "{content_type:?}");
        }
    }
}
