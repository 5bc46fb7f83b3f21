//! One run: plays the scenario's phases with faults during the syncs, and compares the database
//! with that of a run without faults.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use domain::TenantId;
use simulator::Account;
use store::inventory::Commit;
use store::projects::ProjectChange;
use store::{Actor, StoreError};
use tokio::sync::{OnceCell, watch};

use super::clock::Clock;
use super::injector::{Family, Injected, Injector, Tally};
use super::rng::Rng;
use super::scenario::{PHASES, Scenario, WITH_BILL, change_account, corrected_invoice};
use super::site::{Servers, Site};
use super::snapshot::{self, Difference, Ends, Snapshot};
use super::stale::Frozen;
use super::syncs::Setback;
use crate::support::waiting::eventually;

/// The outcome of a run.
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) extent: Extent,
    pub(crate) family: Family,
    pub(crate) scenario: Scenario,
    pub(crate) tally: Tally,
    pub(crate) difference: Difference,
    /// The number of resources and projects that the mirror marks deleted although the account has
    /// them, plus deletions that the run without faults does not have.
    pub(crate) wrong_deletes: u64,
    /// Rows that a suspended worker changed although newer evidence was stored.
    pub(crate) stale: Vec<String>,
    pub(crate) setbacks: Vec<Setback>,
    /// The number of worker renewals inside a process.
    pub(crate) renewals: u64,
    pub(crate) took: Duration,
    pub(crate) log: Vec<String>,
}

impl Outcome {
    pub(crate) fn is_right(&self) -> bool {
        self.difference.lost.is_empty()
            && self.difference.doubled.is_empty()
            && self.wrong_deletes == 0
            && self.stale.is_empty()
    }
}

/// The share of phases with faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Faults in one phase.
    OnePhase,
    /// Faults in about every other phase.
    Thorough,
}

/// Returns the database of a run without faults. Runs once per scenario.
pub(crate) async fn expected(scenario: Scenario) -> &'static Snapshot {
    static EVERYTHING: OnceCell<Snapshot> = OnceCell::const_new();
    static EVERY_CENT: OnceCell<Snapshot> = OnceCell::const_new();
    static THOUSANDS: OnceCell<Snapshot> = OnceCell::const_new();
    let cell = match scenario {
        Scenario::Everything => &EVERYTHING,
        Scenario::EveryCent => &EVERY_CENT,
        Scenario::Thousands => &THOUSANDS,
    };
    Box::pin(cell.get_or_init(async || Box::pin(without_faults(scenario)).await)).await
}

/// Runs a scenario without faults; every workflow must succeed on the first attempt.
pub(crate) async fn without_faults(scenario: Scenario) -> Snapshot {
    let mut site = Site::start(scenario.account(), Servers::Shared).await;
    site.add_worker(None);
    let played = Box::pin(play(&site, &BTreeSet::new(), None)).await;
    assert!(
        played.setbacks.is_empty(),
        "without faults: {:?}",
        played.setbacks
    );
    let snapshot = snapshot::read(&site, &played.ends).await;
    assert_eq!(deleted_but_there(&site).await, 0);
    let deleted = deletions(&snapshot);
    assert!(deleted > 0, "the scenario has no deletions to compare");
    site.end().await;
    snapshot
}

/// Runs the scenario of a seed with its faults.
pub(crate) async fn with_faults(seed: u64, extent: Extent) -> Outcome {
    let started = Instant::now();
    let mut rng = Rng::of(seed);
    let family = Family::of(seed);
    let scenario = Scenario::of(seed);
    let phases = faulty_phases(&mut rng, extent);
    let mut injector = Injector::new(family, rng.fork());
    let mut site = Site::start(scenario.account(), family.servers()).await;
    site.add_worker(None);
    if family.workers() > 1 {
        let hours = i64::try_from(rng.between(2, 9)).unwrap_or(2);
        let ahead = if rng.once_in(2) { hours } else { -hours } * 3_600;
        let clock = Clock::ahead(ahead).await;
        if let Some(clock) = &clock {
            injector.tally.insert(Injected::ClockSkewed, 1);
            injector.log.push(format!(
                "the clock of worker 1 is ahead by {} s",
                clock.ahead
            ));
        }
        site.add_worker(clock.as_ref());
    }
    let played = Box::pin(play(&site, &phases, Some(&mut injector)));
    let (played, expected) = tokio::join!(played, expected(scenario));
    let found = snapshot::read(&site, &played.ends).await;
    let difference = snapshot::compare(expected, &found);
    let more = deletions(&found).saturating_sub(deletions(expected));
    let outcome = Outcome {
        seed,
        extent,
        family,
        scenario,
        tally: injector.tally,
        wrong_deletes: deleted_but_there(&site).await + more,
        difference,
        stale: played.stale,
        setbacks: played.setbacks,
        renewals: site.logs().matches("worker renewed").count() as u64,
        took: started.elapsed(),
        log: injector.log,
    };
    if !outcome.is_right() {
        eprintln!(
            "seed {seed}: the workers' logs are in {}",
            site.keep_logs().display()
        );
    }
    site.end().await;
    outcome
}

fn faulty_phases(rng: &mut Rng, extent: Extent) -> BTreeSet<usize> {
    let certain = usize::try_from(rng.between(0, PHASES as u64 - 1)).unwrap_or_default();
    let more = (0..PHASES).filter(|_| rng.once_in(2));
    let more: BTreeSet<usize> = more.collect();
    match extent {
        Extent::OnePhase => [certain].into(),
        Extent::Thorough => more.into_iter().chain([certain]).collect(),
    }
}

/// The result of playing a scenario.
#[derive(Default)]
struct Played {
    setbacks: Vec<Setback>,
    ends: Ends,
    stale: Vec<String>,
}

/// Plays all phases of the scenario, and injects faults in the given ones.
async fn play(
    site: &Site,
    faulty: &BTreeSet<usize>,
    mut injector: Option<&mut Injector>,
) -> Played {
    let mut removed = None;
    let mut played = Played::default();
    let mut frozen: Option<Frozen> = None;
    for phase in 0..PHASES {
        let with_bill = WITH_BILL.contains(&phase);
        site.simulator
            .change(|account| change_account(phase, account, &mut removed));
        if let Some(frozen) = frozen.take() {
            let overtaken = Box::pin(frozen.overtake(site, with_bill, &played.ends)).await;
            played.stale.extend(overtaken.stale());
        }
        let (stop, stopped) = watch::channel(false);
        let work = async {
            let setbacks = site.sync(with_bill).await;
            // The remaining faults of this phase are not injected.
            stop.send_replace(true);
            setbacks
        };
        let injecting = async {
            let injector = injector.as_mut().filter(|_| faulty.contains(&phase))?;
            injector.inject_all(site, phase, stopped).await;
            Some(())
        };
        let (setbacks, had_faults) = tokio::join!(work, injecting);
        played.setbacks.extend(setbacks);
        if had_faults.is_some() {
            site.simulator.clear_faults();
        }
        if let Some(injector) = &mut injector
            && injector.frozen_before == phase + 1
        {
            // The bill is read in both phases, so that the runs of the first one change nothing.
            let has_bill = with_bill && WITH_BILL.contains(&(phase + 1));
            let invoice = has_bill.then(|| site.simulator.read(corrected_invoice));
            frozen = Some(Box::pin(Frozen::before_storing(site, invoice)).await);
            injector.note_frozen();
        }
        site.let_an_hour_pass().await;
        if phase == 0 {
            assign_tenants(site).await;
        }
        let database = site.store().await;
        let end = retry(async || database.now().await).await;
        played.ends.push(end);
    }
    played
}

/// Retries a query of the test itself: with many concurrent runs, acquiring a connection may time
/// out.
async fn retry<T>(mut query: impl AsyncFnMut() -> Result<T, StoreError>) -> T {
    eventually("a query of the test succeeds", async || query().await.ok()).await
}

/// Assigns two of the projects to tenants, as an operator would.
pub(crate) async fn assign_tenants(site: &Site) {
    let store = site.store().await;
    let projects = retry(async || store.projects(None, None, 100).await).await;
    let mut ordinary: Vec<_> = projects
        .into_iter()
        .filter(|project| !project.is_default && !project.is_internal)
        .collect();
    ordinary.sort_by(|one, other| one.provider_id.cmp(&other.provider_id));
    for (project, tenant) in ordinary.iter().zip(["north", "south"]) {
        let change = ProjectChange {
            tenant_id: Some(Some(tenant.parse::<TenantId>().unwrap())),
            // A fixed time, so that runs can be compared.
            tenant_since: Some("2015-01-01T00:00:00Z".parse().unwrap()),
            purpose: None,
        };
        retry(async || {
            store
                .change_project(
                    project.id,
                    &change,
                    &Actor::of_command("tests"),
                    Commit::Keep,
                )
                .await
        })
        .await;
    }
}

/// Returns the number of resources and projects that the mirror marks deleted although the account
/// has them. Compares with the account itself, not with another run.
pub(crate) async fn deleted_but_there(site: &Site) -> u64 {
    let mut database = site.database().await;
    let deleted: Vec<(String, String)> = sqlx::query_as(
        "select kind, provider_id from cloud_resources where deleted_at is not null
         union all select 'project', provider_id from cloud_projects where deleted_at is not null",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    let is_there = |account: &Account, kind: &str, id: &str| match kind {
        "project" => account
            .projects()
            .iter()
            .any(|project| project.id.to_string() == id),
        kind if Account::resource_kinds().any(|known| known == kind) => {
            account.resource_ids(kind).iter().any(|known| known == id)
        }
        _ => false,
    };
    let wrong = site.simulator.read(|account| {
        let wrong = deleted
            .iter()
            .filter(|(kind, id)| is_there(account, kind, id));
        wrong.count()
    });
    u64::try_from(wrong).unwrap_or(u64::MAX)
}

fn deletions(snapshot: &Snapshot) -> u64 {
    let events = snapshot.get("cloud_resource_events").into_iter().flatten();
    let deleted = events.filter(|(row, _)| row.contains(r#""event":"deleted""#));
    deleted.map(|(_, count)| count).sum()
}
