//! The store on a real PostgreSQL, a database for each test.

mod access;
mod balance;
mod inventory;
mod invoices;
mod projects;
mod record;
mod support;
