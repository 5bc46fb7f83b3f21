//! Where OpenTelemetry's spans go: to the OTLP endpoint that OpenTelemetry's own variables name, and nowhere where they name none.

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

/// What is not sent within this time at the end is lost: a process that is stopped must end, spans or not.
const LAST_CHANCE: Duration = Duration::from_secs(3);
/// As OpenTelemetry has it for a request to the endpoint.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The sending of spans, from the start of a process to its end.
pub(crate) struct Sending(Option<SdkTracerProvider>);

impl Sending {
    /// As the environment says; `service` is the name of the service where `OTEL_SERVICE_NAME` is not set.
    pub(crate) fn from_environment(service: &'static str) -> anyhow::Result<Self> {
        let Some(Endpoint { variable, url }) = endpoint()? else {
            return Ok(Self(None));
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender::to(&url)?)
            .with_endpoint(url)
            .build()
            .with_context(|| format!("spans cannot be sent to the endpoint of {variable}"))?;
        let provider = SdkTracerProvider::builder()
            .with_id_generator(Ids::default())
            .with_resource(resource(service))
            .with_batch_exporter(Quiet {
                exporter,
                is_failing: AtomicBool::new(false),
            })
            .build();
        tracing::info!("spans are sent to the endpoint of {variable}");
        Ok(Self(Some(provider)))
    }

    /// Who makes the spans of an API.
    pub(crate) fn tracer(&self) -> Option<SdkTracer> {
        self.0.as_ref().map(|provider| provider.tracer("arcadia"))
    }

    /// Who makes the spans of a worker.
    pub(crate) fn of_worker(&self) -> Option<Traces> {
        self.0.as_ref().map(Traces::of)
    }

    /// Sends what has not been sent, for three seconds at most.
    pub(crate) async fn finish(self) {
        let Some(provider) = self.0 else { return };
        // It blocks its thread, and needs this one for sending.
        let finished =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_CHANCE));
        if let Ok(Err(error)) = finished.await {
            tracing::warn!("the last spans were not sent: {error}");
        }
    }
}

/// Where spans go.
pub(crate) struct Endpoint {
    /// The variable that says so.
    pub(crate) variable: &'static str,
    url: Url,
}

/// What the environment says; none where it says nothing, or that no spans are to be sent.
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
            "{name}: spans are sent as http/protobuf, not as {protocol}: take that, and the endpoint's port for it (4318)"
        );
    }
    // The first names the address itself, the other what all addresses begin with.
    let address = if name == ENDPOINTS[0] {
        endpoint
    } else {
        format!("{}/v1/traces", endpoint.trim_end_matches('/'))
    };
    let url = Url::parse(&address)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .with_context(|| format!("{name} is no address that starts with http:// or https://"))?;
    Ok(Some(Endpoint {
        variable: name,
        url,
    }))
}

fn first_of(names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| Some((*name, variable(name)?)))
}

/// What OpenTelemetry's variables say of this process, and a name where they say none.
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

/// Sends over the HTTP stack that all else uses.
#[derive(Debug)]
struct Sender {
    http: reqwest::Client,
    runtime: Handle,
}

impl Sender {
    fn to(endpoint: &Url) -> anyhow::Result<Self> {
        // Fails when the process has chosen its provider already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let timeout = first_of(&TIMEOUTS)
            .and_then(|(_, milliseconds)| milliseconds.parse().ok())
            .map_or(USUAL_TIMEOUT, Duration::from_millis);
        let mut builder = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none());
        if endpoint.scheme() == "http" {
            // A collector beside the process must be reachable from an image without CA certificates.
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
        // Spans are sent from a thread that has no runtime, and reqwest needs one from the call on.
        let sending = self
            .runtime
            .spawn(async move { http.execute(request).await });
        // What the answer says beside its status, nobody reads.
        let answer = sending.await?;
        // The address may hold a password.
        let answer = answer.map_err(reqwest::Error::without_url)?;
        Ok(Response::builder()
            .status(answer.status())
            .body(Bytes::new())?)
    }
}

/// Says once that spans cannot be sent, and once that they can again: they are lost meanwhile, and nothing else is.
#[derive(Debug)]
struct Quiet {
    exporter: SpanExporter,
    is_failing: AtomicBool,
}

impl sdk::SpanExporter for Quiet {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let outcome = sdk::SpanExporter::export(&self.exporter, batch).await;
        let was_failing = self.is_failing.swap(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Err(error) if !was_failing => tracing::warn!(
                "spans cannot be sent and are lost until the endpoint takes them; this is said once: {error}"
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
