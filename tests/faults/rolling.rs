//! Rolling restarts during the two longest operations, a backfill and a large sync: PostgreSQL,
//! Temporal and the worker are shut down gracefully and restarted, one after the other.

use std::time::{Duration, Instant};

use domain::ResourceKind;
use simulator::{Account, Fault, FaultKind};
use tokio::sync::watch;
use workflows::inventory::InventoryScope;
use workflows::task_queue;

use super::chance::number;
use super::injector::{Family, Injected, Injector};
use super::rng::Rng;
use super::site::{Servers, Site};
use super::syncs::Setback;
use crate::support::waiting::eventually;

/// Items per page.
const PAGE: usize = 200;
const PARTS: [Injected; 3] = [
    Injected::PostgresRestarted,
    Injected::TemporalRestarted,
    Injected::WorkerTerminated,
];

/// Restarts all parts, each after a number of further requests to paths with the given end.
///
/// Panics if the work completes before the last restart, since the test would prove nothing.
async fn roll(site: &Site, path: &str, requests: usize, over: watch::Receiver<bool>) {
    let mut injector = Injector::new(Family::All, Rng::of(1));
    let sent = || {
        let all = site.simulator.requests();
        all.iter()
            .filter(|request| request.path.ends_with(path))
            .count()
    };
    let mut before = 0;
    for part in PARTS {
        eventually("the work continues", async || {
            (sent() >= before + requests).then_some(())
        })
        .await;
        before = sent();
        assert!(!*over.borrow(), "the work ended before the {part}");
        let started = Instant::now();
        let details = injector.inject(site, part).await;
        let took = started.elapsed().as_millis();
        eprintln!("after {before} requests for {path}: {part}{details}; {took} ms in total");
    }
}

/// Runs the work with a rolling restart during it.
async fn rolling(
    site: &Site,
    path: &str,
    requests: usize,
    work: impl Future<Output = Vec<Setback>>,
) {
    let (end, over) = watch::channel(false);
    let work = async {
        let setbacks = work.await;
        end.send_replace(true);
        setbacks
    };
    let (setbacks, ()) = tokio::join!(work, roll(site, path, requests, over));
    eprintln!(
        "{} runs failed because of a restart and were repeated",
        setbacks.len()
    );
}

async fn count(site: &Site, query: &'static str) -> i64 {
    let mut database = site.database().await;
    sqlx::query_scalar(query)
        .fetch_one(&mut database)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn a_backfill_survives_a_rolling_restart_of_every_part() {
    let account = Account::demo();
    let mut bills: Vec<(String, i64, String)> = account
        .invoices()
        .iter()
        .map(|invoice| {
            let lines = i64::try_from(invoice.lines.len()).unwrap();
            (
                invoice.uuid.to_string(),
                lines,
                format!("{:.2}", invoice.total()),
            )
        })
        .collect();
    bills.sort();
    assert_eq!(bills.len(), 137);
    let mut site = Site::start(account, Servers::Own).await;
    site.add_worker(None);
    site.sync_projects().await;
    slow_down(
        &site,
        "/v2/customers/my/invoices/*",
        Duration::from_millis(250),
    );

    Box::pin(rolling(&site, "/csv", 25, site.billing_history())).await;
    let found: Vec<(String, i64, String)> = sqlx::query_as(
        "select i.invoice_uuid::text, count(l.id), round(sum(l.amount), 2)::text
         from cloud_invoices i join cloud_cost_lines l on l.invoice_id = i.id group by 1 order by 1",
    )
    .fetch_all(&mut site.database().await)
    .await
    .unwrap();
    assert_eq!(found, bills);
    let versions = "select count(*) from cloud_invoices where version <> 1 or not is_final";
    assert_eq!(count(&site, versions).await, 0);
    assert_eq!(
        count(&site, "select count(*) from cloud_cost_discrepancies").await,
        0
    );
    site.end().await;
}

/// Uses 20,000 droplets if runs are requested by variable, otherwise fewer to save time.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn a_large_sync_survives_a_rolling_restart_of_every_part() {
    let droplets = if number("ARCADIA_FAULT_RUNS").is_some() {
        20_000
    } else {
        2_000
    };
    let all = i64::try_from(droplets).unwrap();
    let mut site = Site::start(Account::with_droplets(droplets), Servers::Own).await;
    site.add_worker(None);
    site.sync_projects().await;
    slow_down(&site, "/v2/droplets", Duration::from_secs(3));

    let sync = async || {
        let scope = InventoryScope {
            kinds: vec![ResourceKind::DROPLET],
            repeats: 0,
        };
        site.sync_inventory(scope, task_queue::CLOUD_SYNC_FULL)
            .await
    };
    let requests = droplets / PAGE / 4;
    Box::pin(rolling(&site, "/v2/droplets", requests, sync())).await;
    let assert_complete = async |moment: &str| {
        for (query, expected) in [
            (
                "select count(*) from cloud_resources where deleted_at is null",
                all,
            ),
            ("select count(*) from cloud_resources", all),
            (
                "select count(*) from cloud_resource_events where event = 'discovered'",
                all,
            ),
            (
                "select count(*) from cloud_resource_events where event <> 'discovered'",
                0,
            ),
            (
                "select count(*) from cloud_resources where stale_strike_count > 0",
                0,
            ),
            (
                "select count(*) from cloud_resources where cloud_project_id is null",
                0,
            ),
        ] {
            assert_eq!(count(&site, query).await, expected, "{moment}: {query}");
        }
    };
    assert_complete("after the restarts").await;
    site.simulator.clear_faults();
    assert!(sync().await.is_empty());
    assert_complete("after another sync").await;
    site.end().await;
}

/// Slows requests down, so that the work lasts long enough for the restarts.
fn slow_down(site: &Site, path: &str, delay: Duration) {
    site.simulator
        .fail(Fault::new(FaultKind::Slow { delay }, path));
}
