//! What is given by variables that are read at the start, and where the log and the spans go.

use std::collections::BTreeSet;

use clap::Command;

use super::Report;
use crate::configuration::without_empty_variables;
use crate::instance::Instance;
use crate::{api, logging, traces, worker};

/// What other checks look at.
pub(super) struct Checked {
    pub(super) worker: worker::Arguments,
    pub(super) api: api::Arguments,
}

/// Reads them all; none where one of them cannot be read.
///
/// A running instance knows its own Temporal UI.
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
        Ok(None) => report.ok("traces", "no endpoint is set, so that no spans are sent")?,
        Err(error) => report.error("traces", error)?,
    }
    let (worker, api) = match (read(), read()) {
        (Ok(worker), Ok(api)) => (worker, api),
        (worker, api) => {
            // What both read is told once.
            let told: BTreeSet<String> = [worker.err(), api.err()].into_iter().flatten().collect();
            for line in told {
                report.fail("settings", line)?;
            }
            return Ok(None);
        }
    };
    let settings = Checked { worker, api };
    report.ok(
        "settings",
        "the ARCADIA_... variables of the worker and the API can be read",
    )?;
    let ui = running.and_then(|instance| instance.temporal_ui_url.clone());
    match ui.or(settings.api.ui.url()) {
        Some(url) => report.ok("temporal ui", format_args!("answers link to runs at {url}"))?,
        None => report.warn(
            "temporal ui",
            "ARCADIA_TEMPORAL_UI_URL is not set, so that no answer links to a run: set it to the base of your Temporal UI, like \
             http://localhost:8233",
        )?,
    }
    Ok(Some(settings))
}

fn check_log(report: &mut Report) -> anyhow::Result<()> {
    let complaints = logging::complaints();
    for complaint in &complaints {
        report.warn("log", complaint)?;
    }
    if complaints.is_empty() {
        report.ok("log", "RUST_LOG and ARCADIA_LOG_FORMAT can be read")?;
    }
    Ok(())
}

/// What a command would read with no flags, or what it would say in their place.
fn read<A: clap::Args>() -> Result<A, String> {
    let command = A::augment_args(Command::new("arcadia"));
    let mut command = without_empty_variables(command);
    let matches = command.try_get_matches_from_mut(["arcadia"]);
    matches
        .and_then(|matches| A::from_arg_matches(&matches))
        .map_err(|error| told(&error.render().to_string(), &command))
}

/// The first line of what clap says, with the variable in place of the flag that nobody gave.
fn told(text: &str, command: &Command) -> String {
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
    fn a_flag_that_nobody_gave_is_told_by_its_variable() {
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
            let line = format!("invalid value 'soon' for '{flag}': that is none");
            assert_eq!(
                told(&format!("error: {line}\n\nFor more"), command),
                format!("{line}; correct {variable}")
            );
        }
    }
}
