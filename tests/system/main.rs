//! System tests: worker and API run against a real PostgreSQL server, the Temporal dev server, and
//! a simulated DigitalOcean account.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod actions;
mod analysts;
mod api;
mod balance;
mod browser;
mod by_hand;
mod cancelled;
mod demo;
mod deployment;
mod docs;
mod every_cent;
mod figures;
mod first_day;
mod focus;
mod godo;
mod held_deletions;
mod inventory;
mod invoices;
mod living_demo;
mod maintenance;
mod month_routes;
mod months;
mod program;
mod progress;
mod projects;
mod queues;
mod rate_limit;
mod reallocations;
mod replay;
mod resumed;
mod schedules;
mod schema_page;
mod search_attributes;
mod secrets;
mod support;
mod sync_now;
mod teams;
mod whole_account;
