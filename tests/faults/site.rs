//! Everything of one run: servers, a simulated account, and workers in processes of their own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use devstack::testing::{OwnPostgres, OwnTemporal, TestDatabase};
use simulator::{Account, DEMO_SPACES_KEY, DEMO_SPACES_SECRET, DEMO_TOKEN, Simulator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};
use store::Store;
use temporalio_client::Client;
use tokio::sync::Mutex;

use super::clock::Clock;
use super::proxy::Proxy;
use super::worker::{Settings, Worker};
use crate::support::namespaces::namespace_of_its_own;
use crate::support::waiting::eventually;

/// How long a workflow may take to come to a good end, with all the runs that fail before.
pub(crate) const STEP_LIMIT: Duration = Duration::from_mins(8);

/// Servers that only this run uses, so that it may stop them.
pub(crate) struct OwnServers {
    pub(crate) postgres: Mutex<OwnPostgres>,
    pub(crate) temporal: Mutex<OwnTemporal>,
}

pub(crate) struct Site {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) simulator: Simulator,
    /// Between the workers and PostgreSQL.
    pub(crate) wire: Proxy,
    pub(crate) workers: Vec<Worker>,
    pub(crate) own: Option<OwnServers>,
    /// Past the wire.
    pub(crate) database_url: String,
    settings: Settings,
    directory: tempfile::TempDir,
    started: AtomicU64,
    _database: Option<TestDatabase>,
}

/// Whose servers a run uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Servers {
    /// The test process's, which others use as well.
    Shared,
    Own,
}

impl Site {
    /// Everything started but the workers.
    pub(crate) async fn start(account: Account, servers: Servers) -> Self {
        let (own, database, database_url, temporal_address) = match servers {
            Servers::Shared => {
                let database = devstack::testing::database().await;
                let url = database.url();
                let temporal = devstack::testing::temporal().await;
                (None, Some(database), url, temporal.address().to_owned())
            }
            Servers::Own => {
                let (postgres, temporal) = tokio::join!(OwnPostgres::start(), OwnTemporal::start());
                let (url, address) = (postgres.url(), temporal.address());
                let own = OwnServers {
                    postgres: Mutex::new(postgres),
                    temporal: Mutex::new(temporal),
                };
                (Some(own), None, url, address)
            }
        };
        eventually("the database has its schema", async || {
            let store = Store::connect(&database_url, 1).await.ok()?;
            store.migrate().await.ok()
        })
        .await;
        let mut wired: reqwest::Url = database_url.parse().unwrap();
        let wire = Proxy::to(wired.port().unwrap()).await;
        wired.set_port(Some(wire.port())).unwrap();
        let simulator = Simulator::start(account).await.unwrap();
        let (client, namespace) = namespace_of_its_own(&temporal_address).await;
        let environment = [
            ("DATABASE_URL", wired.as_str()),
            ("TEMPORAL_ADDRESS", &temporal_address),
            ("TEMPORAL_NAMESPACE", &namespace),
            ("DIGITALOCEAN_API_URL", &simulator.url()),
            ("DO_API_TOKEN", DEMO_TOKEN),
            ("SPACES_ENDPOINT_URL", &simulator.spaces_url()),
            ("SPACES_ACCESS_KEY_ID", DEMO_SPACES_KEY),
            ("SPACES_SECRET_ACCESS_KEY", DEMO_SPACES_SECRET),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            client,
            namespace,
            wire,
            workers: Vec::new(),
            own,
            database_url,
            settings: Settings {
                // An hour goes by between chapters, by the database's word: see `let_an_hour_go_by`. Workers are built anew as often
                // as a site can bear, since that too may meet any fault.
                arguments: ["--strike-interval", "10m", "--renew-after", "10"]
                    .map(str::to_owned)
                    .into(),
                environment: environment.into(),
            },
            simulator,
            directory: tempfile::tempdir().unwrap(),
            started: AtomicU64::new(0),
            _database: database,
        }
    }

    /// Workers that are added from now on strike so often, rather than every ten minutes, and are built anew as often as usual.
    pub(crate) fn strike_every(&mut self, interval: &str) {
        self.settings.arguments = vec!["--strike-interval".to_owned(), interval.to_owned()];
    }

    /// The database sessions of workers that are added from now on have these settings.
    pub(crate) fn set_in_sessions(&mut self, settings: &[(&str, &str)]) {
        let environment = self.settings.environment.iter_mut();
        for (_, url) in environment.filter(|(name, _)| name == "DATABASE_URL") {
            *url = with_settings(url, settings);
        }
    }

    /// Another worker on the same queues; by another clock, if one is given.
    pub(crate) fn add_worker(&mut self, clock: Option<&Clock>) {
        let mut settings = self.settings.clone();
        if let Some(clock) = clock {
            settings.environment.extend(clock.environment());
        }
        let log = format!("worker-{}.log", self.workers.len());
        let log = self.directory.path().join(log);
        self.workers.push(Worker::start(settings, &log));
    }

    /// All that the workers wrote so far.
    pub(crate) fn logs(&self) -> String {
        let logs = self.workers.iter().map(Worker::log);
        let texts = logs.map(|log| std::fs::read_to_string(log).unwrap_or_default());
        texts.collect()
    }

    /// Sets the logs aside for whoever looks into a failure, and says where.
    pub(crate) fn keep_logs(&self) -> PathBuf {
        let kept = std::env::temp_dir().join(format!("arcadia-faults-{}", self.namespace));
        std::fs::create_dir_all(&kept).unwrap();
        for worker in &self.workers {
            let name = worker.log().file_name().unwrap_or_default();
            drop(std::fs::copy(worker.log(), kept.join(name)));
        }
        kept
    }

    /// A new workflow id.
    pub(crate) fn workflow_id(&self, workflow: &str) -> String {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        format!("{workflow}-{number}")
    }

    /// A connection past the wire; waits for a server that is away.
    pub(crate) async fn database(&self) -> PgConnection {
        let options: PgConnectOptions = self.database_url.parse().unwrap();
        eventually("PostgreSQL answers", async || options.connect().await.ok()).await
    }

    pub(crate) async fn store(&self) -> Store {
        eventually("PostgreSQL answers", async || {
            Store::connect(&self.database_url, 1).await.ok()
        })
        .await
    }

    /// Kills the workers, and waits until nothing that they began is still going on in the database.
    async fn settle(&self) {
        for worker in &self.workers {
            worker.rest().await;
        }
        self.wire.cut();
        let mut database = self.database().await;
        eventually("no worker's connection is left", async || {
            let left: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'arcadia'",
            )
            .fetch_one(&mut database)
            .await
            .unwrap();
            (left == 0).then_some(())
        })
        .await;
    }

    /// Ends every worker, and waits until nothing that it began is still going on in the database.
    pub(crate) async fn stop_workers(&mut self) {
        self.settle().await;
        self.workers.clear();
    }

    /// The next workflow ids are those that were given out since the number was this.
    pub(crate) fn count_workflows_from(&self, number: u64) {
        self.started.store(number, Ordering::Relaxed);
    }

    /// How many workflow ids were given out.
    pub(crate) fn workflows_counted(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Strikes must be ten minutes apart. Tests do not wait for that: what was struck was struck an hour ago.
    pub(crate) async fn let_an_hour_go_by(&self) {
        let mut database = self.database().await;
        for table in ["cloud_resources", "cloud_projects", "cloud_project_members"] {
            let statement = format!(
                "update {table} set last_struck_at = last_struck_at - interval '1 hour' where last_struck_at is not null"
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
                .execute(&mut database)
                .await
                .unwrap();
        }
    }

    /// Stops what it started, in an order in which nothing complains.
    pub(crate) async fn end(mut self) {
        self.settle().await;
        self.workers.clear();
        if let Some(own) = self.own.take() {
            own.postgres.into_inner().end().await;
            own.temporal.into_inner().end().await;
        }
    }
}

/// The URL of a database in whose sessions these settings are made.
pub(crate) fn with_settings(url: &str, settings: &[(&str, &str)]) -> String {
    let mut url: reqwest::Url = url.parse().unwrap();
    for (name, value) in settings {
        let name = format!("options[{name}]");
        url.query_pairs_mut().append_pair(&name, value);
    }
    url.into()
}

/// Connections of the workers, ended by the server: `pg_terminate_backend`. Says how many.
pub(crate) async fn terminate_connections(site: &Site) -> i64 {
    let mut database = site.database().await;
    sqlx::query_scalar(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity
         where datname = current_database() and application_name = 'arcadia'",
    )
    .fetch_one(&mut database)
    .await
    .unwrap_or_default()
}
