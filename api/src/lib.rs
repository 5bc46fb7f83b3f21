//! The REST API of the mirror, with access by role.
//!
//! All reads and writes use [`store::Store`]; the API never calls DigitalOcean.
//! `/api/v1/openapi.json` describes requests and responses.

mod access;
mod choices;
mod covered;
mod csv;
mod download;
mod effect;
mod envelope;
mod extract;
mod freshness;
mod health;
mod layers;
mod limits;
mod metrics;
mod notes;
mod openapi;
mod pages;
mod paging;
mod problem;
mod reallocation;
mod routes;
mod runs;
mod serving;
pub mod status;
mod temporal;
mod traces;
mod view;
mod workbook;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use opentelemetry_sdk::trace::SdkTracer;
use store::Store;
use store::rate_limit::{Limits, Share};
use tokio::net::TcpListener;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use access::{generate_secret, generate_token};
pub use limits::{Rate, RateLimits};
pub use routes::focus::metadata_of as focus_metadata;
pub use serving::serve;
pub use temporal::{
    CloseApproval, DescribeFuture, OnServer, RunDescription, ScheduleFuture, ScheduleSource,
    ScheduleStatus, ScheduledRun, StartFuture, TemporalUi, WorkflowError, WorkflowRun,
    WorkflowStarter,
};

use limits::Limiter;
use metrics::Metrics;

/// Configuration and dependencies of the API.
pub struct Settings {
    pub store: Store,
    /// Store for `/readyz` and the metrics; should have separate connections, so that requests
    /// cannot occupy them.
    pub probes: Store,
    /// Source of the state of the schedules; without it schedules are not checked.
    pub schedules: Option<Arc<dyn ScheduleSource>>,
    /// Starts workflows for people; without it pages have no buttons for that.
    pub workflows: Option<Arc<dyn WorkflowStarter>>,
    /// Parameters of the workers' request budgets; without them the budgets are not shown.
    pub request_budgets: Option<RequestBudgets>,
    /// Address of the Temporal UI for links to runs; without it there are no links.
    pub temporal_ui: Option<TemporalUi>,
    /// Limits for callers.
    pub rate_limits: RateLimits,
    /// Number of proxies that every request passes, each of which appends the address of its client
    /// to `x-forwarded-for`. If the number is too low, all callers count as one address; if it is
    /// too high, callers can forge their address.
    pub trusted_proxies: usize,
    /// Sends the HSTS header, so that browsers use HTTPS only: for an API that is permanently
    /// served through TLS.
    pub https_only: bool,
    /// Tracer for a span of each request; without it there are no spans.
    pub tracer: Option<SdkTracer>,
    /// Separate listener that serves the metrics at `/metrics` without a token. The main listener
    /// serves them to administrators only, because they include the amounts of the bill.
    pub metrics_listener: Option<TcpListener>,
}

/// Parameters of the request budgets of the workers.
#[derive(Debug, Clone, Copy)]
pub struct RequestBudgets {
    /// Limits on requests with one token, of all workers together.
    pub limits: Limits,
    /// Returns the share of a purpose.
    pub share_of: fn(&str) -> Share,
}

impl From<Store> for Settings {
    /// Returns settings without Temporal, with the default limits and one store for all requests.
    fn from(store: Store) -> Self {
        Self {
            probes: store.clone(),
            store,
            schedules: None,
            workflows: None,
            request_budgets: None,
            temporal_ui: None,
            rate_limits: RateLimits::default(),
            trusted_proxies: 0,
            https_only: false,
            tracer: None,
            metrics_listener: None,
        }
    }
}

/// State of every handler.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub(crate) store: Store,
    pub(crate) probes: Store,
    pub(crate) schedules: Option<Arc<dyn ScheduleSource>>,
    pub(crate) workflows: Option<Arc<dyn WorkflowStarter>>,
    pub(crate) request_budgets: Option<RequestBudgets>,
    pub(crate) temporal_ui: Option<Arc<TemporalUi>>,
    pub(crate) metrics: Metrics,
    pub(crate) limiter: Limiter,
    pub(crate) trusted_proxies: usize,
    pub(crate) openapi: Arc<serde_json::Value>,
}

/// Returns all routes with access control, limits and metrics.
pub fn router(settings: impl Into<Settings>) -> Router {
    routers(settings.into()).0
}

/// Returns the main routes and the routes of the metrics listener.
pub fn routers(settings: Settings) -> (Router, Router) {
    let (router, mut openapi) = OpenApiRouter::with_openapi(openapi::description())
        .merge(routes::all())
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::show))
        .routes(routes!(openapi::show))
        .split_for_parts();
    openapi::add_common_problems(&mut openapi);
    let document = openapi::document(&openapi).expect("the document is valid JSON");

    let metrics = Metrics::new();
    let state = ApiState {
        store: settings.store,
        probes: settings.probes,
        schedules: settings.schedules,
        workflows: settings.workflows,
        request_budgets: settings.request_budgets,
        temporal_ui: settings.temporal_ui.map(Arc::new),
        metrics: metrics.clone(),
        limiter: Limiter::new(&settings.rate_limits),
        trusted_proxies: settings.trusted_proxies,
        openapi: Arc::new(document),
    };
    let router = router.merge(pages::routes(&state));
    let metrics_router = Router::new().route("/metrics", get(metrics::show_without_token));
    let with_layers = |router: Router<ApiState>, tracer| {
        let router = router
            .fallback(problem::unknown_path)
            .with_state(state.clone());
        layers::add_to(
            router,
            state.store.clone(),
            metrics.clone(),
            layers::TIMEOUT,
            settings.https_only,
            tracer,
        )
    };
    (
        with_layers(router, settings.tracer),
        // Scrapes have no spans, because they carry no information.
        with_layers(metrics_router, None),
    )
}
