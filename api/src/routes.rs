//! The routes, one file a noun.

mod balance;
mod cost_lines;
mod costs;
mod estimates;
mod held_deletions;
mod inventory;
mod invoices;
mod ledger;
mod projects;
mod spread_rules;
mod sync;
mod tenants;

use utoipa_axum::router::OpenApiRouter;

use crate::ApiState;

/// Every route that serves data. Each handler's first argument is who calls, so that nobody without access learns anything from
/// how the rest of the request is judged.
pub(crate) fn all() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .merge(balance::routes())
        .merge(invoices::routes())
        .merge(cost_lines::routes())
        .merge(costs::routes())
        .merge(spread_rules::routes())
        .merge(estimates::routes())
        .merge(ledger::routes())
        .merge(inventory::routes())
        .merge(projects::routes())
        .merge(tenants::routes())
        .merge(sync::routes())
        .merge(held_deletions::routes())
}
