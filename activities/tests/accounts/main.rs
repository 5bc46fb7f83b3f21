//! Tests of the activities against a simulated account, each with a separate database.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod account_forms;
mod buckets;
mod resumed;
mod scopes;
mod support;
