//! `arcadia schedules`: applies the schedules to Temporal, or lists them.

use std::io::Write;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Map, Value, json};
use store::{Actor, Store};
use temporalio_client::{Client, NamespacedClient as _};
use worker::schedules::{self, Change, Difference, Installation, Plan, Planned, Stopped, Unwanted};
use worker::search_attributes;

use crate::failure;
use crate::instance::InstanceArguments;
use crate::operator;

/// Apply the schedules to Temporal, or list them.
#[derive(clap::Args)]
#[command(
    after_help = "Uses the Temporal server of Temporal's own variables (TEMPORAL_ADDRESS, \
                  TEMPORAL_NAMESPACE, ...) and the database of DATABASE_URL, or both of --state-dir, and \
                  prints them on stderr. Schedules contain the id and team of their database; those of \
                  another installation are reported, and replaced only with --take-over."
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
    /// List each schedule, its state and whether it is up to date.
    List,
}

/// Register search attributes, create missing schedules and update those that differ.
///
/// Updates only the fields that differ; a paused schedule stays paused, with its note.
#[derive(clap::Args)]
#[command(
    after_help = "The exit status is 0 on success, 1 on failure, and with --dry-run 3 if anything would \
                  change."
)]
struct ApplyArguments {
    /// Only show the changes.
    #[arg(long)]
    dry_run: bool,
    /// Also remove schedules of an earlier version that this version does not have. Their runs
    /// continue.
    #[arg(long)]
    prune: bool,
    /// Also replace the schedules of another installation, which stops its syncs.
    #[arg(long)]
    take_over: bool,
    /// Reason, recorded in the audit.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Differs from 1 (any failure) and 2 (invalid arguments).
const WOULD_CHANGE: u8 = 3;

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let instance = &arguments.instance;
    let temporal = instance.temporal().await?;
    eprintln!("temporal: {}", temporal.description);
    let client = temporal.client;
    match arguments.command {
        Command::Apply(arguments) => {
            let (store, installation) = installation(instance).await?;
            apply(&client, &arguments, &store, &installation).await
        }
        Command::List => {
            // The list is useful even if the installation is unknown.
            let installation = match installation(instance).await {
                Ok((_, installation)) => Some(installation),
                Err(error) => {
                    let reason = failure::one_line(&error);
                    eprintln!("cannot detect schedules of another installation: {reason}");
                    None
                }
            };
            list(&client, installation.as_ref()).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Prints the database on stderr and returns it with its installation.
async fn installation(instance: &InstanceArguments) -> anyhow::Result<(Store, Installation)> {
    let database = instance.database(1).await?;
    eprintln!("database: {}", database.description);
    database.store.check_ready().await?;
    let installation = Installation::of(&database.store).await?;
    Ok((database.store, installation))
}

/// Records the changes of a plan in the audit; nothing if there are none. Must precede the first
/// change, because no transaction contains changes of Temporal.
pub(crate) async fn record(
    store: &Store,
    namespace: &str,
    plan: &Plan,
    prunes: bool,
    actor: &Actor,
) -> anyhow::Result<()> {
    if plan.is_empty() && !prunes {
        return Ok(());
    }
    let mut schedules = Map::new();
    for planned in &plan.schedules {
        let change = match &planned.change {
            Change::Created => json!("created"),
            Change::Updated(differences) => differences
                .iter()
                .map(ToString::to_string)
                .collect::<Value>(),
            Change::Unchanged => continue,
        };
        schedules.insert(planned.schedule.id.to_owned(), change);
    }
    let unwanted = plan.unwanted.iter().filter(|one| one.foreign.is_none());
    for Unwanted { id, .. } in unwanted.filter(|_| prunes) {
        schedules.insert(id.clone(), json!("removed"));
    }
    let attributes = plan.attributes.missing.iter();
    let attributes: Vec<String> = attributes.map(ToString::to_string).collect();
    let taken_over = plan.foreign().map(|foreign| foreign.owner.to_string());
    let changes = json!({
        "schedules": schedules,
        "search_attributes": attributes,
        "taken_over_from": taken_over,
    });
    store
        .record_schedule_changes(namespace, changes, actor)
        .await?;
    Ok(())
}

async fn apply(
    client: &Client,
    arguments: &ApplyArguments,
    store: &Store,
    installation: &Installation,
) -> anyhow::Result<ExitCode> {
    let mut plan = Plan::new(client, installation).await?;
    if arguments.take_over {
        plan.take_over();
    }
    plan.check_owner(client)?;
    if let Some(reason) = &plan.attributes.denied {
        let command = search_attributes::command(&client.namespace(), &search_attributes::all());
        writeln!(
            std::io::stdout(),
            "search attributes: this client may not list them ({reason}); if they are missing, run \
             `{command}`"
        )?;
    }
    let prunes = arguments.prune
        && plan
            .unwanted
            .iter()
            .any(|unwanted| unwanted.foreign.is_none());
    let verb = |done: &'static str, would_be: &'static str| {
        if arguments.dry_run { would_be } else { done }
    };
    // Each step is printed when it is done, so that changes before a failure have been shown.
    if !arguments.dry_run {
        let actor = operator::actor().because(arguments.reason.clone());
        record(store, &client.namespace(), &plan, prunes, &actor).await?;
        plan.register(client).await?;
    }
    for attribute in &plan.attributes.missing {
        let registered = verb("registered", "would be registered");
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
        let (change, differences) = match &planned.change {
            Change::Created => (verb("created", "would be created"), &[][..]),
            Change::Updated(differences) => (verb("updated", "would be updated"), &**differences),
            Change::Unchanged => ("unchanged", &[][..]),
        };
        let change = match outcome {
            Ok(()) => change,
            Err(_) => "failed",
        };
        print(planned, change, differences)?;
        outcome?;
    }
    if prunes && !arguments.dry_run {
        plan.prune(client).await?;
    }
    for Unwanted { id, foreign } in &plan.unwanted {
        let state = match foreign {
            Some(owner) => belongs_to(owner),
            None if arguments.prune => verb("removed", "would be removed").to_owned(),
            None => OBSOLETE.to_owned(),
        };
        writeln!(std::io::stdout(), "{id:<16} {state}")?;
    }
    let would_change = arguments.dry_run && (prunes || !plan.is_empty());
    Ok(if would_change {
        ExitCode::from(WOULD_CHANGE)
    } else {
        ExitCode::SUCCESS
    })
}

const OBSOLETE: &str = "obsolete: created by an earlier version, still active; remove with `arcadia schedules apply --prune`";

fn belongs_to(owner: &Installation) -> String {
    format!("belongs to another installation ({owner})")
}

fn print(planned: &Planned, change: &str, differences: &[Difference]) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let stopped = match &planned.stopped {
        None => String::new(),
        Some(paused @ Stopped::Paused(_)) => format!(", stays {paused}"),
        Some(stopped) => format!(", {stopped}"),
    };
    let taken_over = match &planned.foreign {
        Some(owner) => format!(", taken over from {owner}"),
        None => String::new(),
    };
    writeln!(
        out,
        "{:<16} {change}{taken_over}{stopped}",
        planned.schedule.id
    )?;
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
                    Some(owner) => format!(", {}", belongs_to(owner)),
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
        let state = foreign
            .as_ref()
            .map_or_else(|| OBSOLETE.to_owned(), belongs_to);
        writeln!(out, "{id:<16} {state}")?;
    }
    Ok(())
}
