//! Exports OpenTelemetry spans to the OTLP endpoint of OpenTelemetry's own variables, if one is
//! set.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{self as sdk, SdkTracer, SdkTracerProvider, SpanData};
use reqwest::Url;
use tokio::runtime::Handle;
use worker::traces::{Ids, Traces};

use crate::configuration::variable;

const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
const PROTOCOLS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];
const TIMEOUTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
];

/// Time to send the last spans when the process stops; spans that are not sent by then are lost.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);
/// OpenTelemetry's default for a request to the endpoint.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The span exporter of a process; does nothing if no endpoint is set.
pub(crate) struct SpanExport(Option<SdkTracerProvider>);

impl SpanExport {
    /// Creates the exporter from the environment. `service` is the service name if
    /// `OTEL_SERVICE_NAME` is not set.
    pub(crate) fn from_environment(service: &'static str) -> anyhow::Result<Self> {
        let Some(Endpoint { variable, url }) = endpoint()? else {
            return Ok(Self(None));
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender::to(&url)?)
            .with_endpoint(url)
            .build()
            .with_context(|| format!("cannot send spans to the endpoint of {variable}"))?;
        let provider = SdkTracerProvider::builder()
            .with_id_generator(Ids::default())
            .with_resource(resource(service))
            .with_batch_exporter(LoggedOnce {
                exporter,
                is_failing: AtomicBool::new(false),
            })
            .build();
        tracing::info!("sending spans to the endpoint of {variable}");
        Ok(Self(Some(provider)))
    }

    /// Returns the tracer of an API.
    pub(crate) fn tracer(&self) -> Option<SdkTracer> {
        self.0.as_ref().map(|provider| provider.tracer("arcadia"))
    }

    /// Returns the tracing of a worker.
    pub(crate) fn worker_traces(&self) -> Option<Traces> {
        self.0.as_ref().map(Traces::of)
    }

    /// Sends the remaining spans, for at most three seconds.
    pub(crate) async fn finish(self) {
        let Some(provider) = self.0 else { return };
        // The shutdown blocks its thread, and the sending needs a thread of the runtime.
        let finished =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT));
        if let Ok(Err(error)) = finished.await {
            tracing::warn!("the last spans were not sent: {error}");
        }
    }
}

/// The endpoint that spans are sent to.
pub(crate) struct Endpoint {
    /// The variable that it is from.
    pub(crate) variable: &'static str,
    url: Url,
}

/// Reads the endpoint from the environment. Returns None if none is set or tracing is disabled.
pub(crate) fn endpoint() -> anyhow::Result<Option<Endpoint>> {
    let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").as_deref() == Some("none");
    let Some((name, endpoint)) = first_of(&ENDPOINTS).filter(|_| !is_off) else {
        return Ok(None);
    };
    if let Some((name, protocol)) = first_of(&PROTOCOLS)
        && protocol != "http/protobuf"
    {
        bail!(
            "unsupported protocol in {name}: {protocol}: set http/protobuf and the endpoint's port for it \
             (4318)"
        );
    }
    // The first variable holds the full URL, the second the common prefix of all signals' URLs.
    let address = if name == ENDPOINTS[0] {
        endpoint
    } else {
        format!("{}/v1/traces", endpoint.trim_end_matches('/'))
    };
    let url = Url::parse(&address)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .with_context(|| {
            format!("invalid URL in {name}: set a URL that starts with http:// or https://")
        })?;
    Ok(Some(Endpoint {
        variable: name,
        url,
    }))
}

fn first_of(names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| Some((*name, variable(name)?)))
}

/// Describes this process by OpenTelemetry's variables, with a default service name.
fn resource(service: &'static str) -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    let is_named = variable("OTEL_SERVICE_NAME").is_some()
        || variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|all| all.contains("service.name="));
    if is_named {
        builder.build()
    } else {
        builder.with_service_name(service).build()
    }
}

/// Sends spans with the same HTTP client library as the rest of the program.
#[derive(Debug)]
struct Sender {
    http: reqwest::Client,
    runtime: Handle,
}

impl Sender {
    fn to(endpoint: &Url) -> anyhow::Result<Self> {
        // Fails if the process has a provider already, which serves as well.
        drop(rustls::crypto::ring::default_provider().install_default());
        let timeout = first_of(&TIMEOUTS)
            .and_then(|(_, milliseconds)| milliseconds.parse().ok())
            .map_or(DEFAULT_TIMEOUT, Duration::from_millis);
        let mut builder = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none());
        if endpoint.scheme() == "http" {
            // A local collector must be reachable from an image without CA certificates.
            builder = builder.tls_certs_only([]);
        }
        if matches!(
            endpoint.host_str(),
            Some("localhost" | "127.0.0.1" | "[::1]")
        ) {
            builder = builder.no_proxy();
        }
        Ok(Self {
            http: builder.build()?,
            runtime: Handle::current(),
        })
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (http, request) = (self.http.clone(), request.try_into()?);
        // Spans are sent from a thread without a runtime, but reqwest needs one.
        let sending = self
            .runtime
            .spawn(async move { http.execute(request).await });
        let response = sending.await?;
        // The URL may contain a password.
        let response = response.map_err(reqwest::Error::without_url)?;
        // Only the status of the response is used.
        Ok(Response::builder()
            .status(response.status())
            .body(Bytes::new())?)
    }
}

/// Logs only the first failure of a series, and the first success after it. Spans of failed batches
/// are lost.
#[derive(Debug)]
struct LoggedOnce {
    exporter: SpanExporter,
    is_failing: AtomicBool,
}

impl sdk::SpanExporter for LoggedOnce {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let outcome = sdk::SpanExporter::export(&self.exporter, batch).await;
        let was_failing = self.is_failing.swap(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Err(error) if !was_failing => tracing::warn!(
                "spans cannot be sent, and are lost until the endpoint accepts them; logged once per outage: {error}"
            ),
            Ok(()) if was_failing => tracing::info!("spans are sent again"),
            _ => {}
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        sdk::SpanExporter::shutdown_with_timeout(&self.exporter, timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        sdk::SpanExporter::force_flush(&self.exporter)
    }

    fn set_resource(&mut self, resource: &Resource) {
        sdk::SpanExporter::set_resource(&mut self.exporter, resource);
    }
}
