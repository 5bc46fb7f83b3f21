//! The Temporal workflows: the order, the timeouts and the retries of all activities.
//!
//! **Invariant:** nothing in this crate does I/O; it does not depend on tokio, sqlx or reqwest. A
//! workflow does I/O through activities: each is declared next to the workflow that calls it, and
//! implemented in the `activities` crate. Their inputs and results are ids, counts and other small
//! values.

pub mod balance;
pub mod costs;
mod decisions;
pub mod held_deletions;
mod input;
pub mod inventory;
pub mod invoices;
pub mod ledger;
pub mod maintenance;
pub mod months;
mod options;
pub mod projects;
mod rate_limit;
pub mod reallocations;
pub mod search_attributes;

pub use input::{Input, NoInput};

/// The task queues: one for each purpose, and so for each DigitalOcean token.
pub mod task_queue {
    /// Full syncs of projects and inventory.
    pub const CLOUD_SYNC_FULL: &str = "cloud-sync-full";
    /// The frequent sync of droplets.
    pub const CLOUD_SYNC_FAST: &str = "cloud-sync-fast";
    /// Balance, billing history and invoices.
    pub const CLOUD_BILLING: &str = "cloud-billing";
}
