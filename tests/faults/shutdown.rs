//! Tests workers that stop during an activity.

use std::time::Duration;

use simulator::Account;

use super::restored_holds::{before_a_hold, decide, hold_deletions, until_deleted};
use super::site::{Servers, Site};
use super::stalls::LockedTable;

/// The worker's grace periods before and after cancellation, plus a margin for a busy machine.
const GRACE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn a_worker_that_reconciles_costs_stops_within_its_grace_period() {
    let mut site = Site::start(Account::empty(), Servers::Shared).await;
    // Without invoices only the reconciliation reads this table.
    let mut totals = LockedTable::lock("cloud_cost_line_shares", &site.database_url).await;
    site.add_worker(None);
    let stopping = async {
        totals.wait_for_waiter().await;
        let took = site.workers[0].restart_gracefully().await;
        totals.unlock().await;
        took
    };
    let (took, setbacks) = tokio::join!(stopping, Box::pin(site.billing_history()));
    assert!(took < GRACE, "{took:?}");
    assert!(setbacks.is_empty(), "{setbacks:?}");
    // The activity was cancelled, rather than abandoned.
    assert!(!site.logs().contains("did not return"), "{}", site.logs());
    site.end().await;
}

#[tokio::test]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn a_decision_lost_with_its_worker_is_carried_out_by_the_next() {
    let site = before_a_hold().await;
    let hold = hold_deletions(&site).await;
    let mut holds = LockedTable::lock("cloud_held_deletions", &site.database_url).await;
    decide(&site, hold, true).await;
    holds.wait_for_waiter().await;
    site.workers[0].kill().await;
    holds.unlock().await;
    until_deleted(&site).await;
    site.end().await;
}
