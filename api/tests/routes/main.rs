//! The API as its callers meet it: the router over a real PostgreSQL, filled through the store's own writes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod access;
mod balance;
mod health;
mod inventory;
mod invoices;
mod log;
mod openapi;
mod paging;
mod problems;
mod projects;
mod serving;
mod support;
