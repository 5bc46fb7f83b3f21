//! The migration runner beside programs that use the database, and the rule for migrations from 0.1.0 on.

mod statements;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use devstack::testing::TestDatabase;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, SqlStr};
use store::{Manners, Store, StoreError};

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// How long anything may take, on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

/// A migrated database.
async fn migrated() -> (TestDatabase, PgPool) {
    let database = devstack::testing::database().await;
    let pool = PgPool::connect(&database.url()).await.unwrap();
    MIGRATOR.run(&pool).await.unwrap();
    (database, pool)
}

async fn count(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

/// All migrations, and one more as version 9000.
fn with_migration(description: &'static str, sql: &'static str, no_tx: bool) -> Migrator {
    let sql = SqlStr::from_static(sql);
    let added = Migration::new(9_000, description.into(), MigrationType::Simple, sql, no_tx);
    Migrator::with_migrations(MIGRATOR.iter().cloned().chain([added]).collect())
}

/// Somebody who works on the database, over and over.
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
        let (told, waited, stopped) = (rounds.clone(), longest.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            while !stopped.load(Ordering::SeqCst) {
                for statement in &statements {
                    let begun = Instant::now();
                    let done = sqlx::raw_sql(AssertSqlSafe(statement.clone()))
                        .execute(&mut connection)
                        .await;
                    assert!(done.is_ok(), "{statement}: {done:?}");
                    let took = usize::try_from(begun.elapsed().as_millis()).unwrap();
                    waited.fetch_max(took, Ordering::SeqCst);
                }
                told.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self {
            rounds,
            longest,
            stop,
            task,
        }
    }

    /// Waits until it has done all of it again that many times.
    async fn rounds(&self, more: usize) {
        let wanted = self.rounds.load(Ordering::SeqCst) + more;
        let done = async {
            while self.rounds.load(Ordering::SeqCst) < wanted {
                assert!(!self.task.is_finished(), "a statement failed: see above");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, done).await.unwrap();
    }

    /// The longest that one statement took.
    async fn stop(self) -> Duration {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
        let longest = self.longest.load(Ordering::SeqCst);
        Duration::from_millis(longest.try_into().unwrap())
    }
}

/// Somebody who has looked at the lines and not come to an end: nobody can change that table meanwhile, nor make an index of any.
async fn holding(url: &str) -> PgConnection {
    let mut connection = PgConnection::connect(url).await.unwrap();
    for statement in [
        "set application_name = 'somebody''s psql'",
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

const HASTY: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_migration_that_must_wait_lets_others_go_on_and_names_whom_it_waited_for() {
    let (database, pool) = migrated().await;
    let held = holding(&database.url()).await;
    let reader = Worker::start(
        database.url(),
        vec!["select count(*) from cloud_cost_lines".to_owned()],
    );
    let store = Store::connect(&database.url(), 2).await.unwrap();
    let manners = Manners {
        lock_timeout: HASTY,
        patience: Duration::from_secs(3),
    };
    let error = store
        .migrate_with(&with_a_column(), manners)
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::MigrationHeldUp { .. }),
        "{error:?}"
    );
    let error = error.to_string();
    for part in [
        "migration 9000 (remark)",
        "somebody's psql",
        "idle in transaction",
    ] {
        assert!(error.contains(part), "{error}");
    }
    // They waited behind it no longer than it waits itself, and what a busy machine adds.
    reader.rounds(1).await;
    let longest = reader.stop().await;
    assert!(longest < HASTY + Duration::from_secs(2), "{longest:?}");
    // Nothing of it was kept: a second run begins where the first did.
    let version = "select max(version) from _sqlx_migrations";
    assert!(count(&pool, version).await < 9_000);

    let migrating = tokio::spawn(async move {
        store
            .migrate_with(
                &with_a_column(),
                Manners {
                    lock_timeout: HASTY,
                    ..Manners::default()
                },
            )
            .await
    });
    drop(held);
    tokio::time::timeout(LIMIT, migrating)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(count(&pool, version).await, 9_000);
}

const INDEX: &str =
    "create index concurrently if not exists cloud_resources_by_region on cloud_resources (region)";

fn with_an_index() -> Migrator {
    with_migration("index", INDEX, true)
}

fn with_a_column() -> Migrator {
    let sql = "alter table cloud_cost_lines add column remark text";
    with_migration("remark", sql, false)
}

const VALID: &str = "select count(*) from pg_index where indexrelid = to_regclass('cloud_resources_by_region') and indisvalid";

#[tokio::test]
async fn an_index_is_made_beside_others_by_one_of_two_migrators_and_waits_for_old_transactions() {
    let (database, pool) = migrated().await;
    let held = holding(&database.url()).await;
    let manners = Manners {
        lock_timeout: HASTY,
        ..Manners::default()
    };
    let migrate = || {
        let url = database.url();
        tokio::spawn(async move {
            let store = Store::connect(&url, 2).await.unwrap();
            store.migrate_with(&with_an_index(), manners).await
        })
    };
    let migrating = [migrate(), migrate()];
    // Longer than a migration in a transaction would wait.
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'virtualxid'
        and query like 'create index concurrently%' and now() - query_start > interval '1 second'";
    let waiting = async {
        while count(&pool, waits).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.unwrap();
    assert_eq!(count(&pool, VALID).await, 0);
    drop(held);
    for migrated in migrating {
        let migrated = tokio::time::timeout(LIMIT, migrated).await.unwrap();
        migrated.unwrap().unwrap();
    }
    assert_eq!(count(&pool, VALID).await, 1);
}

#[tokio::test]
async fn an_index_that_a_try_left_half_made_is_made_anew() {
    let (database, pool) = migrated().await;
    let store = Store::connect(&database.url(), 2).await.unwrap();
    store.migrate().await.unwrap();
    let held = holding(&database.url()).await;
    let hasty = Manners {
        lock_timeout: HASTY,
        patience: HASTY,
    };
    let error = store.migrate_with(&with_an_index(), hasty).await;
    let error = error.unwrap_err().to_string();
    for part in [
        "migration 9000 (index)",
        "somebody's psql",
        "begins this migration anew",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let half_made = "select count(*) from pg_index where indexrelid = to_regclass('cloud_resources_by_region') and not indisvalid";
    assert_eq!(count(&pool, half_made).await, 1);
    drop(held);
    store
        .migrate_with(&with_an_index(), Manners::default())
        .await
        .unwrap();
    assert_eq!(count(&pool, VALID).await, 1);
}

#[tokio::test]
async fn a_program_of_an_earlier_version_finds_a_later_schema_good_enough() {
    let database = devstack::testing::database().await;
    let store = Store::connect(&database.url(), 2).await.unwrap();
    store.migrate().await.unwrap();
    let pool = PgPool::connect(&database.url()).await.unwrap();
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'of the future', true, '\\x00', 1)",
    )
    .execute(&pool)
    .await
    .unwrap();
    store.migrate().await.unwrap();
    store.check_ready().await.unwrap();
}
