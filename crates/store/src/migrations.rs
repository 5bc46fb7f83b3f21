//! Brings the schema up to date beside programs that work with it.
//!
//! A migration that needs a table for itself must not wait for it long: whoever comes after it waits as well. So it gives up after
//! seconds, which takes it back whole, lets the others go on, and tries again. One without a transaction (an index that is made
//! `concurrently`) is in nobody's way, and waits for its turn.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};

use crate::{Store, StoreError};

static MIGRATOR: Migrator = Migrator {
    // Those of a later version: a program that is put back to the one before finds all that it needs.
    ignore_missing: true,
    ..sqlx::migrate!("../../migrations")
};

/// How migrations share the database with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manners {
    /// The longest that a statement waits for a lock, and others behind it.
    pub lock_timeout: Duration,
    /// For how long it is tried again, and what is in nobody's way waits.
    pub patience: Duration,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_secs(2),
            patience: Duration::from_mins(5),
        }
    }
}

/// Between two tries those who waited get on with their work.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// What takes longer is told of, again and again.
const TOLD_AFTER: Duration = Duration::from_secs(10);
/// How often it is looked who holds a migration up.
const LOOK: Duration = Duration::from_millis(200);

const LOCK_NOT_AVAILABLE: &str = "55P03";
const DEADLOCK_DETECTED: &str = "40P01";
const UNDEFINED_TABLE: &str = "42P01";

/// One migrator works at a time; the others wait for it. To wait in the statement would hold a snapshot, for whose end an index that is
/// made `concurrently` waits in its turn.
const ONE_AT_A_TIME: &str = "select pg_try_advisory_lock(hashtext('arcadia migrate'))";
/// How often it is asked whose turn it is.
const ASK: Duration = Duration::from_millis(500);

impl Store {
    /// Brings the schema up to date. Any number of processes may do so at once, and others may work meanwhile.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.migrate_with(&MIGRATOR, Manners::default()).await
    }

    /// The same by these migrations, with so much patience.
    pub async fn migrate_with(
        &self,
        migrator: &Migrator,
        manners: Manners,
    ) -> Result<(), StoreError> {
        let give_up_at = Instant::now() + manners.patience;
        let mut pause = SHORTEST_PAUSE;
        loop {
            // A connection of its own for each try: one that fails leaves locks of its session.
            let mut attempt = Attempt::begin(self).await?;
            let outcome = attempt.run(migrator, manners, give_up_at).await;
            let Attempt { session, watch } = attempt;
            session.close().await;
            let Err(Failed { migration, error }) = outcome else {
                return Ok(());
            };
            if !is_held_up(&error) {
                return Err(error.into());
            }
            let blockers = watch
                .held_by
                .unwrap_or_else(|| "somebody who is gone by now".to_owned());
            if Instant::now() + pause > give_up_at {
                return Err(StoreError::MigrationHeldUp {
                    migration,
                    patience: manners.patience,
                    blockers,
                });
            }
            tracing::warn!("{migration} waits for {blockers}, and is tried again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Whether the database answers and its schema is the one this program was built for, or a later one.
    pub async fn check_ready(&self) -> Result<(), StoreError> {
        let wanted = MIGRATOR
            .iter()
            .map(|migration| migration.version)
            .max()
            .unwrap_or_default();
        let applied: Option<i64> =
            match sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
                .fetch_one(&self.pool)
                .await
            {
                Ok(version) => version,
                Err(sqlx::Error::Database(error))
                    if error.code().as_deref() == Some(UNDEFINED_TABLE) =>
                {
                    None
                }
                Err(error) => return Err(error.into()),
            };
        if applied.is_some_and(|version| version >= wanted) {
            Ok(())
        } else {
            Err(StoreError::SchemaBehind {
                applied: applied.unwrap_or_default(),
                wanted,
            })
        }
    }
}

/// One try, on a connection of its own.
struct Attempt {
    /// Of one connection.
    session: PgPool,
    watch: Watch,
}

/// Looks at what a session does, from another one.
struct Watch {
    store: Store,
    /// The session.
    backend: i32,
    /// Who was last seen to hold it up.
    held_by: Option<String>,
}

/// Which migration failed, and how.
struct Failed {
    migration: String,
    error: MigrateError,
}

impl Attempt {
    async fn begin(store: &Store) -> Result<Self, StoreError> {
        let options = (*store.pool.connect_options()).clone();
        let options = options.application_name("arcadia migrate");
        let session = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await?;
        let backend = sqlx::query_scalar("select pg_backend_pid()")
            .fetch_one(&session)
            .await?;
        let mut watch = Watch {
            store: store.clone(),
            backend,
            held_by: None,
        };
        // A migration may take as long as it takes, and so may another migrator.
        sqlx::query("set statement_timeout = 0")
            .execute(&session)
            .await?;
        let turn = async {
            while !sqlx::query_scalar::<_, bool>(ONE_AT_A_TIME)
                .fetch_one(&session)
                .await?
            {
                tokio::time::sleep(ASK).await;
            }
            Ok::<_, sqlx::Error>(())
        };
        watch.over("another migrator", turn).await?;
        Ok(Self { session, watch })
    }

    /// Runs what has not been run, one migration after the other.
    async fn run(
        &mut self,
        migrator: &Migrator,
        manners: Manners,
        give_up_at: Instant,
    ) -> Result<(), Failed> {
        for migration in migrator.iter() {
            let name = format!(
                "migration {} ({})",
                migration.version, migration.description
            );
            let session = &self.session;
            let running = async {
                if migration.no_tx {
                    let left = give_up_at.saturating_duration_since(Instant::now());
                    wait_for_locks(session, left.max(manners.lock_timeout)).await?;
                    drop_half_made_indexes(session, migration).await?;
                } else {
                    wait_for_locks(session, manners.lock_timeout).await?;
                }
                migrator.run_to(migration.version, session).await
            };
            let outcome = self.watch.over(&name, running).await;
            outcome.map_err(|error| Failed {
                migration: name,
                error,
            })?;
        }
        Ok(())
    }
}

async fn wait_for_locks(session: &PgPool, longest: Duration) -> Result<(), sqlx::Error> {
    let milliseconds = longest.as_millis();
    let set = format!("set lock_timeout = {milliseconds}");
    sqlx::query(AssertSqlSafe(set)).execute(session).await?;
    Ok(())
}

/// A try that failed, or whose process died, has left its index as one that is not used, and that is in the way of the next.
async fn drop_half_made_indexes(
    session: &PgPool,
    migration: &Migration,
) -> Result<(), sqlx::Error> {
    let half_made: Vec<(String, String)> = sqlx::query_as(
        "select relname, oid::regclass::text from pg_class join pg_index on indexrelid = oid
         where not indisvalid and pg_table_is_visible(oid)",
    )
    .fetch_all(session)
    .await?;
    let sql = migration.sql.as_str();
    let words = sql.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let words: Vec<&str> = words.collect();
    for (name, quoted) in half_made {
        if words.contains(&&*name) {
            let dropping = format!("drop index concurrently {quoted}");
            sqlx::query(AssertSqlSafe(dropping))
                .execute(session)
                .await?;
        }
    }
    Ok(())
}

impl Watch {
    /// Waits for what the session does: says so where that takes long, and sees who holds it up.
    async fn over<T>(&mut self, what: &str, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let mut told_at = begun;
        let mut looks = tokio::time::interval(LOOK);
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                outcome = &mut work => return outcome,
                _ = looks.tick() => {}
            }
            if let Some(held_by) = blockers(&self.store, self.backend).await {
                self.held_by = Some(held_by);
            }
            if told_at.elapsed() >= TOLD_AFTER {
                told_at = Instant::now();
                let seconds = begun.elapsed().as_secs();
                tracing::info!("{what} has been at work for {seconds} s");
            }
        }
    }
}

/// The sessions that hold another one up, as people look for them; none where none do. Without their queries, which are not ours to
/// tell.
async fn blockers(store: &Store, backend: i32) -> Option<String> {
    let sessions: Result<Vec<(i32, String, String, f64)>, _> = sqlx::query_as(
        "select pid, coalesce(nullif(application_name, ''), 'no name'), coalesce(state, 'unknown'),
             extract(epoch from coalesce(now() - xact_start, '0'))::float8
         from pg_stat_activity where pid = any (pg_blocking_pids($1)) order by pid",
    )
    .bind(backend)
    .fetch_all(&store.pool)
    .await;
    let told = sessions.ok()?.into_iter().map(|(pid, name, state, age)| {
        format!("session {pid} ({name}, {state}, its transaction began {age:.0} s ago)")
    });
    let told: Vec<_> = told.collect();
    (!told.is_empty()).then(|| told.join(" and "))
}

/// Whether nothing is wrong but that somebody else has what it needs.
fn is_held_up(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    let code: Option<Cow<'_, str>> = code;
    code.is_some_and(|code| [LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED].contains(&&*code))
}
