use std::io::Write as _;

use clap::Subcommand;
use worker::schedules::{self, Applied};

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
    /// Create what is missing and correct what differs; a pause stays.
    Apply,
    /// Show each schedule and whether the server has it as it should be.
    List,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = worker::temporal::connect().await?;
    let mut out = std::io::stdout();
    match arguments.command {
        Command::Apply => {
            for (schedule, applied) in schedules::apply(&client).await? {
                let applied = match applied {
                    Applied::Created => "created",
                    Applied::Updated => "updated",
                    Applied::Unchanged => "unchanged",
                };
                writeln!(out, "{:<16} {applied}", schedule.id)?;
            }
        }
        Command::List => {
            writeln!(
                out,
                "{:<16} {:<24} {:<14} {:<16} STATE",
                "SCHEDULE", "WHEN (UTC)", "WORKFLOW", "TASK QUEUE"
            )?;
            for (schedule, status) in schedules::SCHEDULES
                .iter()
                .zip(schedules::list(&client).await?)
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
        }
    }
    Ok(())
}
