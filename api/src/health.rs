//! Whether the process lives and can do its work.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use store::StoreError;
use utoipa::ToSchema;

use crate::ApiState;
use crate::envelope::One;
use crate::problem::{Document, Problem};

/// Shorter than the interval at which orchestrators usually probe, so that a dead database is told in time.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(example = "ready")]
    status: &'static str,
}

/// The process is alive
///
/// Says nothing of the database: a restart would not mend it.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "alive",
    tag = "health",
    responses((status = OK, body = One<Health>, description = "It is alive"))
)]
pub(crate) async fn alive() -> Json<One<Health>> {
    Json(One::now(Health { status: "alive" }))
}

/// The database answers and has the schema
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "ready",
    tag = "health",
    responses(
        (status = OK, body = One<Health>, description = "It is ready"),
        (status = SERVICE_UNAVAILABLE, body = Document, content_type = "application/problem+json",
            description = "The database does not answer, or its schema is not the one of this program"),
    )
)]
pub(crate) async fn ready(State(state): State<ApiState>) -> Result<Json<One<Health>>, Problem> {
    let store = state.probes.clone();
    // Whoever stops waiting does not stop the question: work on the database is never dropped half-way.
    let question = tokio::spawn(async move { store.check_ready().await });
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(Ok(()))) => Ok(Json(One::now(Health { status: "ready" }))),
        Ok(Ok(Err(error @ (StoreError::SchemaBehind { .. } | StoreError::OtherSchema { .. })))) => {
            Err(Problem::NotReady(error.to_string()))
        }
        Ok(Ok(Err(error))) => Err(Problem::DatabaseUnavailable(error)),
        Ok(Err(panic)) => Err(Problem::Internal(panic.into())),
        Err(_) => Err(Problem::NotReady(format!(
            "the database did not answer within {} s",
            PATIENCE.as_secs()
        ))),
    }
}
