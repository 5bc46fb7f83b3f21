//! Where the log goes.

use std::fs::File;
use std::sync::Arc;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::configuration::variable;

/// What is worth reading by default; `RUST_LOG` says otherwise.
const DEFAULT: &str = "info,sqlx=warn,temporalio=warn,temporalio_sdk=warn,temporalio_sdk_core=warn,temporalio_client=warn";

const FORMAT: &str = "ARCADIA_LOG_FORMAT";

fn filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT))
}

/// What of its variables is taken for something else than it says; the log is written all the same.
pub(crate) fn complaints() -> Vec<String> {
    let mut complaints = Vec::new();
    if let Some(format) = variable(FORMAT).filter(|format| !matches!(&**format, "json" | "text")) {
        complaints.push(format!(
            "{FORMAT} is {format:?}, and the log is text: set it to json, or unset it"
        ));
    }
    if variable(EnvFilter::DEFAULT_ENV).is_some()
        && let Err(error) = EnvFilter::try_from_default_env()
    {
        complaints.push(format!(
            "RUST_LOG says nothing that is understood ({error}), and the log is as without it: correct it"
        ));
    }
    complaints
}

/// To stderr; as JSON where `ARCADIA_LOG_FORMAT=json`.
pub(crate) fn to_stderr() {
    let registry = tracing_subscriber::registry().with(filter());
    if variable(FORMAT).as_deref() == Some("json") {
        registry
            .with(fmt::layer().json().with_writer(std::io::stderr))
            .init();
    } else {
        registry
            .with(fmt::layer().with_writer(std::io::stderr))
            .init();
    }
}

/// All of it to a file, and warnings to stderr too: `dev` keeps the terminal for what people want to read.
pub(crate) fn to_file(file: File) {
    tracing_subscriber::registry()
        .with(filter())
        .with(fmt::layer().with_ansi(false).with_writer(Arc::new(file)))
        .with(
            fmt::layer()
                .with_writer(std::io::stderr)
                .with_target(false)
                .with_filter(LevelFilter::ERROR),
        )
        .init();
}
