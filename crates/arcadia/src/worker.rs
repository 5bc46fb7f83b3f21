use crate::configuration::{DigitalOcean, SyncArguments, asked_to_stop, connect_database};
use crate::logging;

/// Run the workflows and activities of all task queues.
#[derive(clap::Args)]
#[command(
    after_help = "Reads DATABASE_URL, DO_API_TOKEN or a token per purpose, DIGITALOCEAN_API_URL, SPACES_ACCESS_KEY_ID and \
                  SPACES_SECRET_ACCESS_KEY for listing buckets, SPACES_ENDPOINT_URL, and Temporal's own variables \
                  (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS...)."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    sync: SyncArguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    logging::to_stderr();
    let digitalocean = DigitalOcean::from_environment()?;
    let store = connect_database(worker::CONNECTIONS).await?;
    store.check_ready().await?;
    let client = worker::temporal::connect().await?;
    digitalocean.check().await?;
    worker::run(
        client,
        arguments.sync.settings(store, digitalocean),
        asked_to_stop(),
    )
    .await
}
