//! The failures of activities: whether and when Temporal retries them, and their type names in the
//! Temporal UI.

use std::error::Error;
use std::time::Duration;

use digitalocean::SpacesError;
use domain::InvoiceUuid;
use domain::invoices::UnreadableInvoice;
use export::ExportError;
use store::StoreError;
use temporalio_common::error::ApplicationFailure;
use temporalio_sdk::activities::ActivityError;

/// The cause of a failed activity.
///
/// Deliberately not a `std::error::Error`: the SDK turns those into nameless, retryable failures at
/// a `?`. This type becomes an [`ActivityError`] only through [`Failure::report`].
pub enum Failure {
    DigitalOcean(digitalocean::Error),
    Spaces(SpacesError),
    Store(StoreError),
    UnreadableInvoice(UnreadableInvoice),
    /// The pages of an invoice's items, or of the billing history, contradict each other: the list
    /// changed while it was read.
    InconsistentItems(String),
    NoInvoice(InvoiceUuid),
    UnknownKind(String),
    InvalidInput(String),
    /// A file of a closed month could not be encoded.
    Export(ExportError),
    InternalProject {
        name: String,
        reason: String,
    },
    /// The internal project is missing, and the token may not create it.
    MayNotCreateProject {
        name: String,
        error: digitalocean::Error,
    },
}

impl From<digitalocean::Error> for Failure {
    fn from(error: digitalocean::Error) -> Self {
        Self::DigitalOcean(error)
    }
}

impl From<SpacesError> for Failure {
    fn from(error: SpacesError) -> Self {
        Self::Spaces(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<UnreadableInvoice> for Failure {
    fn from(error: UnreadableInvoice) -> Self {
        Self::UnreadableInvoice(error)
    }
}

impl Failure {
    /// The failure type, by which operators filter in the Temporal UI.
    fn type_name(&self) -> &'static str {
        match self {
            Self::DigitalOcean(error) => match error {
                digitalocean::Error::Unauthorized { .. } => "Unauthorized",
                digitalocean::Error::Forbidden { .. } => "Forbidden",
                digitalocean::Error::NotFound { .. } => "NotFound",
                // Workflows wait and retry after these two types. Histories contain them, so they
                // must not change.
                digitalocean::Error::RateLimited { .. } => "RateLimited",
                digitalocean::Error::BudgetUsedUp { .. } => "BudgetUsedUp",
                digitalocean::Error::Token(_) => "NoToken",
                digitalocean::Error::OtherTeam { .. } => "OtherTeam",
                digitalocean::Error::TeamUnknown { .. } => "Database",
                _ => "DigitalOcean",
            },
            Self::Spaces(SpacesError::WrongKeys { .. }) => "Unauthorized",
            Self::Spaces(_) => "Spaces",
            Self::Store(StoreError::NotFound { .. }) | Self::NoInvoice(_) => "NotFound",
            Self::Store(StoreError::Unconfirmed { .. }) => "InvoiceNotVerified",
            Self::Store(StoreError::Superseded { .. }) => "Superseded",
            Self::Store(_) => "Database",
            Self::UnreadableInvoice(_) => "UnreadableInvoice",
            Self::InconsistentItems(_) => "InconsistentItems",
            Self::UnknownKind(_) => "UnknownKind",
            Self::InvalidInput(_) => "InvalidInput",
            Self::Export(_) => "Export",
            Self::InternalProject { .. } | Self::MayNotCreateProject { .. } => "InternalProject",
        }
    }

    /// Whether Temporal retries the activity. A 429 with a short wait is retried after that wait.
    ///
    /// Two rate limits go to the workflow instead, which knows how long it can wait, and which
    /// starts the activity again after the delay (`workflows/src/rate_limit.rs`): an exhausted
    /// budget of this system, immediately; and a 429, if it requests a long wait or all attempts
    /// got one.
    fn is_retryable(&self) -> bool {
        match self {
            Self::DigitalOcean(digitalocean::Error::RateLimited { retry_after, .. }) => {
                *retry_after <= SHORT_WAIT
            }
            Self::DigitalOcean(digitalocean::Error::BudgetUsedUp { .. })
            | Self::UnreadableInvoice(_)
            | Self::NoInvoice(_)
            | Self::UnknownKind(_)
            | Self::InvalidInput(_)
            | Self::Export(_)
            | Self::MayNotCreateProject { .. } => false,
            Self::DigitalOcean(error) => error.is_retryable(),
            Self::Spaces(error) => error.is_retryable(),
            Self::Store(error) => error.is_transient(),
            Self::InconsistentItems(_) | Self::InternalProject { .. } => true,
        }
    }

    /// The wait that DigitalOcean, Spaces or this system's budget requests; none leaves it to the
    /// retry policy.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::DigitalOcean(
                digitalocean::Error::RateLimited { retry_after, .. }
                | digitalocean::Error::BudgetUsedUp { retry_after, .. },
            ) => Some(*retry_after),
            Self::DigitalOcean(digitalocean::Error::Server { retry_after, .. })
            | Self::Spaces(SpacesError::Server { retry_after, .. }) => *retry_after,
            _ => None,
        }
    }

    /// Whether another attempt may succeed, at once or after the rate limit.
    pub(crate) fn may_pass(&self) -> bool {
        let is_paused = matches!(self, Self::DigitalOcean(error) if is_pause(error));
        is_paused || self.is_retryable()
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::DigitalOcean(error) => with_causes(error),
            Self::Spaces(error) => with_causes(error),
            Self::Store(error) => with_causes(error),
            Self::UnreadableInvoice(error) => error.to_string(),
            Self::InconsistentItems(reason) => {
                format!("inconsistent pages of a list: {reason}")
            }
            Self::NoInvoice(invoice) => format!(
                "invoice {invoice} not found: DigitalOcean has neither a CSV nor items for it; \
                 check that it is an invoice of this account"
            ),
            Self::InvalidInput(problem) => problem.clone(),
            Self::Export(error) => with_causes(error),
            Self::UnknownKind(kind) => {
                format!("unknown kind {kind:?}: use a kind that `inventory.kinds` returns")
            }
            Self::InternalProject { name, reason } => {
                format!("could not ensure that project {name:?} exists: {reason}")
            }
            Self::MayNotCreateProject { name, error } => format!(
                "project {name:?} is missing, and the token may not create it: grant \
                 project:create to the token, or create the project in the control panel ({})",
                with_causes(error)
            ),
        }
    }

    pub(crate) fn log(&self) {
        let message = self.message();
        if matches!(&self, Self::DigitalOcean(error) if is_pause(error)) {
            tracing::info!(failure = self.type_name(), "{message}");
        } else {
            tracing::warn!(
                failure = self.type_name(),
                retryable = self.is_retryable(),
                "{message}"
            );
        }
    }

    /// Logs the failure and converts it to Temporal's type.
    pub(crate) fn report(self) -> ActivityError {
        self.log();
        let message = self.message();
        ActivityError::application(
            ApplicationFailure::builder(std::io::Error::other(message))
                .type_name(self.type_name().to_owned())
                .non_retryable(!self.is_retryable())
                .maybe_next_retry_delay(self.retry_after())
                .build(),
        )
    }
}

/// The limit per minute is reset within this time; the limit per hour is not.
const SHORT_WAIT: Duration = Duration::from_mins(1);

/// Whether the error is only a rate limit: this system's budget is exhausted, or DigitalOcean
/// responded 429.
pub(crate) fn is_pause(error: &digitalocean::Error) -> bool {
    matches!(
        error,
        digitalocean::Error::BudgetUsedUp { .. } | digitalocean::Error::RateLimited { .. }
    )
}

/// Returns the message, followed by the causes that it does not already contain.
fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use digitalocean::spaces::SpacesErrorResponse;
    use digitalocean::{Call, ErrorResponse};

    use super::*;

    #[test]
    fn an_unavailable_server_is_retried_after_its_retry_after() {
        let response = ErrorResponse {
            call: Call {
                method: "GET",
                path: "/v2/droplets".to_owned(),
            },
            status: 503,
            detail: None,
            request_id: None,
        };
        let spaces_response = SpacesErrorResponse {
            region: "syd1",
            status: 503,
            code: None,
            request_id: None,
        };
        for retry_after in [None, Some(Duration::from_secs(42))] {
            let response = Box::new(response.clone());
            let digitalocean = Failure::from(digitalocean::Error::Server {
                response,
                retry_after,
            });
            let spaces = Failure::from(SpacesError::Server {
                response: spaces_response.clone(),
                retry_after,
            });
            for failure in [digitalocean, spaces] {
                assert_eq!(failure.retry_after(), retry_after);
                assert!(failure.is_retryable());
            }
        }
    }
}
