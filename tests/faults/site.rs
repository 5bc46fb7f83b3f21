//! The environment of one run: servers, a simulated account, and workers in separate processes.

use std::path::PathBuf;
use std::sync::Arc;
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
use crate::support::namespaces::new_namespace;
use crate::support::waiting::eventually;

/// Timeout until a workflow succeeds, including all failed runs before.
pub(crate) const STEP_LIMIT: Duration = Duration::from_mins(8);

/// Servers of this run only, so that it can stop them.
pub(crate) struct OwnServers {
    pub(crate) postgres: Mutex<OwnPostgres>,
    pub(crate) temporal: Mutex<OwnTemporal>,
}

pub(crate) struct Site {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) simulator: Arc<Simulator>,
    /// The proxy between the workers and PostgreSQL.
    pub(crate) proxy: Proxy,
    pub(crate) workers: Vec<Worker>,
    pub(crate) own: Option<OwnServers>,
    /// Connects to the database directly, without the proxy.
    pub(crate) database_url: String,
    settings: Settings,
    directory: tempfile::TempDir,
    started: AtomicU64,
    _database: Option<TestDatabase>,
}

/// The servers of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Servers {
    /// The servers of the test process, shared with other tests.
    Shared,
    /// Separate servers for this run.
    Own,
}

impl Site {
    /// Starts everything except the workers.
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
        let mut proxied_url: reqwest::Url = database_url.parse().unwrap();
        let proxy = Proxy::to(proxied_url.port().unwrap()).await;
        proxied_url.set_port(Some(proxy.port())).unwrap();
        let simulator = Arc::new(Simulator::start(account).await.unwrap());
        let (client, namespace) = new_namespace(&temporal_address).await;
        let environment = [
            ("DATABASE_URL", proxied_url.as_str()),
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
            proxy,
            workers: Vec::new(),
            own,
            database_url,
            settings: Settings {
                // An hour passes between phases in the database: see `let_an_hour_pass`. Workers
                // are renewed often, so that faults also occur during renewals.
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

    /// Returns a site with the same database and account, and its own Temporal namespace: its runs
    /// continue while the workers of this site are suspended.
    pub(crate) async fn with_own_namespace(&self) -> Self {
        let mut settings = self.settings.clone();
        let value = |name: &str| {
            let mut variables = self.settings.environment.iter();
            let (_, value) = variables.find(|(known, _)| known == name).unwrap();
            value
        };
        let (client, namespace) = new_namespace(value("TEMPORAL_ADDRESS")).await;
        let mut database_url: reqwest::Url = value("DATABASE_URL").parse().unwrap();
        let server: reqwest::Url = self.database_url.parse().unwrap();
        let proxy = Proxy::to(server.port().unwrap()).await;
        database_url.set_port(Some(proxy.port())).unwrap();
        let own = [
            ("TEMPORAL_NAMESPACE".to_owned(), namespace.clone()),
            ("DATABASE_URL".to_owned(), database_url.into()),
        ];
        // The last value of a variable counts.
        settings.environment.extend(own);
        Self {
            client,
            namespace,
            simulator: Arc::clone(&self.simulator),
            proxy,
            workers: Vec::new(),
            own: None,
            database_url: self.database_url.clone(),
            settings,
            directory: tempfile::tempdir().unwrap(),
            started: AtomicU64::new(0),
            _database: None,
        }
    }

    /// Sets the strike interval of workers that are added later, instead of ten minutes, and
    /// restores their default renewal interval.
    pub(crate) fn strike_every(&mut self, interval: &str) {
        self.settings.arguments = vec!["--strike-interval".to_owned(), interval.to_owned()];
    }

    /// Sets PostgreSQL settings for the sessions of workers that are added later.
    pub(crate) fn set_in_sessions(&mut self, settings: &[(&str, &str)]) {
        let environment = self.settings.environment.iter_mut();
        for (_, url) in environment.filter(|(name, _)| name == "DATABASE_URL") {
            *url = with_settings(url, settings);
        }
    }

    /// Adds a worker on the same queues, with a wrong clock if one is given.
    pub(crate) fn add_worker(&mut self, clock: Option<&Clock>) {
        let mut settings = self.settings.clone();
        if let Some(clock) = clock {
            settings.environment.extend(clock.environment());
        }
        let log = format!("worker-{}.log", self.workers.len());
        let log = self.directory.path().join(log);
        self.workers.push(Worker::start(settings, &log));
    }

    /// Returns the logs of all workers so far.
    pub(crate) fn logs(&self) -> String {
        let logs = self.workers.iter().map(Worker::log);
        let texts = logs.map(|log| std::fs::read_to_string(log).unwrap_or_default());
        texts.collect()
    }

    /// Copies the logs to a directory that outlives the test, and returns its path.
    pub(crate) fn keep_logs(&self) -> PathBuf {
        let kept = std::env::temp_dir().join(format!("arcadia-faults-{}", self.namespace));
        std::fs::create_dir_all(&kept).unwrap();
        for worker in &self.workers {
            let name = worker.log().file_name().unwrap_or_default();
            drop(std::fs::copy(worker.log(), kept.join(name)));
        }
        kept
    }

    /// Returns a new workflow id.
    pub(crate) fn workflow_id(&self, workflow: &str) -> String {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        format!("{workflow}-{number}")
    }

    /// Connects to the database without the proxy; waits until the server accepts connections.
    pub(crate) async fn database(&self) -> PgConnection {
        let options: PgConnectOptions = self.database_url.parse().unwrap();
        eventually("PostgreSQL accepts connections", async || {
            options.connect().await.ok()
        })
        .await
    }

    pub(crate) async fn store(&self) -> Store {
        eventually("PostgreSQL accepts connections", async || {
            Store::connect(&self.database_url, 1).await.ok()
        })
        .await
    }

    /// Kills the workers, and waits until none of their sessions is left in the database.
    async fn settle(&self) {
        for worker in &self.workers {
            worker.stop().await;
        }
        self.proxy.cut();
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

    /// Waits until no worker has a statement or a transaction in progress.
    pub(crate) async fn wait_for_statements(&self) {
        let mut database = self.database().await;
        eventually("no worker's transaction is in progress", async || {
            let running: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity
                 where datname = current_database() and application_name = 'arcadia' and state <> 'idle'",
            )
            .fetch_one(&mut database)
            .await
            .unwrap();
            (running == 0).then_some(())
        })
        .await;
    }

    /// Kills and removes the workers, and waits until their database sessions have ended.
    pub(crate) async fn stop_workers(&mut self) {
        self.settle().await;
        self.workers.clear();
    }

    /// Resets the counter of workflow ids, so that later ids are used again.
    pub(crate) fn count_workflows_from(&self, number: u64) {
        self.started.store(number, Ordering::Relaxed);
    }

    /// Returns the number of workflow ids used so far.
    pub(crate) fn workflows_counted(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Moves all strikes one hour into the past, since consecutive strikes must be ten minutes
    /// apart.
    pub(crate) async fn let_an_hour_pass(&self) {
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

    /// Stops the workers, then the servers.
    pub(crate) async fn end(mut self) {
        self.settle().await;
        self.workers.clear();
        if let Some(own) = self.own.take() {
            own.postgres.into_inner().end().await;
            own.temporal.into_inner().end().await;
        }
    }
}

/// Returns a database URL that applies these settings to its sessions.
pub(crate) fn with_settings(url: &str, settings: &[(&str, &str)]) -> String {
    let mut url: reqwest::Url = url.parse().unwrap();
    for (name, value) in settings {
        let name = format!("options[{name}]");
        url.query_pairs_mut().append_pair(&name, value);
    }
    url.into()
}

/// Terminates the workers' connections with `pg_terminate_backend`. Returns their number.
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
