//! `arcadia schedules`: brings the schedules to Temporal, or compares.

use std::io::Write;
use std::process::ExitCode;

use clap::Subcommand;
use temporalio_client::{Client, NamespacedClient as _};
use worker::schedules::{self, Change, Plan, Planned};
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
    if !arguments.dry_run {
        plan.carry_out(client).await?;
        if prunes {
            plan.prune(client).await?;
        }
    }
    tell(&plan, arguments)?;
    let would_change = arguments.dry_run && (prunes || !plan.is_empty());
    Ok(if would_change {
        ExitCode::from(WOULD_CHANGE)
    } else {
        ExitCode::SUCCESS
    })
}

/// What was done, or would be.
fn tell(plan: &Plan, arguments: &ApplyArguments) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let word = |done: &'static str, would_be: &'static str| {
        if arguments.dry_run { would_be } else { done }
    };
    for attribute in &plan.attributes.missing {
        let registered = word("registered", "would be registered");
        writeln!(out, "search attribute {attribute} {registered}")?;
    }
    for Planned {
        schedule,
        change,
        paused,
        ..
    } in &plan.schedules
    {
        let (what, differences) = match change {
            Change::Created => (word("created", "would be created"), &[][..]),
            Change::Updated(differences) => (word("updated", "would be updated"), &**differences),
            Change::Unchanged => ("unchanged", &[][..]),
        };
        let paused = match paused.as_deref() {
            None => String::new(),
            Some("") => ", stays paused".to_owned(),
            Some(note) => format!(", stays paused: {note}"),
        };
        writeln!(out, "{:<16} {what}{paused}", schedule.id)?;
        for difference in differences {
            writeln!(out, "    {difference}")?;
        }
    }
    for id in &plan.unwanted {
        let what = if arguments.prune {
            word("removed", "would be removed")
        } else {
            "is of an earlier version, and starts runs still: `arcadia schedules apply --prune` removes it"
        };
        writeln!(out, "{id:<16} {what}")?;
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
                let paused = if server.is_paused { "paused" } else { "active" };
                let differs = if server.is_current {
                    ""
                } else {
                    ", differs: run `arcadia schedules apply`"
                };
                format!("{paused}, {} runs{differs}", server.runs)
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
    Ok(())
}
