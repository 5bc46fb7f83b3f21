//! `arcadia migrate`: applies the schema's migrations.

use crate::instance::InstanceArguments;
use crate::logging;

/// Bring the database schema up to date; workers and API servers may keep running.
#[derive(clap::Args)]
#[command(after_help = "Uses the database of DATABASE_URL, or of --state-dir.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    instance: InstanceArguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    logging::to_stderr();
    let database = arguments.instance.database(2).await?;
    eprintln!("database: {}", database.description);
    database.store.migrate().await?;
    eprintln!("the schema is up to date");
    Ok(())
}
