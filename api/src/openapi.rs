//! The API's description of itself.

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
        description = "A mirror of a DigitalOcean account and its bill.\n\nAmounts are USD, as decimal strings; times are RFC 3339, UTC.",
    ),
    components(schemas(Document)),
    tags(
        (name = "billing", description = "Balance, invoices, their lines, who bears them, and the account's billing history; for the role `platform_admin`"),
        (name = "inventory", description = "Resources and what happened to them"),
        (name = "projects", description = "Projects, and whose they are"),
        (name = "sync", description = "How the mirror keeps up, and deletions that wait for an operator; for the role `platform_admin`"),
        (name = "health", description = "For machines that watch this one; no token needed"),
    )
)]
struct Description;

/// All but the routes.
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

/// Adds to every operation the problems that any request may meet, so that no route has to repeat them.
pub(crate) fn add_common_problems(openapi: &mut utoipa::openapi::OpenApi) {
    for item in openapi.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            add(operation, "500", "An internal error; the log has its cause");
            add(
                operation,
                "503",
                "The database does not answer, or not in time",
            );
            if operation.security.is_some() {
                add(operation, "401", "There is no valid token");
                add(operation, "403", "The token's role does not allow this");
                add(
                    operation,
                    "429",
                    "Too many requests with this token, or too many unknown tokens from this address; `retry-after` says when to try again",
                );
            }
            if operation.request_body.is_some() {
                add(operation, "413", "The body has more than 64 kB");
                add(operation, "415", "The body is not JSON");
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

/// This document
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "openapi",
    tag = "health",
    responses((status = OK, body = Object, description = "OpenAPI 3.1"))
)]
pub(crate) async fn show(State(state): State<ApiState>) -> Json<Arc<utoipa::openapi::OpenApi>> {
    Json(state.openapi)
}
