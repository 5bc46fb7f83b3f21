//! Problem documents (RFC 9457): the one form of every error, axum's own included.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use store::StoreError;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::{Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request has no good answer. What it displays is what the caller reads; causes go to the log only.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("{0}")]
    Unauthorized(&'static str),
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("this path does not answer that method: the allow header names those it does")]
    MethodNotAllowed,
    #[error("{0}")]
    InvalidParameter(String),
    #[error("{0}")]
    InvalidBody(String),
    #[error("the body must be JSON, with `content-type: application/json`")]
    UnsupportedMediaType,
    #[error("the body has more than 64 kB")]
    BodyTooLarge,
    #[error("the path with its query has more than 8 kB")]
    PathTooLong,
    #[error("the headers have more than 16 kB")]
    HeadersTooLarge,
    #[error("{detail}")]
    TooManyRequests {
        detail: &'static str,
        /// How long the same request would be refused again.
        wait: Duration,
    },
    #[error("the request took longer than the server waits: ask for less, or try again later")]
    TimedOut,
    #[error("{0}")]
    NotReady(String),
    #[error("the database does not answer: try again later")]
    DatabaseUnavailable(#[source] StoreError),
    #[error(
        "something failed inside: the log has the cause, under the request id of this answer's x-request-id header"
    )]
    Internal(#[source] Box<dyn Error + Send + Sync>),
    /// An error made by a library, of which only the status is known.
    #[error("the request was refused")]
    Refused(StatusCode),
}

impl Problem {
    /// Status, the last part of the type, and title.
    fn class(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unauthorized(_) => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "a valid token is needed",
            ),
            Self::Forbidden(_) => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "the token's role does not allow this",
            ),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "there is no such thing"),
            Self::Conflict(_) => (
                StatusCode::CONFLICT,
                "conflict",
                "it contradicts what has been decided",
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "the method is not allowed here",
            ),
            Self::InvalidParameter(_) => (
                StatusCode::BAD_REQUEST,
                "invalid-parameter",
                "a parameter cannot be read",
            ),
            Self::InvalidBody(_) => (
                StatusCode::BAD_REQUEST,
                "invalid-body",
                "the body cannot be read",
            ),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "the body is not JSON",
            ),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "the body is too large",
            ),
            Self::PathTooLong => (
                StatusCode::URI_TOO_LONG,
                "path-too-long",
                "the path is too long",
            ),
            Self::HeadersTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers-too-large",
                "the headers are too large",
            ),
            Self::TooManyRequests { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                "there are too many requests",
            ),
            Self::TimedOut => (
                StatusCode::SERVICE_UNAVAILABLE,
                "timed-out",
                "the request took too long",
            ),
            Self::NotReady(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not-ready",
                "the service is not ready",
            ),
            Self::DatabaseUnavailable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "database-unavailable",
                "the database does not answer",
            ),
            Self::Internal(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "an internal error occurred",
            ),
            Self::Refused(status) => (
                *status,
                "refused",
                status
                    .canonical_reason()
                    .unwrap_or("the request was refused"),
            ),
        }
    }

    fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BodyTooLarge,
            StatusCode::SERVICE_UNAVAILABLE => Self::TimedOut,
            StatusCode::INTERNAL_SERVER_ERROR => Self::Internal("a library answered 500".into()),
            status => Self::Refused(status),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::NotFound(error.to_string()),
            StoreError::Decided { .. }
            | StoreError::Estimated { .. }
            | StoreError::KindMismatch { .. } => Self::Conflict(error.to_string()),
            error if error.is_beyond_time() => Self::InvalidParameter(
                "a time lies further away than the database can tell: give one of the years 1 to 9999"
                    .to_owned(),
            ),
            error if error.is_transient() => Self::DatabaseUnavailable(error),
            error => Self::Internal(error.into()),
        }
    }
}

/// The body of every error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Document {
    /// What kind of problem it is: an identifier, not an address.
    #[schema(example = "urn:problem-type:arcadia:not-found")]
    r#type: String,
    /// The same for every problem of a type.
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// What is wrong with this request, and what to do about it.
    detail: String,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Self::DatabaseUnavailable(_) | Self::Internal(_) = &self
            && let Some(cause) = self.source()
        {
            tracing::error!(error = cause, "the request failed");
        }
        let (status, name, title) = self.class();
        let document = Document {
            r#type: format!("urn:problem-type:arcadia:{name}"),
            title,
            status: status.as_u16(),
            detail: self.to_string(),
        };
        let mut response = (status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::TooManyRequests { wait, .. } = self {
            // Rounded up: who waits for as long as it says is not refused for a fraction of a second.
            headers.insert(RETRY_AFTER, (wait.as_secs() + 1).into());
        }
        response
    }
}

/// Gives an error that did not come from here the form of those that did; its headers (`allow` and the like) stay.
pub(crate) async fn in_problem_form(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let has_form = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|media_type| media_type == MEDIA_TYPE);
    if !is_error || has_form {
        return response;
    }
    let mut problem = Problem::from_status(status).into_response();
    for (name, value) in response.headers() {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            problem.headers_mut().append(name, value.clone());
        }
    }
    problem
}

pub(crate) async fn unknown_path(uri: Uri) -> Problem {
    Problem::NotFound(format!(
        "there is nothing at {}: /api/v1/openapi.json lists what there is",
        uri.path()
    ))
}

/// A description of one problem for the OpenAPI document.
pub(crate) fn described(description: &str) -> RefOr<utoipa::openapi::Response> {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    ResponseBuilder::new()
        .description(description)
        .content(MEDIA_TYPE, content)
        .build()
        .into()
}

/// In an operation's responses: its parameters can be wrong.
pub(crate) struct Invalid;

impl IntoResponses for Invalid {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let description = "A parameter or the body cannot be read; `detail` says which and why";
        BTreeMap::from([("400".to_owned(), described(description))])
    }
}

/// In an operation's responses: what it names may not be there, or not be the caller's.
pub(crate) struct Absent;

impl IntoResponses for Absent {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let description = "There is no such thing, or it is not this tenant's";
        BTreeMap::from([("404".to_owned(), described(description))])
    }
}

/// In an operation's responses: it was decided otherwise before.
pub(crate) struct Decided;

impl IntoResponses for Decided {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let description = "It was decided otherwise before; `detail` says how";
        BTreeMap::from([("409".to_owned(), described(description))])
    }
}

/// In an operation's responses: the line cannot be for that resource, or is of an estimate.
pub(crate) struct Unfitting;

impl IntoResponses for Unfitting {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let description = "The line cannot be for a resource of that kind (`force` accepts it all the same), or the line is of an \
            estimate; `detail` says which";
        BTreeMap::from([("409".to_owned(), described(description))])
    }
}

/// In an operation's responses: it is not for estimates, which are replaced every day.
pub(crate) struct Estimated;

impl IntoResponses for Estimated {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let description = "The line is of an estimate; its month's invoice is to come";
        BTreeMap::from([("409".to_owned(), described(description))])
    }
}
