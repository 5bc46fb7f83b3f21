//! Integration tests of the store with a real PostgreSQL. Each test has its own database.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod access;
mod balance;
mod bills;
mod books;
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
mod own_costs;
mod projects;
mod projects_decide;
mod rate_limit;
mod record;
mod relations;
mod resumed;
mod status;
mod support;
mod teams;
mod unmatched;
