//! The REST API: what the mirror knows, to those who may see it.
//!
//! Reads and writes only through [`store::Store`]; never calls DigitalOcean. The answers' form is `/api/v1/openapi.json`.

mod access;
mod envelope;
mod extract;
mod health;
mod layers;
mod metrics;
mod openapi;
mod paging;
mod problem;
mod routes;
mod serving;
mod usd;

use std::sync::Arc;

use axum::Router;
use store::Store;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use access::generate_token;
pub use serving::serve;

use metrics::Metrics;

/// What every handler can reach.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub(crate) store: Store,
    pub(crate) metrics: Metrics,
    pub(crate) openapi: Arc<OpenApi>,
}

/// All routes, with access, limits and metrics around them.
pub fn router(store: Store) -> Router {
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
        store,
        metrics: metrics.clone(),
        openapi: Arc::new(openapi),
    };
    let router = router.fallback(problem::unknown_path).with_state(state);
    layers::around(router, metrics, layers::TIMEOUT)
}
