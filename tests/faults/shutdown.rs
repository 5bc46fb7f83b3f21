//! A worker that is asked to stop in the midst of what takes long.

use std::time::Duration;

use simulator::Account;

use super::silence::Kept;
use super::site::{Servers, Site};

/// What activities have to end, what is left to them when they are cancelled, and what a busy machine adds.
const GRACE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn a_worker_that_holds_the_books_against_themselves_ends_within_its_grace() {
    let mut site = Site::start(Account::empty(), Servers::Shared).await;
    // Without invoices nothing but the check reads them.
    let mut totals = Kept::table("cloud_cost_line_shares", &site.database_url).await;
    site.add_worker(None);
    let stopping = async {
        totals.until_it_is_waited_for().await;
        let took = site.workers[0].restart_in_order().await;
        totals.give_back().await;
        took
    };
    let (took, setbacks) = tokio::join!(stopping, Box::pin(site.billing_history()));
    assert!(took < GRACE, "{took:?}");
    assert!(setbacks.is_empty(), "{setbacks:?}");
    // And not because it was given up.
    assert!(!site.logs().contains("does not end"), "{}", site.logs());
    site.end().await;
}
