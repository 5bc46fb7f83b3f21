//! What can go wrong when Spaces is asked.

use std::fmt;
use std::time::Duration;

use crate::error::{describe_network, innermost, left_alone_for};

/// An answer other than 2xx. Of its body only the code is kept: S3's words about a signature repeat it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpacesAnswer {
    pub region: &'static str,
    pub status: u16,
    /// S3's word for the error, like `AccessDenied`.
    pub code: Option<String>,
    pub request_id: Option<String>,
}

impl fmt::Display for SpacesAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "ListBuckets in {} answered {}",
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

/// Why the buckets could not be listed. No text of it holds the secret or a signature.
#[derive(Debug, thiserror::Error)]
pub enum SpacesError {
    /// The keys are unknown, or do not belong together
    #[error(
        "{answer}; SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY are no pair, or the key was deleted"
    )]
    WrongKeys { answer: SpacesAnswer },
    /// 403 for another reason
    #[error("{answer}; the key may not list buckets: use one with full access")]
    Forbidden { answer: SpacesAnswer },
    /// 429, 5xx
    #[error("{answer}{}", left_alone_for(*retry_after))]
    Server {
        answer: SpacesAnswer,
        /// Between a second and five minutes, where the answer says so.
        retry_after: Option<Duration>,
    },
    /// Any other answer that is not 2xx
    #[error("{answer}")]
    Refused { answer: SpacesAnswer },
    /// No connection, no answer in time, or an answer that was cut off
    #[error("ListBuckets in {region}: {problem}")]
    Network {
        region: &'static str,
        problem: String,
        source: reqwest::Error,
    },
    /// A 2xx whose body is no list of buckets
    #[error("ListBuckets in {region} answered with {problem}")]
    UnexpectedBody {
        region: &'static str,
        problem: String,
    },
    #[error(
        "SPACES_ENDPOINT_URL cannot be used: {problem}; expected one like {}",
        super::DEFAULT_ENDPOINT
    )]
    InvalidEndpoint { problem: &'static str },
    #[error("cannot prepare connections to Spaces: {}; are the machine's CA certificates installed?", innermost(.0))]
    Setup(#[source] reqwest::Error),
}

impl SpacesError {
    /// Whether the same may well succeed later without anyone doing something about it.
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

    pub(super) fn of_answer(answer: SpacesAnswer, retry_after: Option<Duration>) -> Self {
        let wrong_keys = ["InvalidAccessKeyId", "SignatureDoesNotMatch"];
        let code = answer.code.as_deref().unwrap_or_default();
        match answer.status {
            _ if wrong_keys.contains(&code) => Self::WrongKeys { answer },
            401 => Self::WrongKeys { answer },
            403 => Self::Forbidden { answer },
            429 | 500.. => Self::Server {
                answer,
                retry_after,
            },
            _ => Self::Refused { answer },
        }
    }

    pub(super) fn network(region: &'static str, base_url: &str, error: reqwest::Error) -> Self {
        // The URL holds the signature.
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
