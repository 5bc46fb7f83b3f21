use crate::instance::InstanceArguments;
use crate::logging;

/// Bring the database's schema up to date, beside programs that work with it.
#[derive(clap::Args)]
#[command(after_help = "Uses the database of DATABASE_URL, or of --state-dir.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    instance: InstanceArguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    logging::to_stderr();
    let database = arguments.instance.database(2).await?;
    eprintln!("database: {}", database.place);
    database.store.migrate().await?;
    eprintln!("the schema is up to date");
    Ok(())
}
