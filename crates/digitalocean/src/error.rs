//! Errors of requests to DigitalOcean, and whether a later attempt may succeed.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderMap;

use crate::rate_limit;
use crate::team::Team;
use crate::tokens::TokenError;

/// A request as error texts name it: the method, and the path with its query. The query has page
/// numbers and filters, never a secret; the token is sent in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub method: &'static str,
    pub path: String,
}

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: "GET",
            path: path.into(),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.method, self.path)
    }
}

/// A response with a status other than 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorResponse {
    pub call: Call,
    pub status: u16,
    /// DigitalOcean's error (`id: message`) on one line of bounded length, or a description of
    /// another body.
    pub detail: Option<String>,
    /// The id of the request, for DigitalOcean's support.
    pub request_id: Option<String>,
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} returned {}", self.call, self.status)?;
        if let Some(detail) = &self.detail {
            write!(formatter, ": {detail}")?;
        }
        if let Some(request_id) = &self.request_id {
            write!(formatter, " (request {request_id})")?;
        }
        Ok(())
    }
}

/// The reason that a call failed. No text of it contains the token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 401
    #[error(
        "{response}; the token from {origin} is wrong, expired or revoked: replace it with a valid one"
    )]
    Unauthorized {
        response: Box<ErrorResponse>,
        /// The source of the token: the variable, the file or the path in Vault.
        origin: String,
    },
    /// 403
    #[error(
        "{response}; the token lacks the scope of this request: grant the scope, or use a token that has it"
    )]
    Forbidden { response: Box<ErrorResponse> },
    /// 404
    #[error("{response}")]
    NotFound { response: Box<ErrorResponse> },
    /// 409, for example for a name that is taken
    #[error("{response}")]
    Conflict { response: Box<ErrorResponse> },
    /// 429
    #[error("{response}; retry in {} s", retry_after.as_secs())]
    RateLimited {
        response: Box<ErrorResponse>,
        /// Between a second and an hour.
        retry_after: Duration,
    },
    /// 5xx
    #[error("{response}{}", retry_hint(*retry_after))]
    Server {
        response: Box<ErrorResponse>,
        /// Between a second and five minutes, if the response has a delay.
        retry_after: Option<Duration>,
    },
    /// Any other status that is not 2xx
    #[error("{response}")]
    Refused { response: Box<ErrorResponse> },
    /// No connection, a timeout, or a truncated response
    #[error("{call}: {problem}")]
    Network {
        call: Call,
        problem: String,
        source: reqwest::Error,
    },
    /// A 2xx response with a body that does not match the spec
    #[error("{call} returned {problem}")]
    UnexpectedBody { call: Call, problem: String },
    #[error(
        "invalid DIGITALOCEAN_API_URL: {problem}; expected a URL such as https://api.digitalocean.com"
    )]
    InvalidBaseUrl { problem: &'static str },
    #[error(
        "invalid DigitalOcean token: it is empty or has characters that no token has; correct its DO_API_TOKEN variable"
    )]
    InvalidToken,
    #[error("cannot set up TLS connections to DigitalOcean: {}; check that the machine's CA certificates are installed", root_cause(.0))]
    Setup(#[source] reqwest::Error),
    /// The request was not sent: the shared budget of the token has no requests left
    #[error("{call} was not sent: {reason}; retry in {} s", retry_after.as_secs())]
    BudgetUsedUp {
        call: Call,
        reason: String,
        retry_after: Duration,
    },
    /// The request was not sent: the token is of another team
    #[error(
        "the token from {origin} is of team {team}, but this database mirrors team {expected}: use a token of team {expected}, \
         or mirror team {team} into a separate database"
    )]
    OtherTeam {
        /// The source of the token: the variable, the file or the path in Vault.
        origin: String,
        team: Box<Team>,
        expected: Box<Team>,
    },
    /// The request was not sent: the mirrored team is not known
    #[error("cannot check the team of the token from {origin}: {problem}")]
    TeamUnknown { origin: String, problem: String },
    /// The token source returned no token
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Error {
    /// Returns true if the same call may succeed later without a change by an operator.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::BudgetUsedUp { .. }
            | Self::Server { .. }
            | Self::Network { .. }
            | Self::UnexpectedBody { .. }
            | Self::TeamUnknown { .. } => true,
            Self::Token(error) => error.is_retryable(),
            Self::Unauthorized { .. }
            | Self::OtherTeam { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::Refused { .. }
            | Self::InvalidBaseUrl { .. }
            | Self::InvalidToken
            | Self::Setup(_) => false,
        }
    }

    /// Creates the error for a status. The headers provide the delay before the next attempt.
    pub(crate) fn from_response(
        response: ErrorResponse,
        headers: &HeaderMap,
        origin: &str,
    ) -> Self {
        let response = Box::new(response);
        match response.status {
            401 => Self::Unauthorized {
                response,
                origin: origin.to_owned(),
            },
            403 => Self::Forbidden { response },
            404 => Self::NotFound { response },
            409 => Self::Conflict { response },
            429 => Self::RateLimited {
                response,
                retry_after: rate_limit::retry_after(headers),
            },
            500.. => Self::Server {
                response,
                retry_after: rate_limit::retry_after_outage(headers),
            },
            _ => Self::Refused { response },
        }
    }

    pub(crate) fn network(call: &Call, base_url: &str, error: reqwest::Error) -> Self {
        let error = error.without_url();
        Self::Network {
            call: call.clone(),
            problem: describe_network(base_url, &error),
            source: error,
        }
    }

    pub(crate) fn unexpected(call: &Call, problem: impl Into<String>) -> Self {
        Self::UnexpectedBody {
            call: call.clone(),
            problem: problem.into(),
        }
    }
}

/// Formats the delay that a failing server requested, for the end of an error text.
pub(crate) fn retry_hint(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |delay| {
        format!("; the server requests a retry after {} s", delay.as_secs())
    })
}

/// Describes why a request got no complete response. The URL must have been removed from the error.
pub(crate) fn describe_network(base_url: &str, error: &reqwest::Error) -> String {
    let cause = root_cause(error);
    if error.is_timeout() {
        format!("{base_url} did not respond in time")
    } else if error.is_connect() {
        format!("cannot connect to {base_url}: {cause}")
    } else if error.is_body() || error.is_decode() {
        format!("the response was truncated: {cause}")
    } else {
        format!("no response from {base_url}: {cause}")
    }
}

pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}
