//! `arcadia doctor`: what a configuration lacks, and the cure.

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

/// Check a configuration: one line a check, with the cure where it fails.
///
/// It changes nothing. Of DigitalOcean it asks one request for each list that is read, some forty in all: they count as the workers' own,
/// and where the workers have used up all, the lists are not tried.
#[derive(clap::Args)]
#[command(
    after_help = "Reads what `arcadia worker` and `arcadia api` read, from the same environment. The exit status is 1 if any check \
                  says FAIL."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    instance: InstanceArguments,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// It works, and something is missing.
    Warn,
    /// It does not work.
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

/// Says how each check went as soon as that is known.
#[derive(Default)]
struct Report {
    failed: u32,
}

impl Report {
    fn ok(&mut self, what: &str, finding: impl Display) -> anyhow::Result<()> {
        self.line(Verdict::Ok, what, &finding.to_string())
    }

    fn warn(&mut self, what: &str, finding: impl Display) -> anyhow::Result<()> {
        self.line(Verdict::Warn, what, &finding.to_string())
    }

    fn fail(&mut self, what: &str, finding: impl Display) -> anyhow::Result<()> {
        self.failed += 1;
        self.line(Verdict::Fail, what, &finding.to_string())
    }

    /// A failure that says itself what to do next.
    fn error(&mut self, what: &str, error: impl Into<anyhow::Error>) -> anyhow::Result<()> {
        self.fail(what, failure::one_line(&error.into()))
    }

    #[expect(
        clippy::unused_self,
        reason = "what is said is said through the report"
    )]
    fn line(&self, verdict: Verdict, what: &str, finding: &str) -> anyhow::Result<()> {
        let finding = finding.replace('\n', " ");
        writeln!(std::io::stdout(), "{verdict:<4}  {what}: {finding}")?;
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
            "this `arcadia dev` reads a simulated account: there is no token to check",
        )?,
        _ => digitalocean::check(&mut report, settings.as_ref(), store).await?,
    }
    if let Some(instance) = &running {
        servers::check_api(&mut report, &instance.api_url).await?;
    } else if let Some(settings) = settings {
        Address::API
            .check(&mut report, settings.api.api_bind)
            .await?;
        if let Some(address) = settings.worker.metrics.address() {
            Address::METRICS.check(&mut report, address).await?;
        }
    }
    match report.failed {
        0 => Ok(()),
        1 => bail!("a check failed: see its FAIL above"),
        failed => bail!("{failed} checks failed: see each FAIL above"),
    }
}
