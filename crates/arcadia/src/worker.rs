use std::net::SocketAddr;

use worker::metrics::Metrics;

use crate::configuration::{DigitalOcean, SyncArguments, asked_to_stop, connect_database};
use crate::logging;

/// Run the workflows and activities of all task queues.
#[derive(clap::Args)]
#[command(
    after_help = "Reads DATABASE_URL, DO_API_TOKEN or a token per purpose (or the files that DO_API_TOKEN..._FILE name, or Vault where \
                  ARCADIA_VAULT_PATH is set), DIGITALOCEAN_API_URL, SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY for \
                  listing buckets, SPACES_ENDPOINT_URL, and Temporal's own variables (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS...)."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    sync: SyncArguments,
    #[command(flatten)]
    metrics: MetricsArguments,
}

/// Where the worker's metrics are.
#[derive(clap::Args)]
pub(crate) struct MetricsArguments {
    /// Serve metrics for Prometheus at /metrics on this address, such as 127.0.0.1:9464 [default: not at all]
    #[arg(long, env = "ARCADIA_METRICS_BIND", value_name = "ADDRESS:PORT", value_parser = metrics_bind)]
    metrics_bind: Option<MetricsBind>,
}

/// None for an empty variable, as compose files leave it.
#[derive(Clone, Copy)]
struct MetricsBind(Option<SocketAddr>);

fn metrics_bind(text: &str) -> Result<MetricsBind, String> {
    if text.trim().is_empty() {
        return Ok(MetricsBind(None));
    }
    let address = text.parse();
    address
        .map(|address| MetricsBind(Some(address)))
        .map_err(|_| "expected an address and a port, such as 127.0.0.1:9464".to_owned())
}

impl MetricsArguments {
    /// Serves them where that is asked for.
    pub(crate) fn serve(self) -> anyhow::Result<Option<Metrics>> {
        let address = self.metrics_bind.and_then(|bind| bind.0);
        let metrics = address.map(Metrics::serve).transpose()?;
        if let Some(metrics) = &metrics {
            tracing::info!("serving metrics on http://{}/metrics", metrics.address());
        }
        Ok(metrics)
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    logging::to_stderr();
    // Before all that may fail: who looks sees a worker that is on its way up.
    let metrics = arguments.metrics.serve()?;
    let digitalocean = DigitalOcean::from_environment()?;
    let store = connect_database(worker::CONNECTIONS).await?;
    store.check_ready().await?;
    let client = worker::temporal::connect().await?;
    digitalocean.check().await?;
    worker::run_measured(
        client,
        arguments.sync.settings(store, digitalocean),
        metrics,
        asked_to_stop(),
    )
    .await
}
