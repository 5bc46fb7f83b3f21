//! The REST API: what the mirror knows, to those who may see it.
//!
//! Reads and writes only through [`store::Store`]; never calls DigitalOcean. The answers' form is `/api/v1/openapi.json`.

mod access;
mod covered;
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
mod paging;
mod problem;
mod routes;
mod serving;
pub mod status;
mod temporal;
mod traces;
mod view;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use opentelemetry_sdk::trace::SdkTracer;
use store::Store;
use tokio::net::TcpListener;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use access::generate_token;
pub use limits::{Rate, RateLimits};
pub use serving::serve;
pub use temporal::{
    OnServer, ScheduleFuture, ScheduleSource, ScheduleStatus, ScheduledRun, TemporalUi, WorkflowRun,
};

use limits::Limiter;
use metrics::Metrics;

/// What the API needs to know of the rest of the system.
pub struct Settings {
    pub store: Store,
    /// What `/readyz` and the metrics ask: best with connections of its own, which no request holds.
    pub probes: Store,
    /// Who knows how the schedules stand, if anybody does.
    pub schedules: Option<Arc<dyn ScheduleSource>>,
    /// Where answers' links to runs lead; without it there are none.
    pub temporal_ui: Option<TemporalUi>,
    /// How often callers may call.
    pub rate_limits: RateLimits,
    /// Proxies that every request comes through, of which each adds to `x-forwarded-for` whom it was asked by. With fewer than there are,
    /// callers count as one; with more, they say themselves where they are.
    pub trusted_proxies: usize,
    /// Whether browsers are told to use HTTPS only (HSTS): for an API that is reached through TLS, and always will be.
    pub https_only: bool,
    /// Makes a span of each request; without it there are none.
    pub tracer: Option<SdkTracer>,
    /// Where the metrics are served, and nothing else is; without it they are at `/metrics` beside the rest. They ask for no token, and
    /// tell what the account owes.
    pub metrics_listener: Option<TcpListener>,
}

impl From<Store> for Settings {
    /// Without Temporal, with the limits that hold unless others are asked for, and one store for all.
    fn from(store: Store) -> Self {
        Self {
            probes: store.clone(),
            store,
            schedules: None,
            temporal_ui: None,
            rate_limits: RateLimits::default(),
            trusted_proxies: 0,
            https_only: false,
            tracer: None,
            metrics_listener: None,
        }
    }
}

/// What every handler can reach.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub(crate) store: Store,
    pub(crate) probes: Store,
    pub(crate) schedules: Option<Arc<dyn ScheduleSource>>,
    pub(crate) temporal_ui: Option<Arc<TemporalUi>>,
    pub(crate) metrics: Metrics,
    pub(crate) limiter: Limiter,
    pub(crate) trusted_proxies: usize,
    pub(crate) openapi: Arc<OpenApi>,
}

/// All routes, with access, limits and metrics around them.
pub fn router(settings: impl Into<Settings>) -> Router {
    let settings = settings.into();
    let are_metrics_apart = settings.metrics_listener.is_some();
    routers(settings, are_metrics_apart).0
}

/// All routes but those of the metrics if these are served apart, and those of the metrics.
fn routers(settings: Settings, are_metrics_apart: bool) -> (Router, Router) {
    let all = OpenApiRouter::with_openapi(openapi::description())
        .merge(routes::all())
        .routes(routes!(health::alive))
        .routes(routes!(health::ready));
    let all = if are_metrics_apart {
        all
    } else {
        all.routes(routes!(metrics::show))
    };
    let (router, mut openapi) = all.routes(routes!(openapi::show)).split_for_parts();
    openapi::add_common_problems(&mut openapi);

    let metrics = Metrics::new();
    let state = ApiState {
        store: settings.store,
        probes: settings.probes,
        schedules: settings.schedules,
        temporal_ui: settings.temporal_ui.map(Arc::new),
        metrics: metrics.clone(),
        limiter: Limiter::new(&settings.rate_limits),
        trusted_proxies: settings.trusted_proxies,
        openapi: Arc::new(openapi),
    };
    let metrics_router = Router::new().route("/metrics", get(metrics::show));
    let around = |router: Router<ApiState>, tracer| {
        let router = router
            .fallback(problem::unknown_path)
            .with_state(state.clone());
        layers::around(
            router,
            state.store.clone(),
            metrics.clone(),
            layers::TIMEOUT,
            settings.https_only,
            tracer,
        )
    };
    (
        around(router, settings.tracer),
        // Scrapes are not worth a trace.
        around(metrics_router, None),
    )
}
