//! The OpenAPI document of the API: general description, security scheme and the problems that
//! every operation can return.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use crate::ApiState;
use crate::problem::{Document, described};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Arcadia Cloud",
        description = "A mirror of a DigitalOcean account and its invoices.\n\nAmounts are in USD, \
                       as decimal strings. Times are RFC 3339 in UTC.",
    ),
    components(schemas(Document)),
    tags(
        (name = "billing", description = "Balance, invoices, cost lines, statements per tenant and the billing history of \
            the account; requires the role `platform_admin`"),
        (name = "inventory", description = "Resources with their events, past states and relations"),
        (name = "projects", description = "Projects, and the tenants that they are assigned to"),
        (name = "sync", description = "State of the mirror, and held deletions; requires the role `platform_admin`"),
        (name = "health", description = "Health checks, metrics and the OpenAPI document; no token required"),
    )
)]
struct Description;

/// Returns the document without the routes.
pub(crate) fn description() -> utoipa::openapi::OpenApi {
    let mut description = Description::openapi();
    description
        .components
        .get_or_insert_default()
        .add_security_scheme(
            "bearer",
            SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
        );
    description
}

/// Adds the problems that every request can return to each operation, so that no route repeats
/// them.
pub(crate) fn add_common_problems(openapi: &mut utoipa::openapi::OpenApi) {
    for item in openapi.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            add(operation, "500", "Internal error; the log has the cause");
            add(
                operation,
                "503",
                "The database is unavailable, or the request timed out",
            );
            if operation.security.is_some() {
                add(operation, "401", "Missing, unknown or revoked token");
                add(
                    operation,
                    "403",
                    "The role of the token does not permit this operation",
                );
                add(
                    operation,
                    "429",
                    "Too many requests with this token, or too many unknown tokens from this \
                     address; the header `retry-after` has the time to wait in seconds",
                );
            }
            if operation.request_body.is_some() {
                add(operation, "413", "The body exceeds 64 kB");
                add(operation, "415", "The content type of the body is not JSON");
            }
        }
    }
}

fn add(operation: &mut Operation, status: &str, description: &str) {
    operation
        .responses
        .responses
        .entry(status.to_owned())
        .or_insert_with(|| described(description));
}

/// Returns this OpenAPI document
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "openapi",
    tag = "health",
    responses((status = OK, body = Object, description = "The document, OpenAPI 3.1"))
)]
pub(crate) async fn show(State(state): State<ApiState>) -> Json<Arc<utoipa::openapi::OpenApi>> {
    Json(state.openapi)
}
