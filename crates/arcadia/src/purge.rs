//! `arcadia purge`: removes a secret from the stored inventory and its history.

use std::io::Read as _;
use std::io::Write as _;

use anyhow::Context as _;

use crate::instance::InstanceArguments;
use crate::operator;

/// Replace a secret, read from standard input, in all stored resources and their events.
#[derive(clap::Args)]
#[command(
    after_help = "Uses the database of DATABASE_URL, or of --state-dir, and names it on stderr. \
                  Backups still contain the secret: revoke it in any case."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    instance: InstanceArguments,
    /// Reason, recorded in the audit. Must not contain the secret.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut secret = String::new();
    std::io::stdin()
        .read_to_string(&mut secret)
        .context("cannot read the secret from standard input")?;
    let secret = secret.trim_end_matches(['\r', '\n']);
    anyhow::ensure!(
        !arguments.reason.contains(secret) || secret.is_empty(),
        "the reason contains the secret: state another one, because the audit keeps it"
    );
    let database = arguments.instance.database(1).await?;
    eprintln!("database: {}", database.description);
    database.store.check_ready().await?;
    let actor = operator::actor().because(Some(arguments.reason));
    let rows = database.store.purge_secret(secret, &actor).await?;
    writeln!(std::io::stdout(), "{rows} rows changed")?;
    Ok(())
}
