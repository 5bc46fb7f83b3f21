//! The routes, one file a noun.

mod balance;
mod inventory;
mod invoices;
mod projects;

use utoipa_axum::router::OpenApiRouter;

use crate::ApiState;

/// Every route that serves data. Each handler's first argument is who calls, so that nobody without access learns anything from
/// how the rest of the request is judged.
pub(crate) fn all() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .merge(balance::routes())
        .merge(invoices::routes())
        .merge(inventory::routes())
        .merge(projects::routes())
}
