//! The activities that the workflows call: each makes one external call and one transaction, and
//! returns a small result.
//!
//! Every activity can run twice, concurrently with itself, or stop at any point, and the resulting
//! rows are the same. No activity calls this system's API or returns the data that it fetched. Only
//! `failure` decides which failures are retried.

mod attempt;
pub mod balance;
mod blocking;
pub mod costs;
mod failure;
mod heartbeat;
pub mod held_deletions;
pub mod inventory;
pub mod invoices;
pub mod ledger;
pub mod maintenance;
pub mod months;
pub mod projects;
pub mod reallocations;
mod signing;

pub use attempt::AttemptBudget;
pub use failure::Failure;
pub use signing::{InvalidSigningKey, SigningKey};
use store::Run;
use temporalio_sdk::activities::ActivityContext;

/// The Temporal run of an activity.
fn run_of(context: &ActivityContext) -> Run {
    let info = context.info();
    Run {
        workflow_id: info.workflow_id.clone().unwrap_or_default(),
        run_id: info.workflow_run_id.clone().unwrap_or_default(),
    }
}
