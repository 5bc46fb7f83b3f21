//! What operators see of a worker: its metrics, its log, and the alerts and the dashboard that are made of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod documents;
mod log;
mod metrics;
mod renewals;
mod scenario;
