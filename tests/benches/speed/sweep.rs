//! Measures listing and sweeping an account, relative to a baseline that only fetches the same
//! pages.

use std::sync::Arc;
use std::time::Instant;

use activities::inventory::InventoryActivities;
use domain::ResourceKind;
use simulator::DEMO_TOKEN;
use store::{Run, Store};
use tokio::task::JoinSet;
use uuid::Uuid;
use workflows::inventory::KindSynced;

use crate::child::{Contents, RULES, SimulatorProcess, http_client};
use crate::database::Database;
use crate::report::{Report, Unit, median};

const RUNS: usize = 5;
/// `DigitalOcean`'s maximum page size.
const PAGE: usize = 200;
/// Number of pages of a list that the client requests concurrently.
const CONCURRENT_PAGES: usize = 4;
/// The write-ahead log of an unchanged sync, in bytes.
pub(crate) const LOG_LIMIT: f64 = 64_000.0;
/// Response delay for which the limit applies: `DigitalOcean`'s rate limit permits no faster client
/// (docs/decisions).
pub(crate) const DELAY_MS: u64 = 100;
/// Response delay of a nearby API.
pub(crate) const SHORT_DELAY_MS: u64 = 20;

/// Returns the kinds of an account, with the number of resources of each.
pub(crate) fn kinds_of(contents: Contents) -> Vec<(ResourceKind, usize)> {
    match contents {
        Contents::Demo => vec![(ResourceKind::DROPLET, 5), (ResourceKind::DNS_ZONE, 7)],
        Contents::Droplets(count) => vec![(ResourceKind::DROPLET, count)],
        // No sweep of these is measured.
        Contents::OneInvoice(_) | Contents::Large => Vec::new(),
        Contents::TenKinds(count) => [
            ResourceKind::DROPLET,
            ResourceKind::VOLUME,
            ResourceKind::DNS_ZONE,
            ResourceKind::RESERVED_IP,
            ResourceKind::SNAPSHOT,
            ResourceKind::LOAD_BALANCER,
            ResourceKind::VPC,
            ResourceKind::FIREWALL,
            ResourceKind::CERTIFICATE,
            ResourceKind::UPTIME_CHECK,
        ]
        .map(|kind| (kind, count / 10))
        .to_vec(),
    }
}

pub(crate) fn new_run() -> Run {
    Run {
        workflow_id: "speed".to_owned(),
        run_id: Uuid::new_v4().to_string(),
    }
}

/// Syncs all kinds concurrently, like the workflow. Returns the seconds and the result of each
/// kind.
pub(crate) async fn sync(
    simulator: &SimulatorProcess,
    store: &Store,
    contents: Contents,
) -> anyhow::Result<(f64, Vec<KindSynced>)> {
    let activities = Arc::new(InventoryActivities {
        digitalocean: simulator.client()?,
        store: store.clone(),
        rules: RULES,
        dns_records: false,
        spaces: None,
    });
    let run = new_run();
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for (kind, _) in kinds_of(contents) {
        let (activities, run) = (Arc::clone(&activities), run.clone());
        tasks.spawn(async move {
            let name = kind.to_string();
            (name, activities.sync(kind, run).await)
        });
    }
    let mut synced = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (name, outcome) = done?;
        synced.push(outcome.map_err(|_| anyhow::anyhow!("{name} was not synced"))?);
    }
    Ok((started.elapsed().as_secs_f64(), synced))
}

/// Returns the paths of these kinds, with the number of items of each.
fn lists(contents: Contents) -> Vec<(&'static str, usize)> {
    let kinds = kinds_of(contents).into_iter();
    kinds
        .filter_map(|(kind, count)| Some((digitalocean::kinds::listing(&kind)?, count)))
        .flat_map(|(listing, count)| {
            // The account has no GPU droplets, which are the only second list.
            let counts = std::iter::once(count).chain(std::iter::repeat(0));
            listing.paths.iter().copied().zip(counts)
        })
        .collect()
}

/// Fetches the pages of the same lists without parsing them, and returns the seconds.
pub(crate) async fn fetch_only(url: &str, contents: Contents) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for (path, count) in lists(contents) {
        tasks.spawn(fetch_list(url.to_owned(), path, count));
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(started.elapsed().as_secs_f64())
}

async fn fetch_list(url: String, path: &'static str, count: usize) -> anyhow::Result<()> {
    let http = http_client()?;
    let get = |page: usize| {
        let separator = if path.contains('?') { '&' } else { '?' };
        let request = http
            .get(format!("{url}{path}{separator}page={page}&per_page={PAGE}"))
            .bearer_auth(DEMO_TOKEN);
        async move {
            request
                .send()
                .await?
                .error_for_status()?
                .bytes()
                .await
                .map(|body| body.len())
        }
    };
    get(1).await?;
    let mut tasks = JoinSet::new();
    for page in 2..=count.div_ceil(PAGE) {
        if tasks.len() == CONCURRENT_PAGES
            && let Some(done) = tasks.join_next().await
        {
            done??;
        }
        tasks.spawn(get(page));
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

pub(crate) async fn measure(report: &mut Report, contents: Contents) -> anyhow::Result<()> {
    let rows: usize = kinds_of(contents).iter().map(|(_, count)| count).sum();
    let mut simulator = SimulatorProcess::start(contents).await?;
    let database = Database::new().await?;

    let (first, synced) = sync(&simulator, &database.store().await?, contents).await?;
    let discovered: usize = synced.iter().map(|kind| kind.discovered).sum();
    anyhow::ensure!(discovered == rows, "{synced:?}");
    let requests: u32 = synced.iter().map(|kind| kind.requests).sum();
    let fewest: usize = lists(contents)
        .iter()
        .map(|(_, count)| count.div_ceil(PAGE).max(1))
        .sum();
    report.limited(
        "requests: one page per 200 items of a list",
        f64::from(requests),
        fewest as f64,
        Unit::Count("requests"),
    )?;
    report.known("all new: listing and storing", first, Unit::Seconds)?;
    report.known(
        "all new: per resource",
        first / rows as f64 * 1e6,
        Unit::Count("us"),
    )?;
    // Autovacuum would have updated the statistics by the next sync.
    database.execute("vacuum analyze cloud_resources").await?;

    unchanged(report, &database, &simulator, contents, rows).await?;
    for delay in [SHORT_DELAY_MS, DELAY_MS] {
        unchanged_with_delay(report, &database, &simulator, contents, delay).await?;
    }
    if let Contents::Droplets(_) = contents {
        let mut changed = Vec::new();
        for _ in 0..RUNS {
            simulator.resize(rows / 100).await?;
            let (seconds, synced) = sync(&simulator, &database.store().await?, contents).await?;
            anyhow::ensure!(synced[0].updated == rows / 100, "{synced:?}");
            changed.push(seconds);
        }
        report.known(
            "1% changed: listing and storing",
            median(changed),
            Unit::Seconds,
        )?;
    }
    Ok(())
}

/// Like [`unchanged`], with a delay before each response.
async fn unchanged_with_delay(
    report: &mut Report,
    database: &Database,
    simulator: &SimulatorProcess,
    contents: Contents,
    delay: u64,
) -> anyhow::Result<()> {
    simulator
        .fail(&format!("slow:/v2/*:delay={delay}ms"))
        .await?;
    let (mut baseline, mut totals) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        baseline.push(fetch_only(&simulator.url, contents).await?);
        totals.push(sync(simulator, &database.store().await?, contents).await?.0);
    }
    simulator.clear_faults().await?;
    let (baseline, total) = (median(baseline), median(totals));
    let answers = format!("answers after {delay} ms");
    report.known(&format!("fetch only, {answers}"), baseline, Unit::Seconds)?;
    let name = format!("unchanged, relative to fetch only, {answers}");
    if delay == DELAY_MS {
        report.limited(&name, total / baseline, 2.0, Unit::Times)
    } else {
        report.known(&name, total / baseline, Unit::Times)
    }
}

async fn unchanged(
    report: &mut Report,
    database: &Database,
    simulator: &SimulatorProcess,
    contents: Contents,
    rows: usize,
) -> anyhow::Result<()> {
    const EVENTS: &str = "select count(*) from cloud_resource_events";
    let (mut baseline, mut totals, mut wal) = (Vec::new(), Vec::new(), Vec::new());
    let events = database.number(EVENTS).await?;
    let transaction = database.transaction().await?;
    for _ in 0..RUNS {
        baseline.push(fetch_only(&simulator.url, contents).await?);
        let wal_before = database.wal_position().await?;
        let (seconds, _) = sync(simulator, &database.store().await?, contents).await?;
        wal.push((database.wal_position().await? - wal_before) as f64);
        totals.push(seconds);
    }
    let (baseline, total) = (median(baseline), median(totals));
    report.known("fetch only, immediate answers", baseline, Unit::Seconds)?;
    report.known(
        "unchanged: listing and storing, immediate answers",
        total,
        Unit::Seconds,
    )?;
    report.known(
        "unchanged: per resource",
        total / rows as f64 * 1e6,
        Unit::Count("us"),
    )?;
    report.limited(
        "unchanged, relative to fetch only, immediate answers",
        total / baseline,
        2.0,
        Unit::Times,
    )?;
    report.limited(
        "unchanged: events written",
        (database.number(EVENTS).await? - events) as f64,
        0.0,
        Unit::Count("events"),
    )?;
    report.limited(
        "unchanged: rows of sightings and resources written",
        database.written_since(transaction).await? as f64,
        kinds_of(contents).len() as f64,
        Unit::Count("rows"),
    )?;
    report.limited(
        "unchanged: write-ahead log",
        median(wal),
        LOG_LIMIT,
        Unit::Bytes,
    )
}
