use crate::configuration::connect_database;
use crate::logging;

/// Bring the database's schema up to date, beside programs that work with it.
#[derive(clap::Args)]
#[command(after_help = "Reads DATABASE_URL.")]
pub(crate) struct Arguments {}

pub(crate) async fn run(_: Arguments) -> anyhow::Result<()> {
    logging::to_stderr();
    connect_database(2).await?.migrate().await?;
    eprintln!("the schema is up to date");
    Ok(())
}
