//! The servers, started for real, each in a state directory of its own.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers too are only called by tests"
)]

mod instances;
mod killed;
mod leftover_variables;
mod supervised;
mod support;
