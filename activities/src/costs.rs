//! The activity that checks the sums of the books against each other.

use std::sync::Arc;

use store::Store;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::costs::{BooksChecked, definitions};

use crate::heartbeat::heartbeating;

pub struct CostActivities {
    pub store: Store,
}

/// Discrepancies in a result. More of them add no information, and a result stays small.
const REPORTED: usize = 10;

#[activities]
impl CostActivities {
    #[activity(definition = definitions::Check)]
    pub async fn check(
        self: Arc<Self>,
        context: ActivityContext,
    ) -> Result<BooksChecked, ActivityError> {
        let store = self.store.clone();
        let discrepancies = heartbeating(&context, &self.store, async move {
            Ok(store.check_costs().await?)
        })
        .await?;
        Ok(BooksChecked {
            discrepancies: discrepancies
                .iter()
                .take(REPORTED)
                .map(|found| {
                    format!(
                        "the books do not balance: {} of {} ({}): expected {}, found {}; \
                         see GET /api/v1/billing/checks",
                        found.what, found.subject, found.period, found.expected, found.found
                    )
                })
                .collect(),
        })
    }
}
