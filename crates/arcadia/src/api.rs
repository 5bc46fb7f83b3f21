//! `arcadia api`: serves the REST API.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::Context as _;
use api::{Rate, RateLimits};
use opentelemetry_sdk::trace::SdkTracer;
use store::Store;
use store::rate_limit::Limits;
use tokio::net::TcpListener;
use worker::rate_limit::share_of;

use crate::configuration::{
    DEFAULT_API_BIND, LimitArguments, database_url, digitalocean_url, listen,
};
use crate::logging;
use crate::schedule_status::Schedules;
use crate::stop::Stop;
use crate::traces::SpanExport;
use crate::worker::metrics_bind;

/// Serve the REST API.
#[derive(clap::Args)]
#[command(
    after_help = "Reads DATABASE_URL, and Temporal's own variables (TEMPORAL_ADDRESS, \
                  TEMPORAL_NAMESPACE, ...) for the state of the schedules. All other routes work \
                  without Temporal."
)]
pub(crate) struct Arguments {
    /// Address to listen on.
    #[arg(long, env = "ARCADIA_API_BIND", default_value = DEFAULT_API_BIND, value_name = "ADDRESS:PORT")]
    pub(crate) api_bind: SocketAddr,
    /// Maximum requests per second with one API token in each API process; bursts may reach four
    /// times as many.
    #[arg(
        long,
        env = "ARCADIA_API_REQUESTS_PER_SECOND",
        default_value_t = 50,
        value_name = "REQUESTS",
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    requests_per_second: u32,
    /// Number of proxies that every request passes, each of which appends to `x-forwarded-for`.
    /// Requests with unknown tokens are limited by the client address that the first proxy
    /// appended.
    #[arg(
        long,
        env = "ARCADIA_API_TRUSTED_PROXIES",
        default_value_t = 0,
        value_name = "PROXIES",
        value_parser = clap::value_parser!(u8).range(0..=16)
    )]
    trusted_proxies: u8,
    /// Send HSTS, so that browsers use HTTPS only. For an API that is permanently reached through
    /// TLS.
    #[arg(long, env = "ARCADIA_API_HTTPS_ONLY")]
    https_only: bool,
    #[command(flatten)]
    pub(crate) ui: UiArguments,
    #[command(flatten)]
    limits: LimitArguments,
    /// Address that serves Prometheus metrics at /metrics without a token. They include the
    /// account's balance: only Prometheus should reach it. With the default, a second API on the
    /// same machine serves none.
    #[arg(long, env = "ARCADIA_METRICS_BIND", default_value = DEFAULT_METRICS_BIND, value_name = "ADDRESS:PORT", value_parser = metrics_bind)]
    pub(crate) metrics_bind: SocketAddr,
}

const DEFAULT_METRICS_BIND: &str = "127.0.0.1:9464";

/// The Temporal UI that responses link to.
#[derive(clap::Args)]
pub(crate) struct UiArguments {
    /// Base URL of the Temporal UI, to which responses for admins link.
    #[arg(long, env = "ARCADIA_TEMPORAL_UI_URL", value_name = "URL", value_parser = ui_url)]
    temporal_ui_url: Option<String>,
}

impl UiArguments {
    pub(crate) fn url(&self) -> Option<String> {
        self.temporal_ui_url.clone()
    }
}

fn ui_url(text: &str) -> Result<String, &'static str> {
    let is_web = ["http://", "https://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    if is_web {
        Ok(text.to_owned())
    } else {
        Err("expected a URL that starts with http:// or https://")
    }
}

/// Returns the settings that `arcadia api` and `arcadia dev` share.
pub(crate) fn settings(
    store: Store,
    schedules: Schedules,
    temporal_ui_url: Option<String>,
    limits: Limits,
) -> api::Settings {
    let temporal_ui = temporal_ui_url.map(|url| schedules.ui(url));
    let schedules = Arc::new(schedules);
    api::Settings {
        temporal_ui,
        workflows: Some(schedules.clone()),
        schedules: Some(schedules),
        request_budgets: Some(api::RequestBudgets { limits, share_of }),
        ..api::Settings::from(store)
    }
}

/// Returns the default limits with this number of requests per second and token.
fn rate_limits(requests_per_second: u32) -> RateLimits {
    let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    RateLimits {
        requests: Rate::per_second(at_least_one(requests_per_second))
            .with_burst(at_least_one(requests_per_second.saturating_mul(4))),
        ..RateLimits::default()
    }
}

/// Requests are short, so a few connections serve many.
pub(crate) const CONNECTIONS: u32 = 10;
/// For readiness and metrics, which must respond even if requests hold all other connections.
const PROBE_CONNECTIONS: u32 = 2;
/// Shorter than a request's timeout, so that the response contains the database's error.
const STATEMENT_TIMEOUT: &str = "25s";

/// Adds a statement timeout to the database URL unless it has one: a statement that outlives its
/// request is useless.
fn with_statement_timeout(url: &str) -> String {
    if url.contains("statement_timeout") {
        return url.to_owned();
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options[statement_timeout]={STATEMENT_TIMEOUT}")
}

pub(crate) async fn run(arguments: Arguments, mut stop: Stop) -> anyhow::Result<()> {
    logging::to_stderr();
    let span_export = SpanExport::from_environment("arcadia-api")?;
    let starting = Box::pin(start(arguments, span_export.tracer()));
    let Some(started) = stop.unless_requested(starting).await else {
        tracing::info!("received a stop signal before the start was complete");
        return Ok(());
    };
    let (listener, settings) = started?;
    let served = api::serve(listener, settings, async move { stop.requested().await }).await;
    span_export.finish().await;
    Ok(served?)
}

async fn start(
    arguments: Arguments,
    tracer: Option<SdkTracer>,
) -> anyhow::Result<(TcpListener, api::Settings)> {
    let url = with_statement_timeout(&database_url()?);
    let store = Store::connect(&url, CONNECTIONS).await?;
    let probes = Store::connect(&url, PROBE_CONNECTIONS).await?;
    store.check_ready().await?;
    let listener = listen(arguments.api_bind).await?;
    tracing::info!("serving the API on http://{}", listener.local_addr()?);
    let metrics_listener = listen_for_metrics(arguments.metrics_bind).await?;
    let schedules = Schedules::from_environment(store.clone());
    let limits = arguments.limits.limits(&digitalocean_url()?);
    let settings = api::Settings {
        probes,
        rate_limits: rate_limits(arguments.requests_per_second),
        trusted_proxies: arguments.trusted_proxies.into(),
        https_only: arguments.https_only,
        tracer,
        metrics_listener,
        ..settings(store, schedules, arguments.ui.url(), limits)
    };
    Ok((listener, settings))
}

/// Returns none if another program uses the default address.
async fn listen_for_metrics(address: SocketAddr) -> anyhow::Result<Option<TcpListener>> {
    let problem = format!(
        "metrics cannot be served on {address}: free the port, or set another with --metrics-bind or \
         ARCADIA_METRICS_BIND"
    );
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error)
            if error.kind() == ErrorKind::AddrInUse
                && address.to_string() == DEFAULT_METRICS_BIND =>
        {
            tracing::warn!("{problem} ({error})");
            return Ok(None);
        }
        Err(error) => return Err(error).context(problem),
    };
    tracing::info!(
        "serving metrics on http://{}/metrics",
        listener.local_addr()?
    );
    Ok(Some(listener))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_url_gets_a_statement_timeout_unless_it_has_one() {
        for (url, expected) in [
            (
                "postgres://a@b/c",
                "postgres://a@b/c?options[statement_timeout]=25s",
            ),
            (
                "postgres://a@b/c?sslmode=require",
                "postgres://a@b/c?sslmode=require&options[statement_timeout]=25s",
            ),
            (
                "postgres://a@b/c?options[statement_timeout]=1min",
                "postgres://a@b/c?options[statement_timeout]=1min",
            ),
        ] {
            assert_eq!(with_statement_timeout(url), expected);
        }
    }
}
