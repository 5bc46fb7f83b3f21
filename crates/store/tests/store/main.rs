//! The store on a real PostgreSQL, a database for each test.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod access;
mod balance;
mod held_deletions;
mod history;
mod inventory;
mod invoices;
mod pins;
mod projects;
mod record;
mod relations;
mod support;
