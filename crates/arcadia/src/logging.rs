//! Sets up the log: its filter (`RUST_LOG`), its format (`ARCADIA_LOG_FORMAT`) and its destination.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::configuration::variable;

/// The filter without `RUST_LOG`.
const DEFAULT: &str = "info,sqlx=warn,temporalio=warn,temporalio_sdk=warn,temporalio_sdk_core=warn,temporalio_client=warn";

const FORMAT: &str = "ARCADIA_LOG_FORMAT";

fn filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT))
}

/// Returns a warning for each invalid log variable. The log then uses the default instead.
pub(crate) fn warnings() -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(format) = variable(FORMAT).filter(|format| !matches!(&**format, "json" | "text")) {
        warnings.push(format!(
            "invalid {FORMAT}: {format:?}; the log is written as text: set it to json or text, or unset it"
        ));
    }
    if variable(EnvFilter::DEFAULT_ENV).is_some()
        && let Err(error) = EnvFilter::try_from_default_env()
    {
        warnings.push(format!(
            "invalid RUST_LOG ({error}); the default filter is used: correct or unset RUST_LOG"
        ));
    }
    warnings
}

/// Writes the log to stderr, as JSON if `ARCADIA_LOG_FORMAT=json`.
pub(crate) fn to_stderr() {
    let registry = tracing_subscriber::registry().with(filter());
    if variable(FORMAT).as_deref() == Some("json") {
        registry
            .with(
                fmt::layer()
                    .json()
                    .with_writer(std::io::stderr)
                    .with_filter(Repeats::default()),
            )
            .init();
    } else {
        registry
            .with(
                fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_filter(Repeats::default()),
            )
            .init();
    }
}

/// Writes the log to a file, and errors to stderr too: `dev` keeps the terminal readable.
pub(crate) fn to_file(file: File) {
    tracing_subscriber::registry()
        .with(filter())
        .with(
            fmt::layer()
                .with_ansi(false)
                .with_writer(Arc::new(file))
                .with_filter(Repeats::default()),
        )
        .with(
            fmt::layer()
                .with_writer(std::io::stderr)
                .with_target(false)
                .with_filter(LevelFilter::ERROR.and(Repeats::default())),
        )
        .init();
}

/// Lets each message of the clients of Temporal and PostgreSQL pass once a minute: during an outage
/// of the server every poll and every connection repeats the same message.
#[derive(Default)]
struct Repeats {
    /// The last time each message passed, by its place in the code.
    passed: Mutex<HashMap<&'static str, Instant>>,
}

impl Repeats {
    const INTERVAL: Duration = Duration::from_mins(1);
    const TARGETS: [&'static str; 4] = [
        "temporalio_client",
        "temporalio_sdk_core::pollers",
        "temporalio_sdk_core::worker::activities",
        "sqlx_core::pool",
    ];

    fn passes(&self, message: &'static str, now: Instant) -> bool {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_repeated = passed
            .get(message)
            .is_some_and(|last| now.duration_since(*last) < Self::INTERVAL);
        if !is_repeated {
            passed.insert(message, now);
        }
        !is_repeated
    }
}

impl<S: Subscriber> Filter<S> for Repeats {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let is_clients = |target| metadata.target().starts_with(target);
        !Self::TARGETS.into_iter().any(is_clients) || self.passes(metadata.name(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// The log's output.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_repeated_message_of_a_servers_client_is_logged_once() {
        let written = Written::default();
        let writer = written.clone();
        let layer = fmt::layer()
            .with_writer(move || writer.clone())
            .with_filter(LevelFilter::WARN.and(Repeats::default()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for attempt in 0..100 {
                tracing::warn!(target: "temporalio_client::retry", "retried {attempt} times");
                tracing::warn!(target: "worker", "an activity failed");
            }
            tracing::error!(target: "temporalio_client::retry", "another message");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("retried").count(), 1, "{text}");
        assert_eq!(text.matches("an activity failed").count(), 100);
        assert_eq!(text.matches("another message").count(), 1);
    }

    #[test]
    fn a_message_passes_again_after_a_minute() {
        let repeats = Repeats::default();
        let now = Instant::now();
        assert!(repeats.passes("retried", now));
        assert!(!repeats.passes("retried", now + Repeats::INTERVAL / 2));
        assert!(repeats.passes("another", now + Repeats::INTERVAL / 2));
        assert!(repeats.passes("retried", now + Repeats::INTERVAL));
    }
}
