//! The account's billing history. `BillingHistory` (`invoices.rs`) has it read.

use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_macros::activity_definitions;

/// What `BillingHistory` asks of the outside; `activities::ledger` answers.
pub struct LedgerActivities;

#[activity_definitions]
impl LedgerActivities {
    /// Reads the billing history and writes each entry down once.
    #[activity(name = "ledger.sync")]
    pub fn sync() -> Result<LedgerSynced, ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::ledger_activities::Sync;
}

/// What a look at the billing history found.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct LedgerSynced {
    pub listed: usize,
    pub new: usize,
    /// Known before, and lacking from this complete listing.
    pub missing: usize,
    /// Why there may be more entries than were listed; none if these are all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incomplete: Option<String>,
    /// What the entries come to that were there when DigitalOcean worked out its balance, less that balance: USD, as a decimal
    /// string; none before a balance was polled.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub off_balance_by: Option<String>,
}
