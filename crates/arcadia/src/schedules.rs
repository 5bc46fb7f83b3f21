//! `arcadia schedules`: brings the schedules to Temporal, or compares.

use std::io::Write;
use std::process::ExitCode;

use clap::Subcommand;
use temporalio_client::{Client, NamespacedClient as _};
use worker::schedules::{self, Change, Difference, Installation, Plan, Planned, Stopped, Unwanted};
use worker::search_attributes;

use crate::failure;
use crate::instance::InstanceArguments;

/// Bring the schedules to Temporal, or compare.
#[derive(clap::Args)]
#[command(
    after_help = "Uses the Temporal of its own variables (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, ...) and the database of DATABASE_URL, or \
                  both of --state-dir, and names them on stderr. The schedules carry the database's id and team: those of another \
                  installation are reported, and replaced with --take-over only."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    instance: InstanceArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Apply(ApplyArguments),
    /// Show each schedule and whether the server has it as it should be.
    List,
}

/// Register search attributes, create what is missing and correct what differs, field by field; a pause stays, with its note.
#[derive(clap::Args)]
#[command(
    after_help = "The exit status is 0 when the server has what it should have, 1 when that failed, and with --dry-run 3 when something \
                  would change."
)]
struct ApplyArguments {
    /// Only show what would change.
    #[arg(long)]
    dry_run: bool,
    /// Also remove schedules that an earlier version brought and this one does not have. What they have started runs on.
    #[arg(long)]
    prune: bool,
    /// Also replace the schedules of another installation, which then starts nothing any more.
    #[arg(long)]
    take_over: bool,
}

/// Neither 1, which every failure has, nor 2, which wrong arguments have.
const WOULD_CHANGE: u8 = 3;

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let instance = &arguments.instance;
    let temporal = instance.temporal().await?;
    eprintln!("temporal: {}", temporal.place);
    let client = temporal.client;
    match arguments.command {
        Command::Apply(arguments) => {
            let installation = installation(instance).await?;
            apply(&client, &arguments, &installation).await
        }
        Command::List => {
            // Without it the list is still of use.
            let installation = match installation(instance).await {
                Ok(installation) => Some(installation),
                Err(error) => {
                    let reason = failure::one_line(&error);
                    eprintln!("schedules of another installation are not recognised: {reason}");
                    None
                }
            };
            list(&client, installation.as_ref()).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The installation of the database, which is named on stderr.
async fn installation(instance: &InstanceArguments) -> anyhow::Result<Installation> {
    let database = instance.database(1).await?;
    eprintln!("database: {}", database.place);
    database.store.check_ready().await?;
    Ok(Installation::of(&database.store).await?)
}

async fn apply(
    client: &Client,
    arguments: &ApplyArguments,
    installation: &Installation,
) -> anyhow::Result<ExitCode> {
    let mut plan = Plan::new(client, installation).await?;
    if arguments.take_over {
        plan.take_over();
    }
    plan.check_owner(client)?;
    if let Some(reason) = &plan.attributes.not_told {
        let command = search_attributes::command(&client.namespace(), &search_attributes::all());
        writeln!(
            std::io::stdout(),
            "search attributes: Temporal does not tell which there are ({reason}); where they are missing, `{command}`"
        )?;
    }
    let prunes = arguments.prune
        && plan
            .unwanted
            .iter()
            .any(|unwanted| unwanted.foreign.is_none());
    let word = |done: &'static str, would_be: &'static str| {
        if arguments.dry_run { would_be } else { done }
    };
    // Each step is told as it is done: where a later one fails, what was overwritten before has been shown.
    if !arguments.dry_run {
        plan.register(client).await?;
    }
    for attribute in &plan.attributes.missing {
        let registered = word("registered", "would be registered");
        writeln!(
            std::io::stdout(),
            "search attribute {attribute} {registered}"
        )?;
    }
    for planned in &plan.schedules {
        let outcome = if arguments.dry_run {
            Ok(())
        } else {
            plan.carry_out_one(client, planned).await
        };
        let (what, differences) = match &planned.change {
            Change::Created => (word("created", "would be created"), &[][..]),
            Change::Updated(differences) => (word("updated", "would be updated"), &**differences),
            Change::Unchanged => ("unchanged", &[][..]),
        };
        let what = match outcome {
            Ok(()) => what,
            Err(_) => "not brought to its end",
        };
        tell(planned, what, differences)?;
        outcome?;
    }
    if prunes && !arguments.dry_run {
        plan.prune(client).await?;
    }
    for Unwanted { id, foreign } in &plan.unwanted {
        let what = match foreign {
            Some(owner) => of_another(owner),
            None if arguments.prune => word("removed", "would be removed").to_owned(),
            None => OF_AN_EARLIER_VERSION.to_owned(),
        };
        writeln!(std::io::stdout(), "{id:<16} {what}")?;
    }
    let would_change = arguments.dry_run && (prunes || !plan.is_empty());
    Ok(if would_change {
        ExitCode::from(WOULD_CHANGE)
    } else {
        ExitCode::SUCCESS
    })
}

const OF_AN_EARLIER_VERSION: &str =
    "is of an earlier version, and starts runs still: `arcadia schedules apply --prune` removes it";

fn of_another(owner: &Installation) -> String {
    format!("belongs to another installation ({owner})")
}

fn tell(planned: &Planned, what: &str, differences: &[Difference]) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let stopped = match &planned.stopped {
        None => String::new(),
        Some(paused @ Stopped::Paused(_)) => format!(", stays {paused}"),
        Some(stopped) => format!(", {stopped}"),
    };
    let taken = match &planned.foreign {
        Some(owner) => format!(", taken over from {owner}"),
        None => String::new(),
    };
    writeln!(out, "{:<16} {what}{taken}{stopped}", planned.schedule.id)?;
    for difference in differences {
        writeln!(out, "    {difference}")?;
    }
    Ok(())
}

async fn list(client: &Client, installation: Option<&Installation>) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{:<16} {:<24} {:<14} {:<16} STATE",
        "SCHEDULE", "WHEN (UTC)", "WORKFLOW", "TASK QUEUE"
    )?;
    for (schedule, status) in schedules::SCHEDULES
        .iter()
        .zip(schedules::list(client, installation).await?)
    {
        let state = match status.on_server {
            None => "missing: run `arcadia schedules apply`".to_owned(),
            Some(server) => {
                let stopped = server.stopped.as_ref();
                let stopped = stopped.map_or_else(|| "active".to_owned(), ToString::to_string);
                let differs = match &server.foreign {
                    Some(owner) => format!(", {}", of_another(owner)),
                    None if server.is_current => String::new(),
                    None => ", differs: run `arcadia schedules apply`".to_owned(),
                };
                format!("{stopped}, {} runs{differs}", server.runs)
            }
        };
        writeln!(
            out,
            "{:<16} {:<24} {:<14} {:<16} {state}",
            schedule.id,
            schedule.when.to_string(),
            schedule.workflow_type,
            schedule.task_queue
        )?;
    }
    for Unwanted { id, foreign } in schedules::unwanted(client, installation).await? {
        let what = foreign
            .as_ref()
            .map_or_else(|| OF_AN_EARLIER_VERSION.to_owned(), of_another);
        writeln!(out, "{id:<16} {what}")?;
    }
    Ok(())
}
