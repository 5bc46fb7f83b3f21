//! The REST API: what the mirror knows, to those who may see it.
//!
//! Reads and writes only through [`store::Store`]; never calls DigitalOcean. The answers' form is `/api/v1/openapi.json`.

mod access;
mod envelope;
mod extract;
mod freshness;
mod health;
mod layers;
mod limits;
mod metrics;
mod openapi;
mod paging;
mod problem;
mod routes;
mod serving;
mod temporal;
mod usd;
mod view;

use std::sync::Arc;

use axum::Router;
use store::Store;
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
    /// Who knows how the schedules stand, if anybody does.
    pub schedules: Option<Arc<dyn ScheduleSource>>,
    /// Where answers' links to runs lead; without it there are none.
    pub temporal_ui: Option<TemporalUi>,
    /// How often callers may call.
    pub rate_limits: RateLimits,
    /// Whether browsers are told to use HTTPS only (HSTS): for an API that is reached through TLS, and always will be.
    pub https_only: bool,
}

impl From<Store> for Settings {
    /// Without Temporal, with the limits that hold unless others are asked for.
    fn from(store: Store) -> Self {
        Self {
            store,
            schedules: None,
            temporal_ui: None,
            rate_limits: RateLimits::default(),
            https_only: false,
        }
    }
}

/// What every handler can reach.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub(crate) store: Store,
    pub(crate) schedules: Option<Arc<dyn ScheduleSource>>,
    pub(crate) temporal_ui: Option<Arc<TemporalUi>>,
    pub(crate) metrics: Metrics,
    pub(crate) limiter: Limiter,
    pub(crate) openapi: Arc<OpenApi>,
}

/// All routes, with access, limits and metrics around them.
pub fn router(settings: impl Into<Settings>) -> Router {
    let settings = settings.into();
    let (router, mut openapi) = OpenApiRouter::with_openapi(openapi::description())
        .merge(routes::all())
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::show))
        .routes(routes!(openapi::show))
        .split_for_parts();
    openapi::add_common_problems(&mut openapi);

    let metrics = Metrics::new();
    let state = ApiState {
        store: settings.store,
        schedules: settings.schedules,
        temporal_ui: settings.temporal_ui.map(Arc::new),
        metrics: metrics.clone(),
        limiter: Limiter::new(&settings.rate_limits),
        openapi: Arc::new(openapi),
    };
    let router = router.fallback(problem::unknown_path).with_state(state);
    layers::around(router, metrics, layers::TIMEOUT, settings.https_only)
}
