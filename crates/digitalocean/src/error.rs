//! What can go wrong when DigitalOcean is asked.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderMap;

use crate::rate_limit;
use crate::team::Team;
use crate::tokens::TokenError;

/// A request, as errors name it: the method, and the path with its query. The query holds page numbers and the like, never a
/// secret; the token goes in a header.
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

/// An answer other than 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub call: Call,
    pub status: u16,
    /// DigitalOcean's own words (`id: message`) on one line and of bounded length, or a note on what came instead.
    pub detail: Option<String>,
    /// What DigitalOcean's support asks for.
    pub request_id: Option<String>,
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} answered {}", self.call, self.status)?;
        if let Some(detail) = &self.detail {
            write!(formatter, ": {detail}")?;
        }
        if let Some(request_id) = &self.request_id {
            write!(formatter, " (request {request_id})")?;
        }
        Ok(())
    }
}

/// Why a call came to nothing. No text of it holds the token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 401
    #[error("{answer}; the token of {origin} is wrong, expired or revoked: put a valid one there")]
    Unauthorized {
        answer: Box<Answer>,
        /// The variable, the file or Vault's path that the token is from.
        origin: String,
    },
    /// 403
    #[error("{answer}; the token lacks the scope for this: grant it, or use a token that has it")]
    Forbidden { answer: Box<Answer> },
    /// 404
    #[error("{answer}")]
    NotFound { answer: Box<Answer> },
    /// 409, for one a name that is taken
    #[error("{answer}")]
    Conflict { answer: Box<Answer> },
    /// 429
    #[error("{answer}; may be tried again in {} s", retry_after.as_secs())]
    RateLimited {
        answer: Box<Answer>,
        /// Between a second and an hour.
        retry_after: Duration,
    },
    /// 5xx
    #[error("{answer}{}", left_alone_for(*retry_after))]
    Server {
        answer: Box<Answer>,
        /// Between a second and five minutes, where the answer says so.
        retry_after: Option<Duration>,
    },
    /// Any other answer that is not 2xx
    #[error("{answer}")]
    Refused { answer: Box<Answer> },
    /// No connection, no answer in time, or an answer that was cut off
    #[error("{call}: {problem}")]
    Network {
        call: Call,
        problem: String,
        source: reqwest::Error,
    },
    /// A 2xx whose body is not what the spec promises
    #[error("{call} answered with {problem}")]
    UnexpectedBody { call: Call, problem: String },
    #[error(
        "DIGITALOCEAN_API_URL cannot be used: {problem}; expected one like https://api.digitalocean.com"
    )]
    InvalidBaseUrl { problem: &'static str },
    #[error(
        "the DigitalOcean token is empty or holds characters that no token has: look at its DO_API_TOKEN variable"
    )]
    InvalidToken,
    #[error("cannot prepare connections to DigitalOcean: {}; are the machine's CA certificates installed?", innermost(.0))]
    Setup(#[source] reqwest::Error),
    /// Nothing was sent: all who use the token together have made as many requests as they may
    #[error("{call} has to wait: {reason}; may be tried again in {} s", retry_after.as_secs())]
    BudgetUsedUp {
        call: Call,
        reason: String,
        retry_after: Duration,
    },
    /// Nothing was asked but whose token it is
    #[error(
        "the token of {origin} is one of the team {team}, and what is read here is the team {expected}'s: put a token of that team there, \
         or read {team} into a database of its own"
    )]
    OtherTeam {
        /// The variable, the file or Vault's path that the token is from.
        origin: String,
        team: Box<Team>,
        expected: Box<Team>,
    },
    /// Nothing was asked but whose token it is
    #[error("whether the token of {origin} is one of the right team is not known: {problem}")]
    TeamUnknown { origin: String, problem: String },
    /// There was no token to send
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Error {
    /// Whether the same call may well succeed later without anyone doing something about it.
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

    /// The headers say when to come back.
    pub(crate) fn of_answer(answer: Answer, headers: &HeaderMap, origin: &str) -> Self {
        let answer = Box::new(answer);
        match answer.status {
            401 => Self::Unauthorized {
                answer,
                origin: origin.to_owned(),
            },
            403 => Self::Forbidden { answer },
            404 => Self::NotFound { answer },
            409 => Self::Conflict { answer },
            429 => Self::RateLimited {
                answer,
                retry_after: rate_limit::retry_after(headers),
            },
            500.. => Self::Server {
                answer,
                retry_after: rate_limit::retry_after_outage(headers),
            },
            _ => Self::Refused { answer },
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

/// The end of a text about a server that cannot answer.
pub(crate) fn left_alone_for(asked: Option<Duration>) -> String {
    asked.map_or_else(String::new, |asked| {
        format!("; asks to be left alone for {} s", asked.as_secs())
    })
}

/// What kept an answer from coming. The error must have lost its URL.
pub(crate) fn describe_network(base_url: &str, error: &reqwest::Error) -> String {
    let cause = innermost(error);
    if error.is_timeout() {
        format!("{base_url} did not answer in time")
    } else if error.is_connect() {
        format!("cannot connect to {base_url}: {cause}")
    } else if error.is_body() || error.is_decode() {
        format!("the answer was cut off: {cause}")
    } else {
        format!("no answer from {base_url}: {cause}")
    }
}

pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}
