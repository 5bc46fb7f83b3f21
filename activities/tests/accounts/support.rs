//! A simulated account with the activities that mirror it.

use std::time::Duration;

use activities::inventory::InventoryActivities;
use activities::projects::ProjectActivities;
use devstack::testing::TestDatabase;
use digitalocean::Client;
use domain::ResourceKind;
use simulator::{Account, DEMO_TOKEN, Simulator};
use sqlx::PgPool;
use store::inventory::{Guard, Rules};
use store::{Run, Store};
use uuid::Uuid;

/// A simulated account, an empty mirror of it, and the activities of a worker.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) store: Store,
    pub(crate) inventory: InventoryActivities,
    pub(crate) projects: ProjectActivities,
    /// Reads the tables directly.
    pub(crate) pool: PgPool,
    database: TestDatabase,
}

impl World {
    /// Starts `account` with the internal project `internal`.
    pub(crate) async fn of(account: Account, internal: &str) -> Self {
        let database = devstack::testing::migrated_database(async |url| {
            let store = Store::connect(&url, 1).await.unwrap();
            store.migrate().await.unwrap();
        })
        .await;
        let store = Store::connect(&database.url(), 4).await.unwrap();
        let simulator = Simulator::start(account).await.unwrap();
        let digitalocean = Client::new(&simulator.url(), DEMO_TOKEN.into()).unwrap();
        let rules = rules(Guard::default());
        Self {
            inventory: inventory(digitalocean.clone(), store.clone(), rules),
            projects: ProjectActivities {
                digitalocean,
                store: store.clone(),
                internal_project: internal.to_owned(),
                rules,
            },
            pool: PgPool::connect(&database.url()).await.unwrap(),
            simulator,
            store,
            database,
        }
    }

    /// Connects to the database as another process does.
    pub(crate) async fn connect(&self) -> Store {
        Store::connect(&self.database.url(), 3).await.unwrap()
    }

    /// Makes the activities use another token.
    pub(crate) fn use_token(&mut self, token: &str) {
        let digitalocean = Client::new(&self.simulator.url(), token.into()).unwrap();
        self.inventory.digitalocean = digitalocean.clone();
        self.projects.digitalocean = digitalocean;
    }

    /// Syncs a kind, completely.
    pub(crate) async fn sync(&self, kind: &ResourceKind) {
        let synced = self.inventory.sync(kind.clone(), run()).await;
        let synced = synced.unwrap_or_else(|_| panic!("the sync of {kind} failed"));
        assert_eq!(synced.incomplete, None);
    }

    /// Syncs the projects and their members; none if one of the two fails.
    pub(crate) async fn sync_projects(&self) -> Option<()> {
        let run = run();
        self.projects.sync_projects(run.clone()).await.ok()?;
        self.projects.walk(run).await.ok().map(drop)
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    pub(crate) async fn rows(&self, sql: &'static str) -> Vec<String> {
        sqlx::query_scalar(sql).fetch_all(&self.pool).await.unwrap()
    }
}

/// Builds the inventory activities without DNS records and Spaces.
pub(crate) fn inventory(digitalocean: Client, store: Store, rules: Rules) -> InventoryActivities {
    InventoryActivities {
        digitalocean,
        store,
        rules,
        dns_records: false,
        spaces: None,
    }
}

/// Returns rules by which each complete listing strikes.
pub(crate) fn rules(guard: Guard) -> Rules {
    Rules {
        strike_interval: Duration::ZERO,
        guard,
    }
}

/// Returns a new run each time: the same run would count as a retry.
pub(crate) fn run() -> Run {
    Run {
        workflow_id: "sync".to_owned(),
        run_id: Uuid::now_v7().to_string(),
    }
}
