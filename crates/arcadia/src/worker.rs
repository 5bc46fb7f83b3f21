use std::net::SocketAddr;

use temporalio_client::Client;
use worker::Telemetry;
use worker::metrics::Metrics;
use worker::search_attributes;

use crate::configuration::{DigitalOcean, QueueArguments, SyncArguments, connect_database};
use crate::logging;
use crate::stop::Stop;
use crate::traces::Sending;

/// Run the workflows and activities of all task queues, or of some.
#[derive(clap::Args)]
#[command(
    after_help = "Reads DATABASE_URL, DO_API_TOKEN or a token per purpose (or the files that DO_API_TOKEN..._FILE name, or Vault where \
                  ARCADIA_VAULT_PATH is set), DIGITALOCEAN_API_URL, SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY for \
                  listing buckets, SPACES_ENDPOINT_URL, and Temporal's own variables (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS...)."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) queues: QueueArguments,
    #[command(flatten)]
    pub(crate) sync: SyncArguments,
    #[command(flatten)]
    pub(crate) metrics: MetricsArguments,
}

/// Where the metrics are.
#[derive(clap::Args)]
pub(crate) struct MetricsArguments {
    /// Serve metrics for Prometheus at /metrics on this address, such as 127.0.0.1:9464 [default: a worker's not at all, the API's on
    /// its own port, where anybody who reaches it sees what the account owes]
    #[arg(long, env = "ARCADIA_METRICS_BIND", value_name = "ADDRESS:PORT", value_parser = metrics_bind)]
    metrics_bind: Option<SocketAddr>,
}

fn metrics_bind(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "expected an address and a port, such as 127.0.0.1:9464")
}

impl MetricsArguments {
    /// Where they are asked for.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.metrics_bind
    }

    /// Serves a worker's where that is asked for.
    pub(crate) fn serve(self) -> anyhow::Result<Option<Metrics>> {
        let metrics = self.address().map(Metrics::serve).transpose()?;
        if let Some(metrics) = &metrics {
            tracing::info!("serving metrics on http://{}/metrics", metrics.address());
        }
        Ok(metrics)
    }
}

pub(crate) async fn run(arguments: Arguments, mut stop: Stop) -> anyhow::Result<()> {
    logging::to_stderr();
    let sending = Sending::from_environment("arcadia-worker")?;
    let Some(started) = stop.unless_asked(Box::pin(start(arguments))).await else {
        tracing::info!("asked to stop before it had started");
        return Ok(());
    };
    let (client, settings, metrics) = started?;
    let telemetry = Telemetry {
        metrics,
        traces: sending.of_worker(),
    };
    let worked = worker::run_with_telemetry(client, settings, telemetry, stop.asked()).await;
    sending.finish().await;
    worked
}

async fn start(
    arguments: Arguments,
) -> anyhow::Result<(Client, worker::Settings, Option<Metrics>)> {
    // Before all that may fail: who looks sees a worker that is on its way up.
    let metrics = arguments.metrics.serve()?;
    let digitalocean = DigitalOcean::from_environment(&arguments.queues.purposes())?;
    let store = connect_database(worker::CONNECTIONS).await?;
    store.check_ready().await?;
    let client = worker::temporal::connect().await?;
    digitalocean.check(&store).await?;
    tell_missing_attributes(&client).await;
    let settings = arguments.sync.settings(store, digitalocean);
    Ok((client, settings, metrics))
}

/// A worker needs none of them, and may not be allowed to register any: it says what to type, and works.
async fn tell_missing_attributes(client: &Client) {
    match search_attributes::look(client).await {
        Ok(findings) if findings.missing.is_empty() => {}
        Ok(_) => tracing::warn!(
            "Temporal's namespace lacks search attributes, so that runs cannot be found by invoice, kind or purpose: run `arcadia \
             schedules apply`"
        ),
        Err(error) => tracing::warn!("{error}"),
    }
}
