//! The sync of the account's billing history, which `BillingHistory` (`invoices.rs`) runs.

use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_macros::activity_definitions;

/// The activities of `BillingHistory` on the ledger; `activities::ledger` implements them.
pub struct LedgerActivities;

#[activity_definitions]
impl LedgerActivities {
    /// Reads the billing history and stores each entry once.
    #[activity(name = "ledger.sync")]
    pub fn sync() -> Result<LedgerSynced, ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::ledger_activities::Sync;
}

/// The result of a sync of the billing history.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct LedgerSynced {
    pub listed: usize,
    pub new: usize,
    /// Known entries that this complete listing lacks.
    pub missing: usize,
    /// The reason if the list may be incomplete; none if it is complete.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incomplete: Option<String>,
    /// The sum of the entries that existed when DigitalOcean calculated its balance, less that
    /// balance: USD, as a decimal string; none before the first poll of the balance.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub off_balance_by: Option<String>,
}
