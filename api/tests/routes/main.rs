//! The API as its callers meet it: the router over a real PostgreSQL, filled through the store's
//! own writes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod access;
mod attributes;
mod balance;
mod bodies;
mod cost_lines;
mod costs;
mod estimates;
mod freshness;
mod health;
mod held_deletions;
mod history;
mod inventory;
mod invoices;
mod ledger;
mod log;
mod metrics;
mod openapi;
mod overrides;
mod paging;
mod periods;
mod problems;
mod projects;
mod relations;
mod serving;
mod spread_rules;
mod status;
mod support;
mod surface;
mod sync;
mod tenants;
mod unknown_values;
