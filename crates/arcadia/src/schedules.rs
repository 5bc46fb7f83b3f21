//! `arcadia schedules`: brings the schedules to Temporal, or compares.

use std::io::Write;
use std::process::ExitCode;

use clap::Subcommand;
use temporalio_client::{Client, NamespacedClient as _};
use worker::schedules::{self, Change, Difference, Plan, Planned, Stopped};
use worker::search_attributes;

/// Bring the schedules to Temporal, or compare.
#[derive(clap::Args)]
#[command(
    after_help = "Reads Temporal's own variables (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, ...)."
)]
pub(crate) struct Arguments {
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
}

/// Neither 1, which every failure has, nor 2, which wrong arguments have.
const WOULD_CHANGE: u8 = 3;

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let client = worker::temporal::connect().await?;
    match arguments.command {
        Command::Apply(arguments) => apply(&client, &arguments).await,
        Command::List => list(&client).await.map(|()| ExitCode::SUCCESS),
    }
}

async fn apply(client: &Client, arguments: &ApplyArguments) -> anyhow::Result<ExitCode> {
    let plan = Plan::new(client).await?;
    if let Some(reason) = &plan.attributes.not_told {
        let command = search_attributes::command(&client.namespace(), &search_attributes::all());
        writeln!(
            std::io::stdout(),
            "search attributes: Temporal does not tell which there are ({reason}); where they are missing, `{command}`"
        )?;
    }
    let prunes = arguments.prune && !plan.unwanted.is_empty();
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
            planned.carry_out(client).await
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
    for id in &plan.unwanted {
        let what = if arguments.prune {
            word("removed", "would be removed")
        } else {
            OF_AN_EARLIER_VERSION
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

fn tell(planned: &Planned, what: &str, differences: &[Difference]) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let stopped = match &planned.stopped {
        None => String::new(),
        Some(paused @ Stopped::Paused(_)) => format!(", stays {paused}"),
        Some(stopped) => format!(", {stopped}"),
    };
    writeln!(out, "{:<16} {what}{stopped}", planned.schedule.id)?;
    for difference in differences {
        writeln!(out, "    {difference}")?;
    }
    Ok(())
}

async fn list(client: &Client) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{:<16} {:<24} {:<14} {:<16} STATE",
        "SCHEDULE", "WHEN (UTC)", "WORKFLOW", "TASK QUEUE"
    )?;
    for (schedule, status) in schedules::SCHEDULES
        .iter()
        .zip(schedules::list(client).await?)
    {
        let state = match status.on_server {
            None => "missing: run `arcadia schedules apply`".to_owned(),
            Some(server) => {
                let stopped = server.stopped.as_ref();
                let stopped = stopped.map_or_else(|| "active".to_owned(), ToString::to_string);
                let differs = if server.is_current {
                    ""
                } else {
                    ", differs: run `arcadia schedules apply`"
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
    for id in schedules::unwanted(client).await? {
        writeln!(out, "{id:<16} {OF_AN_EARLIER_VERSION}")?;
    }
    Ok(())
}
