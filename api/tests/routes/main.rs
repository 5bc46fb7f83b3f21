//! Tests of the API as a black box: requests to the router over a real PostgreSQL database, which
//! the tests fill through the store.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue panics")]

mod access;
mod attributes;
mod audit;
mod balance;
mod bodies;
mod closes;
mod cost_line_filters;
mod cost_lines;
mod costs;
mod csv;
mod estimates;
mod focus;
mod freshness;
mod health;
mod held_deletions;
mod history;
mod inventory;
mod invoices;
mod ledger;
mod log;
mod metrics;
mod my;
mod openapi;
mod orphaned_overrides;
mod overrides;
mod pages;
mod paging;
mod periods;
mod problems;
mod projects;
mod reallocations;
mod relations;
mod running_month;
mod serving;
mod spread_rules;
mod statement;
mod status;
mod support;
mod surface;
mod sync;
mod tenants;
mod unknown_values;
