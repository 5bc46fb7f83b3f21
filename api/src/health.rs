//! Health checks for orchestrators: liveness of the process and readiness of the database.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use store::StoreError;
use utoipa::ToSchema;

use crate::ApiState;
use crate::envelope::One;
use crate::problem::{Document, Problem};

/// Time limit for the database. Shorter than the usual probe interval of orchestrators, so that an
/// unavailable database is reported before the next probe.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(3);

/// Result of a health check.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `alive` or `ready`.
    #[schema(example = "ready")]
    status: &'static str,
}

/// Returns 200 while the process is alive
///
/// Does not check the database, because a restart of this process would not fix it.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "alive",
    tag = "health",
    responses((status = OK, body = One<Health>, description = "The process is alive"))
)]
pub(crate) async fn alive() -> Json<One<Health>> {
    Json(One::now(Health { status: "alive" }))
}

/// Returns 200 while the database is available with the expected schema
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "ready",
    tag = "health",
    responses(
        (status = OK, body = One<Health>, description = "The database is ready"),
        (status = SERVICE_UNAVAILABLE, body = Document, content_type = "application/problem+json",
            description = "The database is unavailable, or its schema is of another version"),
    )
)]
pub(crate) async fn ready(State(state): State<ApiState>) -> Result<Json<One<Health>>, Problem> {
    let store = state.probes.clone();
    // Spawned, so that a caller that disconnects does not cancel the database work in progress.
    let check = tokio::spawn(async move { store.check_ready().await });
    match tokio::time::timeout(DATABASE_TIMEOUT, check).await {
        Ok(Ok(Ok(()))) => Ok(Json(One::now(Health { status: "ready" }))),
        Ok(Ok(Err(error @ (StoreError::SchemaBehind { .. } | StoreError::OtherSchema { .. })))) => {
            Err(Problem::NotReady(error.to_string()))
        }
        Ok(Ok(Err(error))) => Err(Problem::DatabaseUnavailable(error)),
        Ok(Err(panic)) => Err(Problem::Internal(panic.into())),
        Err(_) => Err(Problem::NotReady(format!(
            "database did not respond within {} s: check that it is running and reachable",
            DATABASE_TIMEOUT.as_secs()
        ))),
    }
}
