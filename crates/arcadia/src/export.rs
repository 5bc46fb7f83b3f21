//! `arcadia export`: writes the bill as files for other programs.

mod directory;
mod focus;
mod upload;

use clap::Subcommand;

use crate::instance::InstanceArguments;

/// Write the bill as files for other programs.
#[derive(clap::Args)]
#[command(
    after_help = "Uses the database of DATABASE_URL, or of --state-dir, and names it on stderr."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    instance: InstanceArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Focus(focus::Arguments),
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let database = arguments.instance.database(2).await?;
    eprintln!("database: {}", database.description);
    database.store.check_ready().await?;
    match arguments.command {
        Command::Focus(arguments) => focus::run(&database.store, &arguments).await,
    }
}
