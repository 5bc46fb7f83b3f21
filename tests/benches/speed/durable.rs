//! Measures unchanged syncs on a PostgreSQL with its default durability: the write-ahead log, right
//! after a checkpoint, when each changed page is logged in full, and again.

use std::time::Instant;

use domain::inventory::ObservedResource;
use domain::projects::{MemberStatus, ObservedProject, ProjectMember};
use domain::{Completeness, ResourceKind, Urn};
use serde_json::json;
use store::Store;
use store::inventory::{ListingFacts, Shortfall};
use store::projects::{MembershipPass, ProjectMembers, ProjectSweep};
use uuid::Uuid;

use crate::child::{Contents, RULES, SimulatorProcess};
use crate::database::Database;
use crate::report::{Report, Unit, median};
use crate::sweep::{DELAY_MS, LOG_LIMIT, SHORT_DELAY_MS, fetch_only, kinds_of, new_run, sync};

const RUNS: usize = 3;

/// The limits of an unchanged sync relative to fetching the same pages, for the delays of answers.
pub(crate) struct Limits {
    pub(crate) at_100_ms: f64,
    pub(crate) at_20_ms: f64,
}

pub(crate) async fn measure_sweep(
    report: &mut Report,
    contents: Contents,
    limits: Limits,
) -> anyhow::Result<()> {
    let simulator = SimulatorProcess::start(contents).await?;
    let database = Database::durable().await?;
    sync(&simulator, &database.store().await?, contents).await?;
    database.execute("vacuum analyze").await?;
    for (delay, limit) in [
        (DELAY_MS, limits.at_100_ms),
        (SHORT_DELAY_MS, limits.at_20_ms),
    ] {
        simulator
            .fail(&format!("slow:/v2/*:delay={delay}ms"))
            .await?;
        let mut baseline = Vec::new();
        for _ in 0..RUNS {
            baseline.push(fetch_only(&simulator.url, contents).await?);
        }
        let baseline = median(baseline);
        report.known(
            &format!("fetch only, answers after {delay} ms"),
            baseline,
            Unit::Seconds,
        )?;
        let (mut first, mut again) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            database.execute("checkpoint").await?;
            first.push(unchanged(&simulator, &database, contents).await?);
            again.push(unchanged(&simulator, &database, contents).await?);
        }
        simulator.clear_faults().await?;
        for (when, measured) in [("after a checkpoint", first), ("again", again)] {
            let (seconds, log): (Vec<f64>, Vec<f64>) = measured.into_iter().unzip();
            report.limited(
                &format!("unchanged {when}, relative to fetch only"),
                median(seconds) / baseline,
                limit,
                Unit::Times,
            )?;
            report.limited(
                &format!("unchanged {when}: write-ahead log"),
                median(log),
                LOG_LIMIT,
                Unit::Bytes,
            )?;
        }
    }
    Ok(())
}

/// Returns the seconds and the bytes of log of a sync.
async fn unchanged(
    simulator: &SimulatorProcess,
    database: &Database,
    contents: Contents,
) -> anyhow::Result<(f64, f64)> {
    let store = database.store().await?;
    let before = database.wal_position().await?;
    let (seconds, synced) = sync(simulator, &store, contents).await?;
    let log = database.wal_position().await? - before;
    anyhow::ensure!(
        synced
            .iter()
            .all(|kind| kind.updated + kind.discovered == 0),
        "{synced:?}"
    );
    Ok((seconds, log as f64))
}

/// Members of each project of a pass.
const MEMBERS_OF_PROJECT: usize = 2_000;
/// Resources that change in one sweep.
const CHANGED: usize = 10;

/// Measures membership passes over `rows` members, and sweeps with ten changed resources among as
/// many.
pub(crate) async fn measure_members(report: &mut Report, rows: usize) -> anyhow::Result<()> {
    let database = Database::durable().await?;
    let store = database.store().await?;
    let kinds = kinds_of(Contents::TenKinds(rows));
    let mut urns = Vec::with_capacity(rows);
    for (kind, count) in &kinds {
        let resources: Vec<_> = (0..*count).map(|number| resource(kind, number)).collect();
        let ids = resources.iter().map(|one| one.provider_id.clone());
        urns.extend(ids.map(|id| kind.clone().with_id(id)));
        sweep(&store, kind, resources, Completeness::Complete).await?;
    }
    let members: Vec<ProjectMembers> = urns
        .chunks(MEMBERS_OF_PROJECT)
        .enumerate()
        .map(|(number, urns)| ProjectMembers {
            project: project_id(number),
            members: urns.iter().map(member).collect(),
        })
        .collect();
    sweep_projects(&store, members.len()).await?;
    let first = pass(&store, &members).await?;
    report.known("first pass", first, Unit::Seconds)?;
    database.execute("vacuum analyze").await?;

    let size = "select pg_total_relation_size('cloud_project_members')";
    let size_before = database.number(size).await?;
    let transaction = database.transaction().await?;
    for when in ["after a checkpoint", "again"] {
        let (mut seconds, mut log) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            if when == "after a checkpoint" {
                database.execute("checkpoint").await?;
            }
            let before = database.wal_position().await?;
            seconds.push(pass(&store, &members).await?);
            log.push((database.wal_position().await? - before) as f64);
        }
        report.known(
            &format!("unchanged pass {when}"),
            median(seconds),
            Unit::Seconds,
        )?;
        report.limited(
            &format!("unchanged pass {when}: write-ahead log"),
            median(log),
            LOG_LIMIT,
            Unit::Bytes,
        )?;
    }
    report.limited(
        "unchanged passes: rows of members and sightings written",
        database.written_since(transaction).await? as f64,
        1.0,
        Unit::Count("rows"),
    )?;
    let growth = database.number(size).await? - size_before;
    report.limited(
        "unchanged passes: growth of the table",
        growth as f64,
        0.0,
        Unit::Bytes,
    )?;
    attribution_of_ten(report, &store, &kinds[0]).await
}

/// Compares sweeps of ten resources with and without a change. Both compare all resources of the
/// kind.
async fn attribution_of_ten(
    report: &mut Report,
    store: &Store,
    (kind, count): &(ResourceKind, usize),
) -> anyhow::Result<()> {
    let (mut unchanged, mut changed) = (Vec::new(), Vec::new());
    for round in 0..=RUNS {
        let named = |suffix: &str| -> Vec<ObservedResource> {
            let numbers = (0..*count).step_by(count / CHANGED).take(CHANGED);
            numbers
                .map(|number| {
                    let mut one = resource(kind, number);
                    one.name.push_str(suffix);
                    one
                })
                .collect()
        };
        let suffix = format!("-{round}");
        let incomplete = Completeness::Incomplete("only ten are listed".to_owned());
        let with = sweep(store, kind, named(&suffix), incomplete.clone()).await?;
        let without = sweep(store, kind, named(&suffix), incomplete).await?;
        // The first round divides the sightings.
        if round > 0 {
            changed.push(with * 1_000.0);
            unchanged.push(without * 1_000.0);
        }
    }
    let (unchanged, changed) = (median(unchanged), median(changed));
    report.known(
        "a sweep of ten without a change",
        unchanged,
        Unit::Milliseconds,
    )?;
    report.limited(
        "in addition, if all ten have changed",
        changed - unchanged,
        50.0,
        Unit::Milliseconds,
    )
}

fn resource(kind: &ResourceKind, number: usize) -> ObservedResource {
    ObservedResource {
        kind: kind.clone(),
        provider_id: number.to_string(),
        name: format!("{kind}-{number}"),
        region: Some("nyc3".to_owned()),
        status: Some("active".to_owned()),
        tags: vec!["web".to_owned()],
        project_id: None,
        relations: Vec::new(),
        attrs: json!({ "memory": 1024, "number": number }).into(),
    }
}

fn member(urn: &Urn) -> ProjectMember {
    ProjectMember {
        urn: urn.clone(),
        status: MemberStatus::Ok,
        assigned_at: None,
    }
}

fn project_id(number: usize) -> Uuid {
    Uuid::from_u128(number as u128 + 1)
}

async fn facts(store: &Store, completeness: Completeness) -> anyhow::Result<ListingFacts> {
    let evidence = store.begin_fetch().await?;
    Ok(ListingFacts {
        evidence,
        finished_at: evidence.began_at(),
        completeness,
        shortfall: Shortfall::default(),
        total: None,
        requests: 1,
        rules: RULES,
        run: new_run(),
    })
}

/// Sweeps a listing, and returns the seconds without reading it.
async fn sweep(
    store: &Store,
    kind: &ResourceKind,
    resources: Vec<ObservedResource>,
    completeness: Completeness,
) -> anyhow::Result<f64> {
    let mut seen = store.observe(std::slice::from_ref(kind)).await?;
    seen.add(resources).await?;
    let facts = facts(store, completeness).await?;
    let started = Instant::now();
    store.sweep(&seen, kind, &facts).await?;
    Ok(started.elapsed().as_secs_f64())
}

async fn sweep_projects(store: &Store, count: usize) -> anyhow::Result<()> {
    let projects: Vec<_> = (0..count)
        .map(|number| ObservedProject {
            provider_id: project_id(number),
            name: format!("project-{number}"),
            description: String::new(),
            environment: None,
            is_default: false,
            attrs: json!({}),
        })
        .collect();
    let facts = facts(store, Completeness::Complete).await?;
    let sweep = ProjectSweep {
        projects: &projects,
        internal_name: "project-0",
        facts: &facts,
    };
    store.sweep_projects(sweep).await?;
    Ok(())
}

async fn pass(store: &Store, projects: &[ProjectMembers]) -> anyhow::Result<f64> {
    let listed: Vec<_> = kinds_of(Contents::TenKinds(10))
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    let facts = facts(store, Completeness::Complete).await?;
    let started = Instant::now();
    store
        .store_memberships(MembershipPass {
            projects,
            listed_kinds: &listed,
            facts: &facts,
        })
        .await?;
    Ok(started.elapsed().as_secs_f64())
}
