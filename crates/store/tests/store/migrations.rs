//! Migrations, over what earlier versions left, beside those who work meanwhile.

mod statements;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use devstack::testing::TestDatabase;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool, SqlStr};
use store::{Manners, Store, StoreError};

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// How long anything may take, on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

fn released(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/store/released", name]
        .iter()
        .collect();
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn newest() -> i64 {
    MIGRATOR
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap()
}

/// The versions whose data are at hand; the last of them is the one before the newest, or the newest while nothing follows it.
fn seeded() -> Vec<i64> {
    let versions = MIGRATOR.iter().map(|migration| migration.version);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/released");
    versions
        .filter(|version| directory.join(format!("{version:04}.sql")).exists())
        .collect()
}

/// A database as that version left it: brought there one version after the other, each of which wrote what it knew.
async fn left_by(version: i64) -> (TestDatabase, PgPool) {
    let database = devstack::testing::database().await;
    let pool = PgPool::connect(&database.url()).await.unwrap();
    for step in 1..=version {
        MIGRATOR.run_to(step, &pool).await.unwrap();
        let seed = released(&format!("{step:04}.sql"));
        sqlx::raw_sql(AssertSqlSafe(seed))
            .execute(&pool)
            .await
            .unwrap();
    }
    (database, pool)
}

/// What must be the same before and after, of the columns that the first version had.
const KEPT: [(&str, &str); 9] = [
    (
        "resources",
        "select md5(string_agg(r::text, '' order by r.id)) from (select id, provider, kind, provider_id, name, region, status, tags, attrs, fingerprint, cloud_project_id, tenant_id, attribution, first_seen_at, last_seen_at, stale_strike_count, last_struck_at, deleted_at from cloud_resources) r",
    ),
    (
        "projects",
        "select md5(string_agg(p::text, '' order by p.id)) from (select id, provider_id, name, is_default, is_internal, tenant_id, purpose, attrs, first_seen_at, last_seen_at, deleted_at from cloud_projects) p",
    ),
    (
        "members",
        "select md5(string_agg(m::text, '' order by m.kind, m.provider_id)) from (select kind, provider_id, cloud_project_id, status, assigned_at, last_seen_at from cloud_project_members) m",
    ),
    (
        "events",
        "select md5(string_agg(e::text, '' order by e.id)) from (select id, resource_id, event, changes, occurred_at, workflow_id, run_id from cloud_resource_events) e",
    ),
    (
        "listings",
        "select md5(string_agg(l::text, '' order by l.id)) from (select id, kind, run_id, started_at, finished_at, complete, reason, items, has_struck from cloud_listings) l",
    ),
    (
        "balances",
        "select md5(string_agg(b::text, '' order by b.id)) from (select id, month_to_date_balance, account_balance, month_to_date_usage, generated_at from cloud_balance_snapshots) b",
    ),
    (
        "invoices",
        "select md5(string_agg(i::text, '' order by i.id)) from (select id, invoice_uuid, period, amount, line_count, line_total, reconciled, off_by from cloud_invoices) i",
    ),
    (
        "lines",
        "select md5(string_agg(l::text, '' order by l.id)) from (select id, invoice_id, line_no, product, kind, description, hours, start_at, end_at, amount, project_name, category, resource_name, resource_id, match_rule, tenant_id from cloud_cost_lines) l",
    ),
    (
        "tokens",
        "select md5(string_agg(t::text, '' order by t.id)) from (select id, name, role, tenant_id, token_sha256, revoked_at from api_tokens) t",
    ),
];

async fn kept(pool: &PgPool) -> BTreeMap<&'static str, Option<String>> {
    let mut kept = BTreeMap::new();
    for (what, query) in KEPT {
        kept.insert(
            what,
            sqlx::query_scalar(query).fetch_one(pool).await.unwrap(),
        );
    }
    kept
}

async fn count(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn what_each_version_left_is_there_and_adds_up_at_the_newest() {
    let versions = seeded();
    assert!(versions.len() >= 4, "{versions:?}");
    for version in versions {
        let (database, pool) = left_by(version).await;
        let before = kept(&pool).await;
        assert!(before.values().all(Option::is_some), "{before:?}");
        let store = Store::connect(&database.url(), 2).await.unwrap();
        store.migrate().await.unwrap();
        store.check_ready().await.unwrap();
        assert_eq!(kept(&pool).await, before, "from version {version}");

        let off = count(&pool, "select count(*) from cloud_cost_discrepancies").await;
        assert_eq!(off, 0, "from version {version}");
        let totals = "select count(*) from (select sum(amount) from cloud_cost_lines) a (lines), (select sum(amount) from cloud_cost_totals) b (totals) where lines = totals";
        assert_eq!(count(&pool, totals).await, 1, "from version {version}");
        // Where each resource was stands as an interval too, and no two of one overlap.
        let unplaced = "select count(*) from cloud_resources r where r.deleted_at is null and r.cloud_project_id is not null
            and not exists (select 1 from cloud_project_memberships m where m.resource_id = r.id and m.valid_to is null)";
        assert_eq!(count(&pool, unplaced).await, 0, "from version {version}");
        // What the program reads first.
        let gauges = store.gauges().await.unwrap();
        let live = gauges.kinds.iter().find(|kind| kind.kind == "droplet");
        assert!(
            live.is_some_and(|droplets| droplets.live > 100),
            "{gauges:?}"
        );
        assert!(live.unwrap().last_complete_at.is_some(), "{gauges:?}");
        assert_eq!(gauges.invoices.unreconciled, 1, "from version {version}");
    }
}

/// The statements of a file, each with what stands above it.
fn statements(text: &str) -> Vec<String> {
    let without_comments = text.lines().filter(|line| !line.starts_with("--"));
    let text = without_comments.collect::<Vec<_>>().join("\n");
    let statements = text.split(";\n").map(str::trim);
    statements
        .filter(|one| !one.is_empty())
        .map(str::to_owned)
        .collect()
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

#[tokio::test]
async fn the_version_before_works_on_while_and_after_the_newest_migration_runs() {
    let before = newest() - 1;
    let (database, pool) = left_by(before).await;
    let old = statements(&released(&format!("{before:04}_statements.sql")));
    assert!(old.len() >= 10, "{old:?}");
    let worker = Worker::start(database.url(), old);
    worker.rounds(2).await;
    let store = Store::connect(&database.url(), 2).await.unwrap();
    store.migrate().await.unwrap();
    worker.rounds(3).await;
    worker.stop().await;
    let off = count(&pool, "select count(*) from cloud_cost_discrepancies").await;
    assert_eq!(off, 0);
}

#[tokio::test]
async fn every_query_of_the_version_before_is_one_that_the_newest_schema_takes() {
    let before = newest() - 1;
    let database = devstack::testing::database().await;
    let store = Store::connect(&database.url(), 1).await.unwrap();
    store.migrate().await.unwrap();
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let queries = released(&format!("{before:04}_queries.jsonl"));
    let queries: Vec<String> = queries
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(queries.len() > 100);
    for query in queries {
        let taken = (&mut connection)
            .prepare(SqlStr::from_static(query.clone().leak()))
            .await;
        assert!(taken.is_ok(), "{query}: {:?}", taken.err());
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
    let (database, pool) = left_by(2).await;
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
    let error = store.migrate_with(&MIGRATOR, manners).await.unwrap_err();
    assert!(
        matches!(error, StoreError::MigrationHeldUp { .. }),
        "{error:?}"
    );
    let error = error.to_string();
    for part in [
        "migration 3 (every cent)",
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
    assert_eq!(count(&pool, version).await, 2);

    let migrating = tokio::spawn(async move {
        store
            .migrate_with(
                &MIGRATOR,
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
    assert_eq!(count(&pool, version).await, newest());
}

const INDEX: &str =
    "create index concurrently if not exists cloud_resources_by_region on cloud_resources (region)";

/// All migrations, and one that makes an index beside others.
fn with_an_index() -> Migrator {
    let sql = SqlStr::from_static(INDEX);
    let index = Migration::new(9_000, "index".into(), MigrationType::Simple, sql, true);
    Migrator::with_migrations(MIGRATOR.iter().cloned().chain([index]).collect())
}

const VALID: &str = "select count(*) from pg_index where indexrelid = to_regclass('cloud_resources_by_region') and indisvalid";

#[tokio::test]
async fn an_index_is_made_beside_others_by_one_of_two_migrators_and_waits_for_old_transactions() {
    let (database, pool) = left_by(newest() - 1).await;
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
    let (database, pool) = left_by(newest() - 1).await;
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
