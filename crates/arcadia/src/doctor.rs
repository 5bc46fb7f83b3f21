//! `arcadia doctor`: checks a configuration and prints one line per check, with a fix if it fails.

mod digitalocean;
mod lists;
mod requests;
mod servers;
mod settings;
mod teams;

use std::fmt::{self, Display};
use std::io::Write as _;

use anyhow::bail;

use self::servers::Address;
use crate::configuration::DigitalOcean;
use crate::failure;
use crate::instance::InstanceArguments;

/// Check the configuration; print one line per check, with a fix if it fails.
///
/// Changes nothing. Makes one request to DigitalOcean for each list that the syncs read, about
/// forty in total. They count against the workers' request budget; lists are skipped if it is
/// exhausted.
#[derive(clap::Args)]
#[command(
    after_help = "Reads the same settings as `arcadia worker` and `arcadia api`. The exit status is 1 \
                  if any check reports FAIL."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    instance: InstanceArguments,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// The system works with restrictions.
    Warn,
    /// The system or a part of it does not work.
    Fail,
}

impl Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        })
    }
}

/// Prints each check's result immediately and counts failures.
#[derive(Default)]
struct Report {
    failed: u32,
}

impl Report {
    fn ok(&mut self, check: &str, finding: impl Display) -> anyhow::Result<()> {
        self.line(Verdict::Ok, check, &finding.to_string())
    }

    fn warn(&mut self, check: &str, finding: impl Display) -> anyhow::Result<()> {
        self.line(Verdict::Warn, check, &finding.to_string())
    }

    fn fail(&mut self, check: &str, finding: impl Display) -> anyhow::Result<()> {
        self.failed += 1;
        self.line(Verdict::Fail, check, &finding.to_string())
    }

    /// Reports an error, which contains its fix, as a failure.
    fn error(&mut self, check: &str, error: impl Into<anyhow::Error>) -> anyhow::Result<()> {
        self.fail(check, failure::one_line(&error.into()))
    }

    #[expect(clippy::unused_self, reason = "checks print only through the report")]
    fn line(&self, verdict: Verdict, check: &str, finding: &str) -> anyhow::Result<()> {
        let finding = finding.replace('\n', " ");
        writeln!(std::io::stdout(), "{verdict:<4}  {check}: {finding}")?;
        Ok(())
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut report = Report::default();
    let running = arguments.instance.running();
    let settings = settings::check(&mut report, running.as_ref())?;
    let store = servers::check_database(&mut report, &arguments.instance).await?;
    servers::check_temporal(&mut report, &arguments.instance, store.as_ref()).await?;
    match &running {
        Some(instance) if instance.is_simulated && !DigitalOcean::has_token() => report.ok(
            "digitalocean",
            "not checked: this `arcadia dev` reads a simulated account",
        )?,
        _ => digitalocean::check(&mut report, settings.as_ref(), store).await?,
    }
    if let Some(instance) = &running {
        servers::check_api(&mut report, &instance.api_url).await?;
    } else if let Some(settings) = settings {
        Address::API
            .check(&mut report, settings.api.api_bind)
            .await?;
        Address::METRICS
            .check(&mut report, settings.api.metrics_bind)
            .await?;
    }
    match report.failed {
        0 => Ok(()),
        1 => bail!("1 check failed: see the FAIL line above"),
        failed => bail!("{failed} checks failed: see the FAIL lines above"),
    }
}
