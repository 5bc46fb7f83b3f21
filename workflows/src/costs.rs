//! The check of the books, which `BillingHistory` (`invoices.rs`) runs last.

use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_macros::activity_definitions;

/// The activities of `BillingHistory` on costs; `activities::costs` implements them.
pub struct CostActivities;

#[activity_definitions]
impl CostActivities {
    /// Checks every sum against its parts: lines, shares, totals, statements, invoices.
    #[activity(name = "costs.check")]
    pub fn check() -> Result<BooksChecked, ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::cost_activities::Check;
}

/// The places where the books do not balance. There are none unless the tables were changed
/// manually.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct BooksChecked {
    /// The first few, as text.
    pub discrepancies: Vec<String>,
}
