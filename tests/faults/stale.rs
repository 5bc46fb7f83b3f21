//! Workers that are suspended between fetching and storing, while the account changes and newer
//! evidence is stored: the data that they store when they continue must change nothing.

use domain::{InvoiceUuid, ResourceKind};
use rustix::process::Pid;
use simulator::{Account, Hold};
use uuid::Uuid;
use workflows::balance::PollBalance;
use workflows::inventory::{InventoryScope, SyncInventory};
use workflows::invoices::{BillingHistory, IngestInvoice};
use workflows::projects::SyncProjects;
use workflows::{Input, NoInput, task_queue};

use super::scenario::{Scenario, change_account, corrected_invoice};
use super::site::{Servers, Site};
use super::snapshot::{self, Ends, Snapshot};
use super::worker::Worker;
use crate::support::waiting::{LIMIT, eventually, within};

/// The suspended workers of a site, and their runs. The activity of each run has fetched and not
/// yet stored.
pub(crate) struct Frozen {
    processes: Vec<Pid>,
    runs: Vec<FrozenRun>,
    /// Another site on the same database, with a worker.
    other: Site,
}

struct FrozenRun {
    id: String,
    /// The suspended activity, and its attempt.
    activity: Vec<(String, i32)>,
}

/// The rows before and after the suspended workers continued.
pub(crate) struct Overtaken {
    before: Snapshot,
    after: Snapshot,
    /// The number of listings that the suspended workers began before `ends` and ended afterwards.
    late: i64,
}

impl Overtaken {
    /// Returns the rows that the suspended workers changed, in either form.
    pub(crate) fn stale(&self) -> Vec<String> {
        let difference = snapshot::compare(&self.before, &self.after);
        [difference.lost, difference.doubled].concat()
    }
}

impl Frozen {
    /// Starts a run for each kind of evidence, waits until its last response is computed, and
    /// suspends all workers. Only then are the responses sent.
    ///
    /// With `invoice`, the runs include those of the bill, among them the ingest of this invoice.
    pub(crate) async fn before_storing(site: &Site, invoice: Option<Uuid>) -> Self {
        let mut other = site.with_own_namespace().await;
        other.add_worker(None);
        let mut freezing = Freezing {
            site,
            runs: Vec::new(),
            holds: Vec::new(),
        };
        if let Some(invoice) = invoice {
            freezing.hold_bill(invoice).await;
        }
        freezing.hold_inventory().await;
        let workers = site.workers.iter();
        let processes = workers.filter_map(Worker::freeze_forever).collect();
        drop(freezing.holds);
        Self {
            processes,
            runs: freezing.runs,
            other,
        }
    }

    /// Stores the current account by another worker, then continues the suspended ones.
    pub(crate) async fn overtake(self, site: &Site, with_bill: bool, ends: &Ends) -> Overtaken {
        let setbacks = Box::pin(self.other.sync(with_bill)).await;
        assert!(setbacks.is_empty(), "newer evidence: {setbacks:?}");
        let before = snapshot::read(site, ends).await;
        for worker in &self.other.workers {
            worker.stop().await;
        }
        // The next steps of the runs would store the current account.
        let suspension = site.simulator.suspend();
        let at = site.store().await.now().await.unwrap();
        for process in self.processes {
            Worker::resume(process);
        }
        for run in &self.runs {
            eventually("the suspended activity has ended", async || {
                let pending = site.pending_activities(&run.id).await;
                let is_pending = pending.iter().any(|other| run.activity.contains(other));
                (!is_pending).then_some(())
            })
            .await;
        }
        site.wait_for_statements().await;
        let after = snapshot::read(site, ends).await;
        // A second attempt of a suspended listing replaces its row.
        let late: i64 = sqlx::query_scalar(
            "select count(*) from cloud_listings where started_at < $1 and finished_at > $2",
        )
        .bind(ends[0])
        .bind(at)
        .fetch_one(&mut site.database().await)
        .await
        .unwrap();
        drop(suspension);
        for run in &self.runs {
            site.wait_for_run(&run.id).await;
        }
        Overtaken {
            before,
            after,
            late,
        }
    }
}

struct Freezing<'a> {
    site: &'a Site,
    runs: Vec<FrozenRun>,
    holds: Vec<Hold>,
}

impl Freezing<'_> {
    /// Starts a run, and waits for its request to `target`.
    async fn hold(&mut self, target: &str, start: impl AsyncFnOnce(&Site) -> String) {
        let mut hold = self.site.simulator.hold(target);
        let id = start(self.site).await;
        within(LIMIT, target, hold.reached()).await;
        let activity = self.site.pending_activities(&id).await;
        self.runs.push(FrozenRun { id, activity });
        self.holds.push(hold);
    }

    async fn hold_inventory(&mut self) {
        let queue = task_queue::CLOUD_SYNC_FULL;
        let start = async |site: &Site| {
            let start = || (SyncProjects::run, NoInput);
            site.start_run("SyncProjects", queue, start).await
        };
        // The members of projects are listed in this order.
        let projects = self.site.simulator.read(|account| {
            let projects = account.projects().iter();
            projects.map(|project| project.id.to_string()).max()
        });
        let last = projects.unwrap_or_default();
        self.hold(&format!("/v2/projects/{last}/resources"), start)
            .await;
        self.hold("/v2/projects", start).await;
        // The list of GPU droplets is read after that of the others.
        for (kind, list) in [
            (ResourceKind::DROPLET, "/v2/droplets?type=gpus"),
            (ResourceKind::VOLUME, "/v2/volumes"),
            (ResourceKind::DNS_ZONE, "/v2/domains"),
            (ResourceKind::APP, "/v2/apps"),
        ] {
            let scope = InventoryScope {
                kinds: vec![kind],
                repeats: 0,
            };
            self.hold(list, async |site| {
                let start = || (SyncInventory::run, Input::Valid(scope.clone()));
                site.start_run("SyncInventory", queue, start).await
            })
            .await;
        }
    }

    async fn hold_bill(&mut self, invoice: Uuid) {
        let queue = task_queue::CLOUD_BILLING;
        self.hold("/v2/customers/my/balance", async |site| {
            let start = || (PollBalance::run, NoInput);
            site.start_run("PollBalance", queue, start).await
        })
        .await;
        // The steps of a run, in this order: each run waits at its own step.
        for step in [
            "/v2/customers/my/invoices",
            "/v2/customers/my/billing_history",
            "/v2/customers/my/invoices/preview/csv",
        ] {
            self.hold(step, async |site| {
                let start = || (BillingHistory::run, Input::Missing);
                site.start_run("BillingHistory", queue, start).await
            })
            .await;
        }
        let csv = format!("/v2/customers/my/invoices/{invoice}/csv");
        self.hold(&csv, async |site| {
            let start = || (IngestInvoice::run, Input::Valid(InvoiceUuid::from(invoice)));
            site.start_run("IngestInvoice", queue, start).await
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_workers_change_nothing_that_is_newer() {
    let mut site = Site::start(Scenario::Everything.account(), Servers::Shared).await;
    site.add_worker(None);
    let mut removed = None;
    for phase in [0, 3] {
        let change = |account: &mut Account| change_account(phase, account, &mut removed);
        site.simulator.change(change);
        let setbacks = Box::pin(site.sync(true)).await;
        assert!(setbacks.is_empty(), "{setbacks:?}");
    }
    let invoice = site.simulator.read(corrected_invoice);
    let frozen = Frozen::before_storing(&site, Some(invoice)).await;
    let ends = vec![site.store().await.now().await.unwrap()];
    let older = snapshot::read(&site, &ends).await;
    for phase in [1, 4] {
        let change = |account: &mut Account| change_account(phase, account, &mut removed);
        site.simulator.change(change);
    }
    let overtaken = Box::pin(frozen.overtake(&site, true, &ends)).await;
    let stale = overtaken.stale();
    assert!(stale.is_empty(), "{} rows: {stale:#?}", stale.len());
    // The suspended activities ended after the newer evidence was stored.
    assert_eq!(overtaken.late, 6);
    // The account changed in each table that the suspended workers write.
    for table in [
        "cloud_resource_rows",
        "cloud_project_rows",
        "cloud_project_members",
        "cloud_billing_entries",
        "cloud_balance_snapshots",
        "cloud_invoices",
        "cloud_cost_lines",
        "cloud_estimates",
    ] {
        assert_ne!(older[table], overtaken.before[table], "{table}");
    }
    site.end().await;
}
