//! Whether the books balance. `BillingHistory` (`invoices.rs`) asks at its end.

use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_macros::activity_definitions;

/// What `BillingHistory` asks of the outside; `activities::costs` answers.
pub struct CostActivities;

#[activity_definitions]
impl CostActivities {
    /// Holds every sum against those that it is made of: lines, shares, totals, statements, invoices.
    #[activity(name = "costs.check")]
    pub fn check() -> Result<BooksChecked, ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::cost_activities::Check;
}

/// Where the books do not balance; nowhere, unless somebody wrote to them by hand.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct BooksChecked {
    /// The first few, in words.
    pub discrepancies: Vec<String>,
}
