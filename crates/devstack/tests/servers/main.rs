//! Starts real servers, each in a separate state directory.

#![expect(clippy::unwrap_used, reason = "only tests call the helpers")]

mod instances;
mod killed;
mod leftover_variables;
mod supervised;
mod support;
