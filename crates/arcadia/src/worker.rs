//! `arcadia worker`: polls task queues and runs their workflows and activities.

use std::net::SocketAddr;

use temporalio_client::Client;
use worker::Telemetry;
use worker::metrics::Metrics;
use worker::search_attributes;

use crate::configuration::{DigitalOcean, QueueArguments, SyncArguments, connect_database};
use crate::logging;
use crate::signing::SigningArguments;
use crate::stop::Stop;
use crate::traces::SpanExport;

/// Run the workflows and activities of all task queues, or of selected ones.
#[derive(clap::Args)]
#[command(
    after_help = "Reads DATABASE_URL; DO_API_TOKEN or one token per purpose, as variables, as files \
                  (DO_API_TOKEN..._FILE) or from Vault (ARCADIA_VAULT_PATH); DIGITALOCEAN_API_URL; \
                  SPACES_ACCESS_KEY_ID, SPACES_SECRET_ACCESS_KEY and SPACES_ENDPOINT_URL, to list \
                  buckets; and Temporal's own variables (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, \
                  TEMPORAL_API_KEY, TEMPORAL_TLS...)."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) queues: QueueArguments,
    #[command(flatten)]
    pub(crate) sync: SyncArguments,
    #[command(flatten)]
    pub(crate) signing: SigningArguments,
    #[command(flatten)]
    pub(crate) metrics: MetricsArguments,
}

/// The address of the metrics.
#[derive(clap::Args)]
pub(crate) struct MetricsArguments {
    /// Address that serves Prometheus metrics of the worker at /metrics without a token, e.g.
    /// 127.0.0.1:9464 [default: none are served]
    #[arg(long, env = "ARCADIA_METRICS_BIND", value_name = "ADDRESS:PORT", value_parser = metrics_bind)]
    metrics_bind: Option<SocketAddr>,
}

pub(crate) fn metrics_bind(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "expected an address and a port, e.g. 127.0.0.1:9464")
}

impl MetricsArguments {
    /// Returns the configured address.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.metrics_bind
    }

    /// Serves a worker's metrics if an address is configured.
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
    let span_export = SpanExport::from_environment("arcadia-worker")?;
    let Some(started) = stop.unless_requested(Box::pin(start(arguments))).await else {
        tracing::info!("received a stop signal before the start was complete");
        return Ok(());
    };
    let (client, settings, metrics) = started?;
    let telemetry = Telemetry {
        metrics,
        traces: span_export.worker_traces(),
    };
    let outcome = worker::run_with_telemetry(client, settings, telemetry, stop.requested()).await;
    span_export.finish().await;
    outcome
}

async fn start(
    arguments: Arguments,
) -> anyhow::Result<(Client, worker::Settings, Option<Metrics>)> {
    // First, so that a probe of a starting worker already gets metrics.
    let metrics = arguments.metrics.serve()?;
    let signing_key = arguments.signing.key()?;
    let digitalocean = DigitalOcean::from_environment(&arguments.queues.purposes())?;
    let store = connect_database(worker::CONNECTIONS).await?;
    store.check_ready().await?;
    let client = worker::temporal::connect().await?;
    digitalocean.check(&store).await?;
    warn_of_missing_attributes(&client).await;
    let settings = arguments.sync.settings(store, digitalocean, signing_key);
    Ok((client, settings, metrics))
}

/// Warns if the namespace lacks search attributes. The worker does not need them and may lack the
/// permission to register them.
async fn warn_of_missing_attributes(client: &Client) {
    match search_attributes::check(client).await {
        Ok(findings) if findings.missing.is_empty() => {}
        Ok(_) => tracing::warn!(
            "the Temporal namespace lacks search attributes, so runs cannot be found by invoice, kind \
             or purpose: run `arcadia schedules apply`"
        ),
        Err(error) => tracing::warn!("{error}"),
    }
}
