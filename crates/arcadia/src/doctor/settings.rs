//! Checks the variables of the worker and the API, of the log and of OpenTelemetry's traces.

use std::collections::BTreeSet;

use clap::Command;

use super::Report;
use crate::configuration::without_empty_variables;
use crate::instance::Instance;
use crate::{api, logging, traces, worker};

/// Valid settings, for the other checks.
pub(super) struct Checked {
    pub(super) worker: worker::Arguments,
    pub(super) api: api::Arguments,
}

/// Reads all settings. Returns None if one of them is invalid.
///
/// A running `arcadia dev` provides the URL of its Temporal UI.
pub(super) fn check(
    report: &mut Report,
    running: Option<&Instance>,
) -> anyhow::Result<Option<Checked>> {
    check_log(report)?;
    match traces::endpoint() {
        Ok(Some(endpoint)) => report.ok(
            "traces",
            format_args!("spans are sent to the endpoint of {}", endpoint.variable),
        )?,
        Ok(None) => report.ok("traces", "no endpoint is set, so no spans are sent")?,
        Err(error) => report.error("traces", error)?,
    }
    let (worker, api) = match (read(), read()) {
        (Ok(worker), Ok(api)) => (worker, api),
        (worker, api) => {
            // An error of a setting that both commands read is reported once.
            let errors: BTreeSet<String> =
                [worker.err(), api.err()].into_iter().flatten().collect();
            for line in errors {
                report.fail("settings", line)?;
            }
            return Ok(None);
        }
    };
    let settings = Checked { worker, api };
    report.ok(
        "settings",
        "the ARCADIA_... variables of the worker and the API are valid",
    )?;
    match settings.worker.signing.key() {
        Ok(Some(key)) => report.ok(
            "signing key",
            format_args!(
                "statements of closed months are signed by the key {}",
                key.fingerprint()
            ),
        )?,
        Ok(None) => report.ok(
            "signing key",
            "ARCADIA_SIGNING_KEY_FILE is not set, so statements of closed months are not signed",
        )?,
        Err(error) => report.error("signing key", error)?,
    }
    let ui = running.and_then(|instance| instance.temporal_ui_url.clone());
    match ui.or(settings.api.ui.url()) {
        Some(url) => report.ok(
            "temporal ui",
            format_args!("API responses link to runs at {url}"),
        )?,
        None => report.warn(
            "temporal ui",
            "ARCADIA_TEMPORAL_UI_URL is not set, so API responses do not link to runs: set it to the \
             base URL of your Temporal UI, e.g. http://localhost:8233",
        )?,
    }
    Ok(Some(settings))
}

fn check_log(report: &mut Report) -> anyhow::Result<()> {
    let warnings = logging::warnings();
    for warning in &warnings {
        report.warn("log", warning)?;
    }
    if warnings.is_empty() {
        report.ok("log", "RUST_LOG and ARCADIA_LOG_FORMAT are valid")?;
    }
    Ok(())
}

/// Reads the arguments of a command without flags, i.e. from variables and defaults.
fn read<A: clap::Args>() -> Result<A, String> {
    let command = A::augment_args(Command::new("arcadia"));
    let mut command = without_empty_variables(command);
    let matches = command.try_get_matches_from_mut(["arcadia"]);
    matches
        .and_then(|matches| A::from_arg_matches(&matches))
        .map_err(|error| error_line(&error.render().to_string(), &command))
}

/// Returns the first line of clap's error, followed by the variable of the flag that it names.
fn error_line(text: &str, command: &Command) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let flag = line
        .split('\'')
        .find_map(|part| part.strip_prefix("--"))
        .and_then(|flag| flag.split_whitespace().next());
    let variable = command
        .get_arguments()
        .find(|argument| flag.is_some() && argument.get_long() == flag)
        .and_then(clap::Arg::get_env);
    match variable {
        Some(variable) => format!("{line}; correct {}", variable.display()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn an_invalid_variable_is_named_in_the_error() {
        let worker = worker::Arguments::augment_args(Command::new("arcadia"));
        let api = api::Arguments::augment_args(Command::new("arcadia"));
        for (flag, command, variable) in [
            (
                "--strike-interval <DURATION>",
                &worker,
                "ARCADIA_STRIKE_INTERVAL",
            ),
            ("--queue <QUEUE>", &worker, "ARCADIA_QUEUE"),
            ("--https-only", &api, "ARCADIA_API_HTTPS_ONLY"),
        ] {
            let line = format!("invalid value 'soon' for '{flag}': expected another");
            assert_eq!(
                error_line(&format!("error: {line}\n\nFor more"), command),
                format!("{line}; correct {variable}")
            );
        }
    }
}
