//! What is given by variables that have a flag as well.

use std::net::SocketAddr;

use clap::Parser;
use digitalocean::Purpose;

use super::Report;
use crate::api::UiArguments;
use crate::configuration::{DEFAULT_API_BIND, QueueArguments, SyncArguments};

/// The settings of the worker and of the API, as their own commands read them.
#[derive(Parser)]
#[command(name = "arcadia")]
struct Settings {
    #[arg(long, env = "ARCADIA_API_BIND", default_value = DEFAULT_API_BIND)]
    api_bind: SocketAddr,
    #[command(flatten)]
    ui: UiArguments,
    #[command(flatten)]
    queues: QueueArguments,
    #[command(flatten)]
    sync: SyncArguments,
}

/// What other checks look at.
pub(super) struct Checked {
    pub(super) api_bind: SocketAddr,
    /// Those whose queues the worker polls.
    pub(super) purposes: Vec<Purpose>,
    pub(super) sync: SyncArguments,
}

/// Reads them all; none where one of them cannot be read.
pub(super) fn check(report: &mut Report) -> anyhow::Result<Option<Checked>> {
    let settings = match Settings::try_parse_from(["arcadia"]) {
        Ok(settings) => settings,
        Err(error) => {
            report.fail("settings", told(&error.render().to_string()))?;
            return Ok(None);
        }
    };
    report.ok(
        "settings",
        "the ARCADIA_... variables of the worker and the API can be read",
    )?;
    match settings.ui.url() {
        Some(url) => report.ok("temporal ui", format_args!("answers link to runs at {url}"))?,
        None => report.warn(
            "temporal ui",
            "ARCADIA_TEMPORAL_UI_URL is not set, so that no answer links to a run: set it to the base of your Temporal UI, like \
             http://localhost:8233",
        )?,
    }
    Ok(Some(Checked {
        api_bind: settings.api_bind,
        purposes: settings.queues.purposes(),
        sync: settings.sync,
    }))
}

/// The first line of what clap says, with the variable in place of the flag that nobody gave.
fn told(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let flag = line
        .split('\'')
        .find_map(|part| part.strip_prefix("--"))
        .and_then(|flag| flag.split_whitespace().next());
    match flag {
        Some(flag) => {
            let variable = format!("ARCADIA_{}", flag.to_uppercase().replace('-', "_"));
            format!("{line}; correct {variable}")
        }
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_that_nobody_gave_is_told_by_its_variable() {
        let text = "error: invalid value 'soon' for '--strike-interval <DURATION>': expected number at 0\n\nFor more";
        assert_eq!(
            told(text),
            "invalid value 'soon' for '--strike-interval <DURATION>': expected number at 0; correct ARCADIA_STRIKE_INTERVAL"
        );
    }
}
