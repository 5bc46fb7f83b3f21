//! The simulated demo account of `arcadia dev`, kept alive: its bill follows the clock, its
//! projects get tenants, and its resources change once.
//!
//! The account and its changes are defined by the simulator. The assignments and the syncs are
//! those of an operator, by the same functions that the API and the pages call.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use api::{WorkflowError, WorkflowRun, WorkflowStarter as _};
use chrono::{DateTime, Utc};
use devstack::{Progress, StateDir};
use serde::{Deserialize, Serialize};
use simulator::{Account, Simulator};
use store::audit::RunRequest;
use store::inventory::Commit;
use store::projects::ProjectChange;
use store::{Run, Store};

use crate::schedule_status::Schedules;
use crate::{configuration, operator};

/// Minimum time between two strikes unless it is configured: a held deletion appears within
/// minutes.
pub(super) const STRIKE_INTERVAL: Duration = Duration::from_mins(2);
/// Time between the first sync and the change of the account.
const CHANGES_AFTER: Duration = Duration::from_secs(20);
/// Interval between two updates of the bill.
const BILLED_EVERY: Duration = Duration::from_mins(5);
/// Interval between two looks at the freshness of the mirror.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Attempts to start a run.
const ATTEMPTS: u32 = 5;

/// Name of the file that records the state of the account.
const FILE: &str = "demo-account.json";
/// The kind of the resources that the account loses.
const LOST_KIND: &str = "snapshot";
/// The kinds that the mirror must have before the account changes.
const KINDS: [&str; 3] = ["droplet", "project_member", LOST_KIND];

/// The state of the account, so that a restarted simulator continues it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Record {
    /// When the account was first served.
    since: DateTime<Utc>,
    /// True after the change of its resources.
    has_changed: bool,
}

/// The demo account, served until dropped.
pub(super) struct Demo {
    pub(super) simulator: Simulator,
    record: Record,
    file: PathBuf,
}

impl Demo {
    /// Serves the account as the state directory records it.
    pub(super) async fn start(state: &StateDir) -> anyhow::Result<Self> {
        let file = state.path().join(FILE);
        let now = Utc::now();
        let record = match fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("invalid {}: remove it", file.display()))?,
            Err(_) => Record {
                since: now,
                has_changed: false,
            },
        };
        let mut account = Account::demo_at(record.since, now);
        if record.has_changed {
            account.change_demo(now);
        }
        let simulator = Simulator::start(account)
            .await
            .context("cannot start the simulator")?;
        let demo = Self {
            simulator,
            record,
            file,
        };
        demo.write(record)?;
        Ok(demo)
    }

    /// Removes the record, so that the account starts from its beginning.
    pub(super) fn remove_record(state: &StateDir) -> std::io::Result<()> {
        match fs::remove_file(state.path().join(FILE)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn write(&self, record: Record) -> anyhow::Result<()> {
        let text = serde_json::to_string(&record)?;
        configuration::write_private(&self.file, &text)
            .with_context(|| format!("cannot write {}", self.file.display()))
    }

    /// Keeps the account alive; never returns.
    pub(super) async fn live(
        &self,
        store: &Store,
        workflows: &Schedules,
        strike_interval: Duration,
        progress: &Progress,
    ) {
        let change = async {
            let changed = self.change_once(store, workflows, strike_interval, progress);
            if let Err(error) = changed.await {
                tracing::warn!("the demo account could not be changed: {error:#}");
            }
        };
        let bill = async {
            loop {
                tokio::time::sleep(BILLED_EVERY).await;
                let since = self.record.since;
                self.simulator
                    .change(|account| account.bill_demo(since, Utc::now()));
            }
        };
        tokio::join!(change, bill);
    }

    /// Assigns tenants, changes the account, and syncs the changed resources until the deletion of
    /// some is held. Does nothing if it was done by an earlier start.
    async fn change_once(
        &self,
        store: &Store,
        workflows: &Schedules,
        strike_interval: Duration,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        if self.record.has_changed {
            return Ok(());
        }
        wait_for_listings(store, &KINDS, DateTime::UNIX_EPOCH).await?;
        self.assign_tenants(store, progress).await?;
        tokio::time::sleep(CHANGES_AFTER).await;
        let now = store.now().await?;
        self.simulator.change(|account| account.change_demo(now));
        self.write(Record {
            has_changed: true,
            ..self.record
        })?;
        progress.step(format!(
            "demo account: a droplet moved to another project, and most snapshots were deleted; three \
             listings without them, {} apart, hold the deletion until you decide on the page Sync",
            humantime::format_duration(strike_interval)
        ));
        let projects = "sync-projects";
        let request = RunRequest::Schedule(projects);
        start(store, request, async || workflows.trigger(projects).await).await?;
        for strike in 1..=3 {
            let before = store.now().await?;
            let request = RunRequest::Kind(LOST_KIND);
            start(store, request, async || {
                workflows.sync_kind(LOST_KIND).await
            })
            .await?;
            wait_for_listings(store, &[LOST_KIND], before).await?;
            if strike < 3 {
                tokio::time::sleep(strike_interval + Duration::from_secs(1)).await;
            }
        }
        Ok(())
    }

    /// Assigns projects without a tenant, from their creation on.
    async fn assign_tenants(&self, store: &Store, progress: &Progress) -> anyhow::Result<()> {
        let mut assigned = Vec::new();
        for project in store.projects(None, None, i64::from(u8::MAX)).await? {
            let tenants = Account::DEMO_TENANTS;
            let Some((_, tenant)) = tenants.iter().find(|(name, _)| *name == project.name) else {
                continue;
            };
            if project.tenant_id.is_some() {
                continue;
            }
            let change = ProjectChange {
                tenant_id: Some(Some(tenant.parse()?)),
                tenant_since: self.created_at(&project.name),
                purpose: None,
            };
            store
                .change_project(project.id, &change, &operator::actor(), Commit::Keep)
                .await?;
            assigned.push(format!("{} to the tenant {tenant}", project.name));
        }
        if !assigned.is_empty() {
            progress.step(format!("demo account: assigned {}", assigned.join(", ")));
        }
        Ok(())
    }

    fn created_at(&self, project: &str) -> Option<DateTime<Utc>> {
        self.simulator.read(|account| {
            let mut projects = account.projects().iter();
            let found = projects.find(|known| known.name == project);
            found.map(|project| project.created_at)
        })
    }
}

/// Starts a run and records it; retries a few times, because a busy machine responds late.
async fn start(
    store: &Store,
    request: RunRequest<'_>,
    start: impl AsyncFn() -> Result<WorkflowRun, WorkflowError>,
) -> anyhow::Result<()> {
    let actor = operator::actor();
    store.record_run_request(request, &actor).await?;
    let mut retries = 1..ATTEMPTS;
    let started = loop {
        match start().await {
            Err(WorkflowError::Unavailable(_)) if retries.next().is_some() => {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            outcome => break outcome.context("cannot start a sync")?,
        }
    };
    let run = Run {
        workflow_id: started.workflow_id,
        run_id: started.run_id,
    };
    Ok(store.record_run_start(&run, &actor).await?)
}

/// Waits until each of these kinds has a complete or held listing that began after a time.
async fn wait_for_listings(
    store: &Store,
    kinds: &[&str],
    after: DateTime<Utc>,
) -> anyhow::Result<()> {
    let names: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    loop {
        let listed = store.freshness(Some(&names)).await?;
        let is_fresh = |kind: &store::KindFreshness| {
            !kind.last_attempt_failed() && kind.last_attempt_at > after
        };
        if listed.len() == kinds.len() && listed.iter().all(is_fresh) {
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
