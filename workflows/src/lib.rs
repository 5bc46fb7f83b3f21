//! When and in what order things happen.
//!
//! **Invariant:** nothing here does I/O; this crate cannot even name tokio, sqlx or reqwest. What a workflow needs of the
//! outside it asks of an activity, whose contract stands beside the workflow that calls it and which the `activities` crate
//! fulfils. Only ids, counts and small results cross.

pub mod balance;
pub mod costs;
pub mod held_deletions;
mod input;
pub mod inventory;
pub mod invoices;
pub mod ledger;
mod options;
pub mod projects;
mod rate_limit;
pub mod search_attributes;

pub use input::{Input, NoInput};

/// The task queues, one a purpose and so one a DigitalOcean token.
pub mod task_queue {
    /// Full syncs of projects and inventory.
    pub const CLOUD_SYNC_FULL: &str = "cloud-sync-full";
    /// The frequent sync of droplets.
    pub const CLOUD_SYNC_FAST: &str = "cloud-sync-fast";
    /// Balance, billing history and invoices.
    pub const CLOUD_BILLING: &str = "cloud-billing";
}
