//! The whole system, started for real: PostgreSQL, the Temporal dev server, the worker, the API, and a simulated account.

mod inventory;
mod invoices;
mod projects;
mod support;
