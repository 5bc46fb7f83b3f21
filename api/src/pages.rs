//! HTML pages for people, one file per noun next to the JSON route of the same noun.
//!
//! Pages work without JavaScript: their state is the URL, forms are GET or POST. A page calls the
//! store functions of its JSON route.

mod assets;
mod attributes;
mod audit;
mod change;
mod chart;
mod cookies;
mod costs;
mod effect;
mod exports;
mod format;
mod freshness;
mod inventory;
mod invoices;
mod lines;
mod login;
mod months;
mod overview;
mod page;
mod parameters;
mod projects;
mod reallocations;
mod session;
mod sync;
mod tokens;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tower_http::csrf::CsrfLayer;

use crate::ApiState;

/// Returns all pages and their assets. A POST from another site is refused, because a cookie
/// authenticates pages.
pub(crate) fn routes(state: &ApiState) -> Router<ApiState> {
    let pages = Router::new()
        .merge(overview::routes())
        .merge(costs::routes())
        .merge(lines::routes())
        .merge(invoices::routes())
        .merge(months::routes())
        .merge(exports::routes())
        .merge(inventory::routes())
        .merge(projects::routes())
        .merge(reallocations::routes())
        .merge(sync::routes())
        .merge(tokens::routes())
        .merge(audit::routes())
        .merge(login::routes());
    pages
        .layer(from_fn_with_state(state.clone(), page::show_errors))
        .layer(CsrfLayer::new())
        .merge(assets::routes())
}
