//! Problem documents (RFC 9457): the format of every error response, including those that axum
//! creates.

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

/// The media type of pages; their errors are pages too.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

/// An error of a request. The caller receives its `Display` text; its sources go to the log only.
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
    #[error("method not allowed for this path: use one of the methods in the allow header")]
    MethodNotAllowed,
    #[error("{0}")]
    InvalidParameter(String),
    #[error("{0}")]
    InvalidBody(String),
    #[error("unsupported content type: send JSON with `content-type: application/json`")]
    UnsupportedMediaType,
    #[error("body exceeds 64 kB: send a smaller one")]
    BodyTooLarge,
    #[error("path and query exceed 8 kB: shorten them")]
    PathTooLong,
    #[error("headers exceed 16 kB: send fewer or shorter ones")]
    HeadersTooLarge,
    #[error("{detail}")]
    TooManyRequests {
        detail: &'static str,
        /// Time until the same request is accepted.
        wait: Duration,
    },
    #[error("request timed out: request less data, or try again later")]
    TimedOut,
    #[error("{0}")]
    NotReady(String),
    #[error("database unavailable: try again later")]
    DatabaseUnavailable(#[source] StoreError),
    #[error(
        "internal error: search the log for the request id in the x-request-id header of this \
         response"
    )]
    Internal(#[source] Box<dyn Error + Send + Sync>),
    /// An error that a library created; only its status is known.
    #[error("request refused")]
    Refused(StatusCode),
}

impl Problem {
    /// Returns the status, the last part of the type URN, and the title.
    fn class(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unauthorized(_) => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "valid token required",
            ),
            Self::Forbidden(_) => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "operation not permitted for the role of the token",
            ),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "not found"),
            Self::Conflict(_) => (
                StatusCode::CONFLICT,
                "conflict",
                "conflict with the current state",
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "method not allowed",
            ),
            Self::InvalidParameter(_) => (
                StatusCode::BAD_REQUEST,
                "invalid-parameter",
                "invalid parameter",
            ),
            Self::InvalidBody(_) => (StatusCode::BAD_REQUEST, "invalid-body", "invalid body"),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "unsupported content type",
            ),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "body too large",
            ),
            Self::PathTooLong => (StatusCode::URI_TOO_LONG, "path-too-long", "path too long"),
            Self::HeadersTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers-too-large",
                "headers too large",
            ),
            Self::TooManyRequests { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                "too many requests",
            ),
            Self::TimedOut => (
                StatusCode::SERVICE_UNAVAILABLE,
                "timed-out",
                "request timed out",
            ),
            Self::NotReady(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not-ready",
                "service not ready",
            ),
            Self::DatabaseUnavailable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "database-unavailable",
                "database unavailable",
            ),
            Self::Internal(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "internal error",
            ),
            Self::Refused(status) => (
                *status,
                "refused",
                status.canonical_reason().unwrap_or("request refused"),
            ),
        }
    }

    fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BodyTooLarge,
            StatusCode::SERVICE_UNAVAILABLE => Self::TimedOut,
            StatusCode::INTERNAL_SERVER_ERROR => {
                Self::Internal("a library returned status 500".into())
            }
            status => Self::Refused(status),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::NotFound(error.to_string()),
            StoreError::Decided { .. }
            | StoreError::MonthState { .. }
            | StoreError::Estimated { .. }
            | StoreError::Rotated { .. }
            | StoreError::InvalidToken { .. }
            | StoreError::KindMismatch { .. } => Self::Conflict(error.to_string()),
            error if error.is_date_out_of_range() => Self::InvalidParameter(
                "time out of range of the database: use a year from 1 to 9999".to_owned(),
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
    /// Type of the problem: a URN that identifies it, not an address.
    #[schema(example = "urn:problem-type:arcadia:not-found")]
    r#type: String,
    /// Title of the problem type; equal for all problems of a type.
    title: &'static str,
    /// HTTP status code.
    #[schema(example = 404)]
    status: u16,
    /// The error in this request, and the fix.
    detail: String,
}

/// The texts of a problem, attached to its response for pages.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) title: &'static str,
    pub(crate) detail: String,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Self::DatabaseUnavailable(_) | Self::Internal(_) = &self
            && let Some(cause) = self.source()
        {
            tracing::error!(error = cause, "request failed");
        }
        let (status, name, title) = self.class();
        let document = Document {
            r#type: format!("urn:problem-type:arcadia:{name}"),
            title,
            status: status.as_u16(),
            detail: self.to_string(),
        };
        let shown = Shown {
            title,
            detail: document.detail.clone(),
        };
        let mut response = (status, Json(document)).into_response();
        response.extensions_mut().insert(shown);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::TooManyRequests { wait, .. } = self {
            // Rounded up, so that a client that waits exactly this long is not refused again.
            headers.insert(RETRY_AFTER, (wait.as_secs() + 1).into());
        }
        response
    }
}

/// Converts error responses of axum and tower to problem documents; their headers, such as `allow`,
/// are kept.
pub(crate) async fn in_problem_form(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let is_problem = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|media_type| media_type == MEDIA_TYPE || media_type == HTML);
    if !is_error || is_problem {
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
        "unknown path {}: see /api/v1/openapi.json for all paths",
        uri.path()
    ))
}

/// Returns the OpenAPI description of a problem response.
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

/// The response 400 of an operation.
pub(crate) struct BadRequest;

impl IntoResponses for BadRequest {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let description =
            "A parameter or the body is invalid; `detail` has the name and the expected value";
        BTreeMap::from([("400".to_owned(), described(description))])
    }
}

/// The response 404 of an operation.
pub(crate) struct NotFound;

impl IntoResponses for NotFound {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let description = "Not found, or not visible to the tenant of the token";
        BTreeMap::from([("404".to_owned(), described(description))])
    }
}

/// The response 409 of an operation on a held deletion that has another decision.
pub(crate) struct AlreadyDecided;

impl IntoResponses for AlreadyDecided {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let description =
            "The held deletion already has another decision; `detail` has the decision";
        BTreeMap::from([("409".to_owned(), described(description))])
    }
}

/// The response 409 of an operation on a month in another state.
pub(crate) struct MonthConflict;

impl IntoResponses for MonthConflict {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let description =
            "The state of the month does not permit the operation; `detail` has the reasons";
        BTreeMap::from([("409".to_owned(), described(description))])
    }
}

/// The response 409 of an operation that matches a cost line: the kind of the resource does not fit
/// the line, or the line belongs to an estimate.
pub(crate) struct KindMismatch;

impl IntoResponses for KindMismatch {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let description = "The kind of the resource does not fit the line (`force` overrides this \
            check), or the line belongs to an estimate; `detail` has the reason";
        BTreeMap::from([("409".to_owned(), described(description))])
    }
}

/// The response 409 of an operation with a time from which it applies.
pub(crate) struct FutureTime;

impl IntoResponses for FutureTime {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let description = "The time from which the change applies is in the future";
        BTreeMap::from([("409".to_owned(), described(description))])
    }
}

/// The response 409 of an operation on a line of an estimate: estimates are replaced every day, so
/// their lines cannot have overrides.
pub(crate) struct EstimateLine;

impl IntoResponses for EstimateLine {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let description =
            "The line belongs to an estimate; try again when the invoice of the month is ingested";
        BTreeMap::from([("409".to_owned(), described(description))])
    }
}
