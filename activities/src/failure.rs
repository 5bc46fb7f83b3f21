//! Which failure is tried again, after how long, and how it is named in the Temporal UI.

use std::error::Error;
use std::time::Duration;

use digitalocean::SpacesError;
use domain::InvoiceUuid;
use domain::invoices::UnreadableInvoice;
use store::StoreError;
use temporalio_common::error::ApplicationFailure;
use temporalio_sdk::activities::ActivityError;

/// Why an activity failed.
///
/// Deliberately no `std::error::Error`: the SDK turns any of those into a nameless, retryable failure at a `?`. This one only
/// becomes an [`ActivityError`] through [`Failure::report`].
pub enum Failure {
    DigitalOcean(digitalocean::Error),
    Spaces(SpacesError),
    Store(StoreError),
    UnreadableInvoice(UnreadableInvoice),
    /// An invoice's items, or the billing history, contradict each other: they changed while they were read.
    InconsistentItems(String),
    NoInvoice(InvoiceUuid),
    UnknownKind(String),
    InvalidInput(String),
    InternalProject {
        name: String,
        reason: String,
    },
    /// The internal project is not there, and the token may not create it.
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
    /// The name a person filters by in the Temporal UI.
    fn type_name(&self) -> &'static str {
        match self {
            Self::DigitalOcean(error) => match error {
                digitalocean::Error::Unauthorized { .. } => "Unauthorized",
                digitalocean::Error::Forbidden { .. } => "Forbidden",
                digitalocean::Error::NotFound { .. } => "NotFound",
                // The workflow waits by these two, and histories hold them.
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
            Self::Store(_) => "Database",
            Self::UnreadableInvoice(_) => "UnreadableInvoice",
            Self::InconsistentItems(_) => "InconsistentItems",
            Self::UnknownKind(_) => "UnknownKind",
            Self::InvalidInput(_) => "InvalidInput",
            Self::InternalProject { .. } | Self::MayNotCreateProject { .. } => "InternalProject",
        }
    }

    /// Whether Temporal tries again by itself: after a 429, when DigitalOcean said, if that is soon. What our own budget refuses is handed
    /// to the workflow at once, which asks again after the delay (`workflows/src/rate_limit.rs`), and so is a 429 that asks for a long wait or
    /// that no attempt got past: the workflow knows how long it may wait.
    fn is_retryable(&self) -> bool {
        match self {
            Self::DigitalOcean(digitalocean::Error::RateLimited { retry_after, .. }) => {
                *retry_after <= SOON
            }
            Self::DigitalOcean(digitalocean::Error::BudgetUsedUp { .. })
            | Self::UnreadableInvoice(_)
            | Self::NoInvoice(_)
            | Self::UnknownKind(_)
            | Self::InvalidInput(_)
            | Self::MayNotCreateProject { .. } => false,
            Self::DigitalOcean(error) => error.is_retryable(),
            Self::Spaces(error) => error.is_retryable(),
            Self::Store(error) => error.is_transient(),
            Self::InconsistentItems(_) | Self::InternalProject { .. } => true,
        }
    }

    /// How long DigitalOcean or Spaces ask to be left alone; none leaves it to the retry policy.
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

    fn message(&self) -> String {
        match self {
            Self::DigitalOcean(error) => with_causes(error),
            Self::Spaces(error) => with_causes(error),
            Self::Store(error) => with_causes(error),
            Self::UnreadableInvoice(error) => error.to_string(),
            Self::InconsistentItems(reason) => {
                format!("what was listed is not to be relied on: {reason}")
            }
            Self::NoInvoice(invoice) => format!(
                "DigitalOcean has neither a CSV nor items of the invoice {invoice}: is it of another account?"
            ),
            Self::InvalidInput(problem) => problem.clone(),
            Self::UnknownKind(kind) => format!(
                "there is no listing of {kind:?}: name a kind that `inventory.kinds` returns"
            ),
            Self::InternalProject { name, reason } => {
                format!("the project {name:?} could not be made sure of: {reason}")
            }
            Self::MayNotCreateProject { name, error } => format!(
                "there is no project {name:?}, and the token may not create it: grant it project:create, or make a project of that name \
                 yourself ({})",
                with_causes(error)
            ),
        }
    }

    /// Logs the failure and makes it Temporal's.
    pub(crate) fn report(self) -> ActivityError {
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
        ActivityError::application(
            ApplicationFailure::builder(std::io::Error::other(message))
                .type_name(self.type_name().to_owned())
                .non_retryable(!self.is_retryable())
                .maybe_next_retry_delay(self.retry_after())
                .build(),
        )
    }
}

/// The limit per minute is over by then; that per hour is not.
const SOON: Duration = Duration::from_mins(1);

/// Nothing is wrong: there are no requests to be had for a while, by our own budget or by DigitalOcean's word (429).
pub(crate) fn is_pause(error: &digitalocean::Error) -> bool {
    matches!(
        error,
        digitalocean::Error::BudgetUsedUp { .. } | digitalocean::Error::RateLimited { .. }
    )
}

/// The message with those of its causes that it does not already tell.
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
    use digitalocean::spaces::SpacesAnswer;
    use digitalocean::{Answer, Call};

    use super::*;

    #[test]
    fn a_server_that_is_down_is_asked_again_when_it_said() {
        let answer = Answer {
            call: Call {
                method: "GET",
                path: "/v2/droplets".to_owned(),
            },
            status: 503,
            detail: None,
            request_id: None,
        };
        let spaces_answer = SpacesAnswer {
            region: "syd1",
            status: 503,
            code: None,
            request_id: None,
        };
        for retry_after in [None, Some(Duration::from_secs(42))] {
            let answer = Box::new(answer.clone());
            let digitalocean = Failure::from(digitalocean::Error::Server {
                answer,
                retry_after,
            });
            let spaces = Failure::from(SpacesError::Server {
                answer: spaces_answer.clone(),
                retry_after,
            });
            for failure in [digitalocean, spaces] {
                assert_eq!(failure.retry_after(), retry_after);
                assert!(failure.is_retryable());
            }
        }
    }
}
