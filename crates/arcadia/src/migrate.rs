use crate::configuration::connect_database;

/// Bring the database's schema up to date.
#[derive(clap::Args)]
#[command(after_help = "Reads DATABASE_URL.")]
pub(crate) struct Arguments {}

pub(crate) async fn run(_: Arguments) -> anyhow::Result<()> {
    connect_database(1).await?.migrate().await?;
    eprintln!("the schema is up to date");
    Ok(())
}
