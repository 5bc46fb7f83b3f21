//! One outside call, one transaction, one small result: what the workflows' contracts ask for.
//!
//! Every activity may run twice, at once with itself, or die half-way, and comes to the same rows. None calls our API; none
//! returns what it fetched. Which failure is tried again is said in `failure` and nowhere else.

mod attempt;
pub mod balance;
pub mod costs;
mod failure;
mod heartbeat;
pub mod held_deletions;
pub mod inventory;
pub mod invoices;
pub mod ledger;
pub mod projects;

pub use attempt::ByAttempts;
pub use failure::Failure;
use store::Run;
use temporalio_sdk::activities::ActivityContext;

/// The Temporal run an activity works for.
fn run_of(context: &ActivityContext) -> Run {
    let info = context.info();
    Run {
        workflow_id: info.workflow_id.clone().unwrap_or_default(),
        run_id: info.workflow_run_id.clone().unwrap_or_default(),
    }
}
