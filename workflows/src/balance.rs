//! `PollBalance`: reads the account's balance and stores it.

use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_macros::{activity_definitions, workflow, workflow_methods};
use temporalio_workflow::{WorkflowContext, WorkflowResult};

use crate::rate_limit::wait_for_requests;
use crate::{NoInput, options};

/// The activities of this workflow; `activities::balance` implements them.
pub struct BalanceActivities;

#[activity_definitions]
impl BalanceActivities {
    /// Reads the balance and stores it, unless DigitalOcean still returns the figures stored last.
    #[activity(name = "balance.poll")]
    pub fn poll() -> Result<BalancePolled, ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::balance_activities::Poll;
}

/// The result of a poll.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct BalancePolled {
    /// USD, as a decimal string.
    pub month_to_date_balance: String,
    /// DigitalOcean's time, RFC 3339.
    pub generated_at: String,
    /// Whether these figures are new.
    pub is_new: bool,
}

#[workflow]
#[derive(Default)]
pub struct PollBalance;

#[workflow_methods]
impl PollBalance {
    #[run(name = "PollBalance")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, _: NoInput) -> WorkflowResult<BalancePolled> {
        let poll = || {
            let options = options::listing("GET /v2/customers/my/balance");
            ctx.execute_activity(BalanceActivities::poll, (), options)
        };
        Ok(wait_for_requests(ctx, poll).await?)
    }
}
