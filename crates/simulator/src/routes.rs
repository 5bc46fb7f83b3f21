//! The routes of the API, of Spaces and of the control endpoint.

mod account;
mod control;
mod domains;
mod droplets;
mod history;
mod images;
mod invoices;
mod listings;
mod projects;
mod reserved_ips;
mod spaces;
mod tags;
mod volumes;

use axum::{Router, routing::get};

use crate::{errors::ApiError, state::Shared};
pub(crate) use control::routes as control;
pub(crate) use spaces::routes as spaces;

/// The API under `/v2`.
pub(crate) fn api() -> Router<Shared> {
    let invoice = "/v2/customers/my/invoices/{uuid}";
    Router::new()
        .route("/v2/account", get(account::account))
        .route("/v2/projects", get(projects::list).post(projects::create))
        .route("/v2/projects/{id}", get(projects::get))
        .route(
            "/v2/projects/{id}/resources",
            get(projects::resources).post(projects::assign),
        )
        .route("/v2/droplets", get(droplets::list))
        .route("/v2/droplets/{id}", get(droplets::get))
        .route("/v2/domains", get(domains::list))
        .route("/v2/domains/{name}", get(domains::get))
        .route("/v2/tags", get(tags::list))
        .route("/v2/volumes", get(volumes::list))
        .route("/v2/volumes/{id}", get(volumes::get))
        .route("/v2/customers/my/balance", get(account::balance))
        .route("/v2/customers/my/billing_history", get(history::list))
        .route("/v2/customers/my/invoices", get(invoices::list))
        .route(invoice, get(invoices::items))
        .route(&format!("{invoice}/summary"), get(invoices::summary))
        .route(&format!("{invoice}/csv"), get(invoices::csv))
        .merge(listings::routes())
        .merge(images::routes())
        .merge(reserved_ips::routes())
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .fallback(|| async { ApiError::not_found() })
}
