//! Tests of a worker's telemetry: its metrics, its log, and the alerts and dashboards based on
//! them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod documents;
mod log;
mod metrics;
mod renewals;
mod scenario;
