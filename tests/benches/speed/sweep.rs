//! Listing and sweeping an account's droplets, against fetching the same pages alone.

use std::time::{Duration, Instant};

use domain::ResourceKind;
use simulator::DEMO_TOKEN;
use store::Run;
use store::Store;
use store::inventory::{ListingFacts, Sweep, SweepOutcome};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::child::{SimulatorProcess, http_client};
use crate::database::Database;
use crate::report::{Report, Unit, median};

const RUNS: usize = 5;
/// What `DigitalOcean` gives a page at most.
const PAGE: usize = 200;
/// Pages that the client has under way at a time.
const SIDE_BY_SIDE: usize = 4;
/// To an API that is near and quick; a page of 200 droplets takes `DigitalOcean` longer.
const DISTANCE_MS: u64 = 100;

/// What one list and sweep came to.
pub(crate) struct Swept {
    pub(crate) outcome: SweepOutcome,
    pub(crate) requests: u32,
    pub(crate) listing: f64,
    pub(crate) sweeping: f64,
}

impl Swept {
    fn seconds(&self) -> f64 {
        self.listing + self.sweeping
    }
}

/// What the activity does.
pub(crate) async fn list_and_sweep(
    client: &digitalocean::Client,
    store: &Store,
) -> anyhow::Result<Swept> {
    let kind = ResourceKind::DROPLET;
    let listing = digitalocean::kinds::listing(&kind)
        .ok_or_else(|| anyhow::anyhow!("there is no listing of droplets"))?;
    let started_at = store.now().await?;
    let started = Instant::now();
    let listed = client.list_resources(listing).await;
    let listing = started.elapsed().as_secs_f64();
    let facts = ListingFacts {
        started_at,
        completeness: listed.completeness,
        total: listed.total,
        requests: listed.requests,
        strike_interval: Duration::from_mins(10),
        run: Run {
            workflow_id: "speed".to_owned(),
            run_id: Uuid::new_v4().to_string(),
        },
    };
    let started = Instant::now();
    let outcome = store
        .sweep(Sweep {
            kind: &kind,
            resources: &listed.items,
            facts: &facts,
        })
        .await?;
    Ok(Swept {
        outcome,
        requests: facts.requests,
        listing,
        sweeping: started.elapsed().as_secs_f64(),
    })
}

/// Seconds that the pages of the same lists take, read to their last byte and looked at no further.
async fn fetch_alone(url: &str, rows: usize) -> anyhow::Result<f64> {
    let http = http_client()?;
    let get = |query: String| {
        let request = http
            .get(format!("{url}/v2/droplets?{query}"))
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
    let started = Instant::now();
    get(format!("page=1&per_page={PAGE}")).await?;
    let mut under_way = JoinSet::new();
    for page in 2..=rows.div_ceil(PAGE) {
        if under_way.len() == SIDE_BY_SIDE
            && let Some(done) = under_way.join_next().await
        {
            done??;
        }
        under_way.spawn(get(format!("page={page}&per_page={PAGE}")));
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    get(format!("type=gpus&page=1&per_page={PAGE}")).await?;
    Ok(started.elapsed().as_secs_f64())
}

pub(crate) async fn measure(report: &mut Report, rows: usize) -> anyhow::Result<()> {
    let mut simulator = SimulatorProcess::with_droplets(rows).await?;
    let client = simulator.client()?;
    let database = Database::new().await?;

    let mut alone = Vec::new();
    for _ in 0..RUNS {
        alone.push(fetch_alone(&simulator.url, rows).await?);
    }
    let alone = median(alone);
    report.known("the pages alone", alone, Unit::Seconds)?;

    let first = list_and_sweep(&client, &database.store().await?).await?;
    anyhow::ensure!(first.outcome.discovered == rows, "{:?}", first.outcome);
    let fewest = rows.div_ceil(PAGE) + 1;
    let requests = f64::from(first.requests);
    report.limited(
        "requests: a page each 200 droplets, one for those with GPUs",
        requests,
        fewest as f64,
        Unit::Count("requests"),
    )?;
    report.known("first sweep: listing", first.listing, Unit::Seconds)?;
    report.known("first sweep: storing", first.sweeping, Unit::Seconds)?;
    report.known(
        "first sweep over the pages alone",
        first.seconds() / alone,
        Unit::Times,
    )?;

    unchanged(report, &database, &client, rows, alone).await?;
    at_a_distance(report, &database, &simulator, rows).await?;

    let mut changed = Vec::new();
    for _ in 0..RUNS {
        simulator.resize(rows / 100).await?;
        let swept = list_and_sweep(&client, &database.store().await?).await?;
        anyhow::ensure!(swept.outcome.updated == rows / 100, "{:?}", swept.outcome);
        changed.push(swept.seconds());
    }
    let changed = median(changed);
    report.known("1% changed: listing and storing", changed, Unit::Seconds)?;
    report.known(
        "1% changed over the pages alone",
        changed / alone,
        Unit::Times,
    )?;
    Ok(())
}

/// The same where an answer takes the time that the way to it takes, and not only that of copying it.
async fn at_a_distance(
    report: &mut Report,
    database: &Database,
    simulator: &SimulatorProcess,
    rows: usize,
) -> anyhow::Result<()> {
    simulator
        .fail(&format!("slow:/v2/droplets:delay={DISTANCE_MS}ms"))
        .await?;
    let (mut alone, mut totals) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        alone.push(fetch_alone(&simulator.url, rows).await?);
        let swept = list_and_sweep(&simulator.client()?, &database.store().await?).await?;
        totals.push(swept.seconds());
    }
    simulator.fail_no_more().await?;
    let (alone, total) = (median(alone), median(totals));
    let what = format!("answers after {DISTANCE_MS} ms");
    report.known(&format!("the pages alone, {what}"), alone, Unit::Seconds)?;
    report.limited(
        &format!("unchanged over the pages alone, {what}"),
        total / alone,
        2.0,
        Unit::Times,
    )
}

async fn unchanged(
    report: &mut Report,
    database: &Database,
    client: &digitalocean::Client,
    rows: usize,
    alone: f64,
) -> anyhow::Result<()> {
    const EVENTS: &str = "select count(*) from cloud_resource_events";
    let (mut totals, mut listings, mut sweepings) = (Vec::new(), Vec::new(), Vec::new());
    let (mut wal, mut heap_only) = (Vec::new(), Vec::new());
    let (mut events, mut body_pieces) = (0, 0);
    let updates = i64::try_from(rows)?;
    let mut before = database.written(0).await?;
    for _ in 0..RUNS {
        let events_before = database.number(EVENTS).await?;
        let wal_before = database.wal_position().await?;
        // A store of its own for each sweep: a connection that closes has told its counters.
        let store = database.store().await?;
        let swept = list_and_sweep(client, &store).await?;
        let wal_after = database.wal_position().await?;
        drop(store);
        totals.push(swept.seconds());
        listings.push(swept.listing);
        sweepings.push(swept.sweeping);
        wal.push((wal_after - wal_before) as f64 / rows as f64);
        events += database.number(EVENTS).await? - events_before;
        let after = database.written(before.updates + updates).await?;
        heap_only.push((after.heap_only - before.heap_only) as f64 / rows as f64);
        body_pieces += after.body_pieces - before.body_pieces;
        before = after;
    }
    let total = median(totals);
    report.known("unchanged: listing", median(listings), Unit::Seconds)?;
    report.known("unchanged: storing", median(sweepings), Unit::Seconds)?;
    report.limited(
        "unchanged over the pages alone, answers at once",
        total / alone,
        2.0,
        Unit::Times,
    )?;
    report.limited(
        "unchanged: events written",
        events as f64,
        0.0,
        Unit::Count("events"),
    )?;
    report.limited(
        "unchanged: pieces of attrs written",
        body_pieces as f64,
        0.0,
        Unit::Count("pieces"),
    )?;
    report.limited(
        "unchanged: write-ahead log a row",
        median(wal),
        200.0,
        Unit::Bytes,
    )?;
    report.known(
        "unchanged: updates that touched no index, of 100",
        median(heap_only) * 100.0,
        Unit::Count("%"),
    )
}
