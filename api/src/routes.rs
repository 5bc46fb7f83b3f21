//! The routes that serve data, one module for each resource of the API.

pub(crate) mod audit;
mod balance;
pub(crate) mod cost_lines;
pub(crate) mod costs;
mod estimates;
pub(crate) mod focus;
pub(crate) mod held_deletions;
mod index;
pub(crate) mod inventory;
pub(crate) mod invoices;
mod ledger;
pub(crate) mod months;
pub(crate) mod my;
pub(crate) mod orphaned_overrides;
pub(crate) mod projects;
pub(crate) mod reallocations;
pub(crate) mod spread_rules;
pub(crate) mod statement;
pub(crate) mod sync;
mod tenants;

use utoipa_axum::router::OpenApiRouter;

use crate::ApiState;

/// Returns all routes that serve data.
///
/// The first argument of each handler is the caller: a request without access is refused before its
/// parameters are read, so that the error reveals nothing about them.
pub(crate) fn all() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .merge(index::routes())
        .merge(balance::routes())
        .merge(invoices::routes())
        .merge(cost_lines::routes())
        .merge(orphaned_overrides::routes())
        .merge(costs::routes())
        .merge(months::routes())
        .merge(statement::routes())
        .merge(spread_rules::routes())
        .merge(reallocations::routes())
        .merge(estimates::routes())
        .merge(focus::routes())
        .merge(ledger::routes())
        .merge(my::routes())
        .merge(inventory::routes())
        .merge(projects::routes())
        .merge(tenants::routes())
        .merge(sync::routes())
        .merge(held_deletions::routes())
        .merge(audit::routes())
}
