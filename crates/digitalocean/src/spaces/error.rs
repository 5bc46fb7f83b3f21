//! Errors of requests to Spaces, and whether a later attempt may succeed.

use std::fmt;
use std::time::Duration;

use crate::error::{describe_network, retry_hint, root_cause};

/// A response with a status other than 2xx. Only the code of its body is kept: S3's message about a
/// signature repeats the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpacesErrorResponse {
    pub region: &'static str,
    pub status: u16,
    /// The error code of S3, such as `AccessDenied`.
    pub code: Option<String>,
    pub request_id: Option<String>,
}

impl fmt::Display for SpacesErrorResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "ListBuckets in {} returned {}",
            self.region, self.status
        )?;
        if let Some(code) = &self.code {
            write!(formatter, " {code}")?;
        }
        if let Some(request_id) = &self.request_id {
            write!(formatter, " (request {request_id})")?;
        }
        Ok(())
    }
}

/// The reason that the buckets could not be listed. No text of it contains the secret or a
/// signature.
#[derive(Debug, thiserror::Error)]
pub enum SpacesError {
    /// The keys are unknown, or are not a pair
    #[error(
        "{response}; SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY are not a pair, or the key was deleted: set a valid pair"
    )]
    WrongKeys { response: SpacesErrorResponse },
    /// 403 for another reason
    #[error("{response}; the key may not list buckets: use a key with full access")]
    Forbidden { response: SpacesErrorResponse },
    /// 429, 5xx
    #[error("{response}{}", retry_hint(*retry_after))]
    Server {
        response: SpacesErrorResponse,
        /// Between a second and five minutes, if the response has a delay.
        retry_after: Option<Duration>,
    },
    /// Any other status that is not 2xx
    #[error("{response}")]
    Refused { response: SpacesErrorResponse },
    /// No connection, a timeout, or a truncated response
    #[error("ListBuckets in {region}: {problem}")]
    Network {
        region: &'static str,
        problem: String,
        source: reqwest::Error,
    },
    /// A 2xx response with a body that is not a list of buckets
    #[error("ListBuckets in {region} returned {problem}")]
    UnexpectedBody {
        region: &'static str,
        problem: String,
    },
    #[error(
        "invalid SPACES_ENDPOINT_URL: {problem}; expected a template such as {}",
        super::DEFAULT_ENDPOINT
    )]
    InvalidEndpoint { problem: &'static str },
    #[error("cannot set up TLS connections to Spaces: {}; check that the machine's CA certificates are installed", root_cause(.0))]
    Setup(#[source] reqwest::Error),
}

impl SpacesError {
    /// Returns true if the same call may succeed later without a change by an operator.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Server { .. } | Self::Network { .. } | Self::UnexpectedBody { .. } => true,
            Self::WrongKeys { .. }
            | Self::Forbidden { .. }
            | Self::Refused { .. }
            | Self::InvalidEndpoint { .. }
            | Self::Setup(_) => false,
        }
    }

    pub(super) fn from_response(
        response: SpacesErrorResponse,
        retry_after: Option<Duration>,
    ) -> Self {
        let wrong_keys = ["InvalidAccessKeyId", "SignatureDoesNotMatch"];
        let code = response.code.as_deref().unwrap_or_default();
        match response.status {
            _ if wrong_keys.contains(&code) => Self::WrongKeys { response },
            401 => Self::WrongKeys { response },
            403 => Self::Forbidden { response },
            429 | 500.. => Self::Server {
                response,
                retry_after,
            },
            _ => Self::Refused { response },
        }
    }

    pub(super) fn network(region: &'static str, base_url: &str, error: reqwest::Error) -> Self {
        // The URL contains the signature.
        let error = error.without_url();
        Self::Network {
            region,
            problem: describe_network(base_url, &error),
            source: error,
        }
    }

    pub(super) fn unexpected(region: &'static str, problem: impl Into<String>) -> Self {
        Self::UnexpectedBody {
            region,
            problem: problem.into(),
        }
    }
}
