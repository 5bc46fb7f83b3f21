//! The store on a real PostgreSQL, a database for each test.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod access;
mod balance;
mod bills;
mod books;
mod budget;
mod checks;
mod corrections;
mod costs;
mod estimates;
mod held_deletions;
mod history;
mod inventory;
mod invoices;
mod ledger;
mod matching;
mod migrations;
mod override_sequences;
mod overrides;
mod projects;
mod projects_decide;
mod record;
mod relations;
mod resumed;
mod status;
mod support;
mod teams;
mod unmatched;
