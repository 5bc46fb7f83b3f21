//! The control endpoint: the Rust API over HTTP.

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{Fault, ReceivedRequest, state::Shared};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route(
            "/simulator/faults",
            get(list_faults).post(add_faults).delete(clear_faults),
        )
        .route("/simulator/requests", get(list_requests))
}

async fn list_faults(State(shared): State<Shared>) -> String {
    let faults = shared.faults();
    let lines: Vec<String> = faults.pending().iter().map(Fault::to_string).collect();
    lines.join("\n")
}

async fn add_faults(State(shared): State<Shared>, text: String) -> Response {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    match lines.map(str::parse).collect::<Result<Vec<Fault>, _>>() {
        Ok(added) => {
            let mut faults = shared.faults();
            for fault in added {
                faults.add(fault);
            }
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

async fn clear_faults(State(shared): State<Shared>) -> StatusCode {
    shared.faults().clear();
    StatusCode::NO_CONTENT
}

async fn list_requests(State(shared): State<Shared>) -> Json<Vec<ReceivedRequest>> {
    Json(shared.requests())
}
