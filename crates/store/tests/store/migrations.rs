//! The migration runner during use of the database, and the rules for migrations from 0.1.0 on.

mod bounds;
mod statements;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use devstack::testing::TestDatabase;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, SqlStr};
use store::{MigrateOptions, Store, StoreError};

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// The timeout of each wait, for a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

/// Returns a migrated database.
async fn migrated() -> (TestDatabase, PgPool) {
    let database = devstack::testing::database().await;
    let pool = PgPool::connect(&database.url()).await.unwrap();
    MIGRATOR.run(&pool).await.unwrap();
    (database, pool)
}

async fn count(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

/// Returns all migrations, and an additional one as version 9000.
fn with_migration(description: &'static str, sql: &'static str, no_tx: bool) -> Migrator {
    let sql = SqlStr::from_static(sql);
    let added = Migration::new(9_000, description.into(), MigrationType::Simple, sql, no_tx);
    Migrator::with_migrations(MIGRATOR.iter().cloned().chain([added]).collect())
}

/// A session that repeats statements.
struct Worker {
    rounds: Arc<AtomicUsize>,
    longest: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Worker {
    fn start(url: String, statements: Vec<String>) -> Self {
        let (rounds, longest) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let stop = Arc::<AtomicBool>::default();
        let (counter, waited, stopped) = (rounds.clone(), longest.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            while !stopped.load(Ordering::SeqCst) {
                for statement in &statements {
                    let started = Instant::now();
                    let done = sqlx::raw_sql(AssertSqlSafe(statement.clone()))
                        .execute(&mut connection)
                        .await;
                    assert!(done.is_ok(), "{statement}: {done:?}");
                    let took = usize::try_from(started.elapsed().as_millis()).unwrap();
                    waited.fetch_max(took, Ordering::SeqCst);
                }
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self {
            rounds,
            longest,
            stop,
            task,
        }
    }

    /// Waits until the worker has completed this many more rounds.
    async fn rounds(&self, more: usize) {
        let target = self.rounds.load(Ordering::SeqCst) + more;
        let done = async {
            while self.rounds.load(Ordering::SeqCst) < target {
                assert!(!self.task.is_finished(), "a statement failed: see above");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, done).await.unwrap();
    }

    /// Stops the worker and returns the longest duration of a statement.
    async fn stop(self) -> Duration {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
        let longest = self.longest.load(Ordering::SeqCst);
        Duration::from_millis(longest.try_into().unwrap())
    }
}

/// Opens a transaction that has read the lines. It blocks every change of that table, and every
/// concurrent index.
async fn holding(url: &str) -> PgConnection {
    let mut connection = PgConnection::connect(url).await.unwrap();
    for statement in [
        "set application_name = 'operator psql'",
        "begin isolation level repeatable read",
        "select count(*) from cloud_cost_lines",
    ] {
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    connection
}

const LOCK_TIMEOUT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_blocked_migration_lets_others_continue_and_names_the_blocker() {
    let (database, pool) = migrated().await;
    let held = holding(&database.url()).await;
    let reader = Worker::start(
        database.url(),
        vec!["select count(*) from cloud_cost_lines".to_owned()],
    );
    let store = Store::connect(&database.url(), 2).await.unwrap();
    let column = with_migration(
        "remark",
        "alter table cloud_cost_lines add column remark text",
        false,
    );
    let options = MigrateOptions {
        lock_timeout: LOCK_TIMEOUT,
        give_up_after: Duration::from_secs(3),
    };
    let error = store.migrate_with(&column, options).await.unwrap_err();
    let StoreError::MigrationBlocked {
        migration,
        blockers,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(migration, "migration 9000 (remark)");
    assert!(blockers.contains("operator psql"), "{blockers}");
    // Other sessions waited no longer than the lock timeout, plus a margin for a busy machine.
    reader.rounds(1).await;
    let longest = reader.stop().await;
    assert!(
        longest < LOCK_TIMEOUT + Duration::from_secs(2),
        "{longest:?}"
    );
    let version = "select max(version) from _sqlx_migrations";
    assert!(count(&pool, version).await < 9_000);

    let options = MigrateOptions {
        lock_timeout: LOCK_TIMEOUT,
        ..MigrateOptions::default()
    };
    let migrating = tokio::spawn(async move { store.migrate_with(&column, options).await });
    drop(held);
    let migrated = tokio::time::timeout(LIMIT, migrating).await.unwrap();
    migrated.unwrap().unwrap();
    assert_eq!(count(&pool, version).await, 9_000);
}

#[tokio::test]
async fn a_concurrent_index_waits_for_old_transactions() {
    let (database, pool) = migrated().await;
    let held = holding(&database.url()).await;
    let store = Store::connect(&database.url(), 2).await.unwrap();
    let index = with_migration(
        "index",
        "create index concurrently cloud_resources_by_region on cloud_resource_rows (region)",
        true,
    );
    let options = MigrateOptions {
        lock_timeout: LOCK_TIMEOUT,
        ..MigrateOptions::default()
    };
    let migrating = tokio::spawn(async move { store.migrate_with(&index, options).await });
    // Longer than a migration in a transaction would wait.
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'virtualxid'
        and query like 'create index concurrently%' and now() - query_start > interval '1 second'";
    let waiting = async {
        while count(&pool, waits).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.unwrap();
    drop(held);
    let migrated = tokio::time::timeout(LIMIT, migrating).await.unwrap();
    migrated.unwrap().unwrap();
    let valid = "select count(*) from pg_index where indexrelid = to_regclass('cloud_resources_by_region') and indisvalid";
    assert_eq!(count(&pool, valid).await, 1);
}

#[tokio::test]
async fn an_earlier_program_accepts_the_schema_of_a_later_one() {
    let (database, pool) = migrated().await;
    let store = Store::connect(&database.url(), 2).await.unwrap();
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'later', true, '\\x00', 1)",
    )
    .execute(&pool)
    .await
    .unwrap();
    store.migrate().await.unwrap();
    store.check_ready().await.unwrap();
}

#[tokio::test]
async fn a_database_of_an_unreleased_commit_is_refused() {
    let (database, pool) = migrated().await;
    let store = Store::connect(&database.url(), 2).await.unwrap();
    sqlx::query("update _sqlx_migrations set checksum = '\\x00' where version = 2")
        .execute(&pool)
        .await
        .unwrap();
    for outcome in [store.migrate().await, store.check_ready().await] {
        assert!(
            matches!(outcome, Err(StoreError::OtherSchema { version: 2 })),
            "{outcome:?}"
        );
    }
}
