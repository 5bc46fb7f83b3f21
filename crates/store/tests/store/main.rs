//! The store on a real PostgreSQL, a database for each test.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod access;
mod balance;
mod inventory;
mod invoices;
mod projects;
mod record;
mod support;
