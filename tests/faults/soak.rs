//! Soak test: runs all schedules at high frequency against an account that changes constantly.
//!
//! There are no faults, so no run may fail and the log must not contain warnings. The test measures
//! growth: memory, connections and histories.

mod figures;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use simulator::Account;
use sqlx::AssertSqlSafe;
use store::Store;
use temporalio_client::schedules::{ScheduleOverlapPolicy, TriggerScheduleOptions};
use temporalio_client::{
    WorkflowCountOptions, WorkflowExecutionStatus as Status, WorkflowListOptions,
};
use worker::schedules::{self, Installation};

use self::figures::{Figures, Sample};
use super::chance::number;
use super::rng::Rng;
use super::site::{Servers, Site};
use crate::support::waiting::within;

const TICK: Duration = Duration::from_secs(1);
/// Long enough for several runs of all schedules. Memory growth becomes visible after an hour.
const SMOKE: Duration = Duration::from_secs(15);

/// The interval of each schedule in ticks. A tick is skipped while the previous run is in progress.
const EVERY: [(&str, u64); 6] = [
    ("sync-droplets", 1),
    ("poll-balance", 2),
    ("sync-projects", 3),
    ("sync-inventory", 3),
    ("billing-history", 5),
    ("maintain", 5),
];

/// The most runs in progress before a tick. More would only wait for a worker that is busy, and
/// would not end with the soak.
const MOST_RUNS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn memory_connections_and_histories_stay_bounded_under_load() {
    let minutes = number("ARCADIA_SOAK_MINUTES");
    let length = minutes.map_or(SMOKE, |minutes| Duration::from_secs(minutes * 60));
    let resources = number("ARCADIA_SOAK_RESOURCES").and_then(|count| usize::try_from(count).ok());
    let mut account = resources.map_or_else(Account::everything, Account::with_resources);
    account.add_random_invoices(11, 6);
    let droplets = account.droplets().len();
    let mut site = Site::start(account, Servers::Own).await;
    // Short, so that removed resources are deleted within the soak.
    site.strike_every("2s");
    site.add_worker(None);
    let store = Store::connect(&site.database_url, 1).await.unwrap();
    let installation = Installation::of(&store).await.unwrap();
    // Otherwise its connection would be counted as the worker's.
    drop(store);
    schedules::apply(&site.client, &installation).await.unwrap();

    let seed = number("ARCADIA_FAULT_SEED").unwrap_or(1);
    let mut rng = Rng::of(seed);
    let mut figures = Figures::default();
    let started = Instant::now();
    let mut ticks = tokio::time::interval(TICK);
    for tick in 0.. {
        ticks.tick().await;
        if started.elapsed() >= length {
            break;
        }
        site.simulator
            .change(|account| change(account, droplets, &mut rng));
        let running = running(&site).await;
        for (schedule, every) in EVERY {
            if tick % every == 0 && running < MOST_RUNS {
                trigger(&site, schedule).await;
            }
        }
        figures.samples.push(sample(&site).await);
        if figures.tables_before.is_empty() && started.elapsed() >= length / 3 {
            figures.tables_before = table_sizes(&site).await;
        }
    }
    figures.tables_after = table_sizes(&site).await;
    let elapsed = started.elapsed();
    within(ENDS_WITHIN, "all runs have ended", async {
        // The number is one request, the list of an hour thousands.
        while running(&site).await > 0 || figures.read_runs(&site).await.is_none() {
            tokio::time::sleep(TICK).await;
        }
    })
    .await;
    figures.database_bytes = database_bytes(&site).await;
    figures.rows_in_progress = rows_in_progress(&site).await;
    figures.requests = site.simulator.requests().len();
    let logs = site.logs();
    (figures.log, figures.slow) = (figures::complaints(&logs), figures::slow(&logs));
    eprintln!("{}", figures.table(elapsed));
    let problems = figures.problems();
    if !problems.is_empty() {
        eprintln!("the worker's log is in {}", site.keep_logs().display());
    }
    assert!(problems.is_empty(), "{problems:#?}");
    site.end().await;
}

/// Time limit for the last runs to end, and for the list of all runs of an hour.
const ENDS_WITHIN: Duration = Duration::from_mins(10);

/// Returns the number of runs in progress; the most if the server is too busy to answer.
async fn running(site: &Site) -> usize {
    let query = "ExecutionStatus = 'Running' and WorkflowType != 'temporal-sys-scheduler-workflow'";
    let counted = site
        .client
        .count_workflows(query, WorkflowCountOptions::default());
    counted.await.map_or(MOST_RUNS, |counted| counted.count())
}

/// Triggers a schedule. A busy server can exceed the timeout of a request; the next tick triggers
/// again.
async fn trigger(site: &Site, schedule: &str) {
    let handle = site.client.get_schedule_handle(schedule);
    // A run of the fast lane that starts with a minute continues, which the soak does not wait for.
    let overlap = match schedule {
        "sync-droplets" => ScheduleOverlapPolicy::AllowAll,
        _ => ScheduleOverlapPolicy::Skip,
    };
    let options = TriggerScheduleOptions::default();
    if let Err(error) = handle.trigger(overlap, options).await {
        eprintln!("{schedule} was not triggered: {error}");
    }
}

async fn sample(site: &Site) -> Sample {
    let connections = sqlx::query_scalar(
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'arcadia'",
    )
    .fetch_one(&mut site.database().await)
    .await
    .unwrap();
    Sample {
        memory: site.workers[0].resident_memory(),
        connections,
    }
}

/// Returns the size of each table with its indexes, in bytes.
async fn table_sizes(site: &Site) -> BTreeMap<String, i64> {
    let sizes: Vec<(String, i64)> = sqlx::query_as(
        "select relname::text, pg_total_relation_size(oid) from pg_class
         where relkind = 'r' and relnamespace = 'public'::regnamespace",
    )
    .fetch_all(&mut site.database().await)
    .await
    .unwrap();
    sizes.into_iter().collect()
}

async fn database_bytes(site: &Site) -> i64 {
    sqlx::query_scalar("select pg_database_size(current_database())")
        .fetch_one(&mut site.database().await)
        .await
        .unwrap()
}

/// Returns the number of rows of listings in progress.
async fn rows_in_progress(site: &Site) -> i64 {
    let mut database = site.database().await;
    let mut rows = 0;
    for table in figures::IN_PROGRESS {
        let query = AssertSqlSafe(format!("select count(*) from {table}"));
        let of_table: i64 = sqlx::query_scalar(query)
            .fetch_one(&mut database)
            .await
            .unwrap();
        rows += of_table;
    }
    rows
}

/// Makes one random change to the account, which keeps about the given number of droplets.
fn change(account: &mut Account, size: usize, rng: &mut Rng) {
    const MORE: usize = 40;
    let droplets: Vec<u64> = account
        .droplets()
        .iter()
        .map(|droplet| droplet.id)
        .collect();
    let droplet = rng.pick(&droplets);
    let nonce = rng.between(0, 999_999);
    match rng.between(0, 11) {
        0 | 1 if droplets.len() < size + MORE => {
            account.add_droplet(&format!("web-{nonce}"), "s-1vcpu-1gb", "syd1");
        }
        2 | 3 if droplets.len() + 10 > size.max(13) => account.remove_droplet(droplet),
        4 => account.rename_droplet(droplet, &format!("renamed-{nonce}")),
        5 => account.tag_droplet(droplet, &format!("tag-{}", nonce % 5)),
        6 => account.resize_droplet(
            droplet,
            rng.pick(&["s-1vcpu-1gb", "s-2vcpu-4gb", "g-2vcpu-8gb"]),
        ),
        7 => {
            let projects: Vec<_> = account
                .projects()
                .iter()
                .map(|project| project.id)
                .collect();
            account.move_to_project(rng.pick(&projects), &format!("do:droplet:{droplet}"));
        }
        8 => {
            let apps = account.resource_ids("app");
            if apps.len() > 5 {
                account.remove_resource("app", &apps[0]);
            } else {
                account.add_resource("app", &format!("app-{nonce}"), "syd1");
            }
        }
        9 => {
            let mut balance = account.balance();
            balance.month_to_date_usage += rust_decimal::Decimal::new(7, 2);
            balance.generated_at += chrono::TimeDelta::minutes(1);
            account.set_balance(balance);
        }
        10 => {
            let invoice = account.invoices()[0].uuid;
            account.change_invoice(invoice, |invoice| {
                if let Some(line) = invoice.lines.first_mut() {
                    line.amount += rust_decimal::Decimal::new(1, 2);
                }
            });
        }
        _ => {}
    }
}

impl Figures {
    /// Reads the statistics of all runs; none while a run is in progress.
    async fn read_runs(&mut self, site: &Site) -> Option<()> {
        self.runs.clear();
        self.failures.clear();
        let mut runs = site
            .client
            .list_workflows("", WorkflowListOptions::default());
        while let Some(run) = runs.try_next().await.ok()? {
            if run.status() == Status::Running {
                return None;
            }
            let of_type = self.runs.entry(run.workflow_type().to_owned()).or_default();
            of_type.count += 1;
            of_type.longest = of_type.longest.max(run.history_length());
            let raw = run.raw();
            of_type.largest = of_type.largest.max(raw.history_size_bytes);
            if !matches!(run.status(), Status::Completed | Status::ContinuedAsNew) {
                self.failures.push(format!(
                    "{} {}: {:?}",
                    run.workflow_type(),
                    run.id(),
                    run.status()
                ));
            }
        }
        Some(())
    }
}
