//! A receiver of spans in the role of a collector: OTLP over HTTP.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;

/// A span, with ids as hexadecimal digits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReceivedSpan {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) span: String,
    /// Empty for the root span of a trace.
    pub(crate) parent: String,
    /// Nanoseconds since 1970.
    pub(crate) started: u64,
    pub(crate) ended: u64,
    pub(crate) attributes: BTreeMap<String, Value>,
}

impl ReceivedSpan {
    #[track_caller]
    pub(crate) fn text(&self, key: &str) -> &str {
        match self.attributes.get(key) {
            Some(Value::StringValue(text)) => text,
            other => panic!("{key} is {other:?} in {self:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn number(&self, key: &str) -> i64 {
        match self.attributes.get(key) {
            Some(Value::IntValue(number)) => *number,
            other => panic!("{key} is {other:?} in {self:?}"),
        }
    }
}

#[derive(Default)]
struct Received {
    requests: Mutex<Vec<ExportTraceServiceRequest>>,
    refuses: AtomicBool,
    refused: AtomicUsize,
}

/// A receiver that runs until the test ends.
pub(crate) struct Receiver {
    address: String,
    received: Arc<Received>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let received = Arc::new(Received::default());
        let router = Router::new()
            .route("/v1/traces", post(receive))
            .with_state(received.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, received }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets whether requests are rejected with 400.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.received.refuses.store(refuse, Ordering::SeqCst);
    }

    /// Returns the number of rejected requests.
    pub(crate) fn refused(&self) -> usize {
        self.received.refused.load(Ordering::SeqCst)
    }

    pub(crate) fn spans(&self) -> Vec<ReceivedSpan> {
        let requests = self.received.requests.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let spans = resources.flat_map(|spans| {
            let resource = spans.resource.as_ref();
            let resource = attributes(&resource.unwrap().attributes);
            let service = match &resource["service.name"] {
                Value::StringValue(name) => name.clone(),
                other => panic!("{other:?}"),
            };
            let spans = spans.scope_spans.iter().flat_map(|scope| &scope.spans);
            spans.map(move |span| received_span(service.clone(), span))
        });
        spans.collect()
    }

    /// Returns all received data as text.
    pub(crate) fn everything(&self) -> String {
        format!("{:?}", self.received.requests.lock().unwrap())
    }
}

async fn receive(
    State(received): State<Arc<Received>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    if received.refuses.load(Ordering::SeqCst) {
        received.refused.fetch_add(1, Ordering::SeqCst);
        return StatusCode::BAD_REQUEST;
    }
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    received.requests.lock().unwrap().push(request);
    StatusCode::OK
}

fn received_span(service: String, span: &Span) -> ReceivedSpan {
    let hex = |id: &[u8]| {
        let digits = id.iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<String>()
    };
    ReceivedSpan {
        service,
        name: span.name.clone(),
        trace: hex(&span.trace_id),
        span: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        started: span.start_time_unix_nano,
        ended: span.end_time_unix_nano,
        attributes: attributes(&span.attributes),
    }
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, Value> {
    let value = |value: &Option<AnyValue>| value.clone().and_then(|value| value.value);
    let pairs = attributes
        .iter()
        .filter_map(|pair| Some((pair.key.clone(), value(&pair.value)?)));
    pairs.collect()
}
