//! The route `/api/v1`: the addresses of the API, for someone who opens it first.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;
use crate::envelope::One;
use crate::extract::NoParameters;
use crate::problem::{BadRequest, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Addresses of the API.
#[derive(Debug, Serialize, ToSchema)]
struct Index {
    /// Description of all operations, OpenAPI 3.1.
    openapi_url: &'static str,
    /// Pages for people.
    pages_url: &'static str,
    /// State of the mirror; requires a token.
    sync_url: &'static str,
    /// Resources; requires a token.
    inventory_url: &'static str,
    /// Statements of a month; requires a token of the role `platform_admin`.
    statements_url: &'static str,
    /// Authentication of every operation with data.
    authentication: &'static str,
}

/// Returns the addresses of the API
#[utoipa::path(
    get,
    path = "/api/v1",
    operation_id = "show_index",
    tag = "health",
    responses((status = OK, body = One<Index>, description = "The addresses"), BadRequest)
)]
async fn show(_: NoParameters) -> Result<Json<One<Index>>, Problem> {
    Ok(Json(One::now(Index {
        openapi_url: "/api/v1/openapi.json",
        pages_url: "/",
        sync_url: "/api/v1/sync",
        inventory_url: "/api/v1/inventory",
        statements_url: "/api/v1/billing/statements?period=YYYY-MM",
        authentication: "header `authorization: Bearer TOKEN`; `arcadia token create` makes a token",
    })))
}
