//! Tests of interrupted listings: they resume where they stopped, and no existing resource gets a
//! strike, regardless of concurrent changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use activities::inventory::InventoryActivities;
use digitalocean::rate_limit::{BudgetExhausted, RequestBudget, TokenKey};
use digitalocean::{Client, RateLimit};
use domain::ResourceKind;
use futures::future::BoxFuture;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use simulator::{Account, DEMO_TOKEN, Fault, FaultKind};
use store::Run;
use store::inventory::Guard;

use super::support::{World, inventory, rules, run};

/// 13 pages; 14 requests including the page of the GPU droplets.
const DROPLETS: usize = 2_600;

async fn world() -> World {
    World::of(Account::with_droplets(DROPLETS), "internal").await
}

impl World {
    /// Builds the activities of a worker process with its own database connections.
    async fn worker(&self, budget: Option<Arc<dyn RequestBudget>>) -> InventoryActivities {
        let mut digitalocean = Client::new(&self.simulator.url(), DEMO_TOKEN.into()).unwrap();
        if let Some(budget) = budget {
            digitalocean = digitalocean.limited_by(budget);
        }
        let guard = Guard {
            percent: 100,
            rows: 10_000,
        };
        inventory(digitalocean, self.connect().await, rules(guard))
    }

    fn requests(&self) -> usize {
        self.simulator.requests().len()
    }

    /// Returns the ids of the account's droplets, in DigitalOcean's order.
    fn droplets(&self) -> Vec<u64> {
        self.simulator.read(|account| {
            let droplets = account.droplets().iter();
            droplets.map(|droplet| droplet.id).collect()
        })
    }

    /// Returns the ids of the mirror's droplets that a query selects.
    async fn mirrored(&self, sql: &'static str) -> BTreeSet<u64> {
        let ids = self.rows(sql).await;
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }
}

const LIVE: &str = "select provider_id from cloud_resources where deleted_at is null";
const STRIKES_OR_DELETED: &str = "select provider_id from cloud_resources where deleted_at is not null or stale_strike_count > 0";

/// A budget with this many requests.
struct FixedBudget(AtomicU32);

impl RequestBudget for FixedBudget {
    fn take(&self, _: TokenKey, _: Duration) -> BoxFuture<'_, Result<(), BudgetExhausted>> {
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        let taken = taken.map(drop).map_err(|_| BudgetExhausted {
            retry_after: Duration::from_secs(9),
            reason: "a test".to_owned(),
        });
        Box::pin(async move { taken })
    }

    fn record_reported(&self, _: TokenKey, _: RateLimit) {}

    fn close(&self, _: TokenKey, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

#[tokio::test]
async fn a_listing_that_ran_out_of_requests_resumes_where_it_stopped() {
    let world = world().await;
    let run = run();
    let mut made = Vec::new();
    for requests in [11, 1, 20] {
        let budget = Arc::new(FixedBudget(AtomicU32::new(requests)));
        let before = world.requests();
        let worker = world.worker(Some(budget)).await;
        let synced = worker.sync(ResourceKind::DROPLET, run.clone()).await;
        made.push(world.requests() - before);
        assert_eq!(synced.is_ok(), requests == 20);
    }
    // Eleven pages; the last of these; that page and the two remaining ones, with the page of the
    // GPU droplets.
    assert_eq!(made, [11, 1, 4]);
    assert_eq!(world.mirrored(LIVE).await.len(), DROPLETS);
    let left = "select (select count(*) from cloud_resumable_listings) + (select count(*) from cloud_staged_resources)";
    assert_eq!(world.count(left).await, 0);
    let complete = "select count(*) from cloud_listings where complete and items = 2600";
    assert_eq!(world.count(complete).await, 1);
}

/// The way in which an attempt is interrupted.
#[derive(Debug, Clone)]
enum End {
    /// A request for a page fails.
    Fails { page: usize },
    /// The process dies after this many microseconds.
    Dies { micros: u64 },
}

/// A change to the account between attempts; numbers are indexes in DigitalOcean's order.
#[derive(Debug, Clone)]
enum Change {
    Remove(usize),
    Add,
    Rename(usize),
}

fn attempts() -> impl Strategy<Value = Vec<(End, Vec<Change>)>> {
    let place = 0..DROPLETS;
    let end = prop_oneof![
        (11_usize..14).prop_map(|page| End::Fails { page }),
        (0_u64..600_000).prop_map(|micros| End::Dies { micros }),
    ];
    let change = prop_oneof![
        place.clone().prop_map(Change::Remove),
        Just(Change::Add),
        place.prop_map(Change::Rename),
    ];
    prop::collection::vec((end, prop::collection::vec(change, 0..4)), 1..4)
}

impl World {
    async fn attempt(&self, run: &Run, end: &End) {
        let (run, kind) = (run.clone(), ResourceKind::DROPLET);
        let worker = self.worker(None).await;
        match *end {
            End::Fails { page } => {
                let target = format!("/v2/droplets?page={page}");
                let fault = FaultKind::ServerError { status: 502 };
                self.simulator.fail(Fault::new(fault, &target).times(1));
                drop(worker.sync(kind, run).await);
                self.simulator.clear_faults();
            }
            End::Dies { micros } => {
                let process = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .unwrap();
                let dead = process.spawn(async move { drop(worker.sync(kind, run).await) });
                drop(tokio::time::timeout(Duration::from_micros(micros), dead).await);
                process.shutdown_background();
            }
        }
    }

    fn change(&self, changes: &[Change]) {
        for change in changes {
            let droplets = self.droplets();
            let id = |place: usize| droplets[place % droplets.len()];
            self.simulator.change(|account| match *change {
                Change::Remove(place) => account.remove_droplet(id(place)),
                Change::Add => drop(account.add_droplet("added", "s-1vcpu-1gb", "syd1")),
                Change::Rename(place) => account.rename_droplet(id(place), "renamed"),
            });
        }
    }

    /// Runs interrupted attempts while the account changes, and one complete attempt.
    async fn sync_in_attempts(&self, attempts: &[(End, Vec<Change>)]) -> Result<(), String> {
        let run = run();
        let mut always_present: BTreeSet<u64> = self.droplets().into_iter().collect();
        for (end, changes) in attempts {
            self.attempt(&run, end).await;
            self.change(changes);
            let present: BTreeSet<u64> = self.droplets().into_iter().collect();
            always_present.retain(|id| present.contains(id));
        }
        let worker = self.worker(None).await;
        let synced = worker.sync(ResourceKind::DROPLET, run).await;
        let synced = synced.map_err(|_| "the last attempt failed")?;
        if let Some(reason) = synced.incomplete {
            return Err(reason);
        }
        let with_strikes = self.mirrored(STRIKES_OR_DELETED).await;
        if let Some(id) = with_strikes.intersection(&always_present).next() {
            return Err(format!("droplet {id} always existed, and got a strike"));
        }
        let live = self.mirrored(LIVE).await;
        if let Some(id) = always_present.difference(&live).next() {
            return Err(format!("droplet {id} always existed, and is not mirrored"));
        }
        Ok(())
    }
}

#[test]
fn existing_droplets_get_no_strike_between_interrupted_attempts() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(world());
    let config = Config {
        cases: 10,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(prop::test_runner::RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&attempts(), |attempts| {
        let synced = runtime.block_on(world.sync_in_attempts(&attempts));
        synced.map_err(TestCaseError::fail)
    });
    outcome.unwrap();

    // Without further changes, the mirror equals the account.
    for _ in 0..3 {
        let synced = runtime.block_on(async {
            let worker = world.worker(None).await;
            worker.sync(ResourceKind::DROPLET, run()).await
        });
        assert!(synced.is_ok());
    }
    let live = runtime.block_on(world.mirrored(LIVE));
    assert!(live.iter().eq(BTreeSet::from_iter(world.droplets()).iter()));
}
