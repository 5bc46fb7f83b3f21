//! Tests of the API as a black box: requests to the router over a real PostgreSQL database, which
//! the tests fill through the store.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue panics")]

mod access;
mod attributes;
mod balance;
mod bodies;
mod cost_line_filters;
mod cost_lines;
mod costs;
mod csv;
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
mod my;
mod openapi;
mod overrides;
mod pages;
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
