//! Applies the migrations while other programs use the database.
//!
//! A statement that waits for a lock on a table blocks every later session on that table. So a
//! migration waits only seconds for a lock, is then rolled back and retried.

use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};

use crate::{Store, StoreError};

static MIGRATOR: Migrator = Migrator {
    // A later version may already have migrated the database: see docs/upgrades.md.
    ignore_missing: true,
    ..sqlx::migrate!("../../migrations")
};

/// The timeouts of migrations that wait for locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrateOptions {
    /// The timeout of one statement that waits for a lock.
    pub lock_timeout: Duration,
    /// The time after which a blocked migration fails.
    pub give_up_after: Duration,
}

impl Default for MigrateOptions {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_secs(2),
            give_up_after: Duration::from_mins(5),
        }
    }
}

/// The pause between two attempts, in which blocked sessions can continue.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the blocking sessions are queried.
const POLL: Duration = Duration::from_millis(200);

const LOCK_NOT_AVAILABLE: &str = "55P03";
const DEADLOCK_DETECTED: &str = "40P01";
const UNDEFINED_TABLE: &str = "42P01";

impl Store {
    /// Applies all migrations. Safe under concurrency: sqlx's advisory lock admits one process at a
    /// time.
    ///
    /// # Errors
    ///
    /// [`StoreError::MigrationBlocked`] if another session holds a lock for five minutes, and
    /// [`StoreError::OtherSchema`] if other migrations created the database.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.migrate_with(&MIGRATOR, MigrateOptions::default())
            .await
    }

    /// Applies the given migrations.
    pub async fn migrate_with(
        &self,
        migrator: &Migrator,
        options: MigrateOptions,
    ) -> Result<(), StoreError> {
        let connect = (*self.pool.connect_options()).clone();
        let connect = connect.application_name("arcadia migrate");
        let give_up_at = Instant::now() + options.give_up_after;
        loop {
            // A new session for each attempt: a failed one leaves its advisory lock.
            let session = PgPoolOptions::new()
                .max_connections(1)
                .connect_with(connect.clone())
                .await?;
            let attempt = self.attempt(migrator, &session, options.lock_timeout).await;
            session.close().await;
            let Err(Blocked { migration, by }) = attempt? else {
                return Ok(());
            };
            if Instant::now() + PAUSE > give_up_at {
                return Err(StoreError::MigrationBlocked {
                    migration,
                    waited: options.give_up_after,
                    blockers: by,
                });
            }
            tracing::warn!("{migration} is blocked by {by}; retrying");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Applies the missing migrations until one is blocked.
    async fn attempt(
        &self,
        migrator: &Migrator,
        session: &PgPool,
        lock_timeout: Duration,
    ) -> Result<Result<(), Blocked>, StoreError> {
        let backend = sqlx::query_scalar("select pg_backend_pid()")
            .fetch_one(session)
            .await?;
        let mut migrations = migrator.iter().peekable();
        while let Some(migration) = migrations.next() {
            // sqlx applies consecutive transactional migrations in one call, up to the next one
            // without a transaction.
            if !migration.no_tx && migrations.peek().is_some_and(|next| !next.no_tx) {
                continue;
            }
            prepare(session, migration, lock_timeout).await?;
            let run = migrator.run_to(migration.version, session);
            match self.watch(backend, run).await {
                (Ok(()), _) => {}
                (Err(MigrateError::VersionMismatch(version)), _) => {
                    return Err(StoreError::OtherSchema { version });
                }
                (Err(error), blockers) if is_lock_timeout(&error) => {
                    return Ok(Err(Blocked {
                        migration: name_of(migrator, &error),
                        by: blockers.unwrap_or_else(|| error.to_string()),
                    }));
                }
                (Err(error), _) => return Err(error.into()),
            }
        }
        Ok(Ok(()))
    }

    /// Checks that the database responds and that its schema is the one of this program or a later
    /// one.
    ///
    /// # Errors
    ///
    /// [`StoreError::SchemaBehind`] or [`StoreError::OtherSchema`].
    pub async fn check_ready(&self) -> Result<(), StoreError> {
        let applied: Vec<(i64, Vec<u8>)> =
            match sqlx::query_as("select version, checksum from _sqlx_migrations where success")
                .fetch_all(&self.pool)
                .await
            {
                Ok(applied) => applied,
                Err(sqlx::Error::Database(error))
                    if error.code().as_deref() == Some(UNDEFINED_TABLE) =>
                {
                    Vec::new()
                }
                Err(error) => return Err(error.into()),
            };
        for migration in MIGRATOR.iter() {
            let known = applied
                .iter()
                .find(|(version, _)| *version == migration.version);
            match known {
                Some((_, checksum)) if *checksum == *migration.checksum => {}
                Some((version, _)) => return Err(StoreError::OtherSchema { version: *version }),
                None => {
                    return Err(StoreError::SchemaBehind {
                        applied: applied.len(),
                        required: MIGRATOR.iter().count(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Runs a migration and returns its result, with the sessions that last blocked it.
    async fn watch<T>(&self, backend: i32, run: impl Future<Output = T>) -> (T, Option<String>) {
        let mut run = std::pin::pin!(run);
        let mut polls = tokio::time::interval(POLL);
        let mut last = None;
        loop {
            tokio::select! {
                outcome = &mut run => return (outcome, last),
                _ = polls.tick() => {}
            }
            last = self.blockers(backend).await.or(last);
        }
    }

    /// Describes the sessions that block a session, without their queries, which may contain data.
    async fn blockers(&self, backend: i32) -> Option<String> {
        let sessions: Vec<(i32, String, String, f64)> = sqlx::query_as(
            "select pid, coalesce(nullif(application_name, ''), 'no name'), coalesce(state, 'unknown'),
                 extract(epoch from coalesce(now() - xact_start, '0'))::float8
             from pg_stat_activity where pid = any (pg_blocking_pids($1)) order by pid",
        )
        .bind(backend)
        .fetch_all(&self.pool)
        .await
        .ok()?;
        let sessions: Vec<_> = sessions
            .into_iter()
            .map(|(pid, name, state, age)| {
                format!("session {pid} ({name}, {state}, in a transaction for {age:.0} s)")
            })
            .collect();
        (!sessions.is_empty()).then(|| sessions.join(" and "))
    }
}

/// A migration, and the sessions that hold a lock that it needs.
struct Blocked {
    migration: String,
    by: String,
}

/// Sets the timeouts of a session for a migration.
async fn prepare(
    session: &PgPool,
    migration: &Migration,
    lock_timeout: Duration,
) -> Result<(), sqlx::Error> {
    // `create index concurrently` blocks no session, and a timeout would leave an invalid index.
    let lock_timeout = if migration.no_tx {
        Duration::ZERO
    } else {
        lock_timeout
    };
    let set = format!(
        "set statement_timeout = 0; set lock_timeout = {}",
        lock_timeout.as_millis()
    );
    sqlx::raw_sql(AssertSqlSafe(set)).execute(session).await?;
    Ok(())
}

/// The number and name of the migration that failed.
fn name_of(migrator: &Migrator, error: &MigrateError) -> String {
    let MigrateError::ExecuteMigration(_, version) = error else {
        return "the migration".to_owned();
    };
    let mut migrations = migrator.iter();
    let description = migrations
        .find(|migration| migration.version == *version)
        .map_or("", |migration| &*migration.description);
    format!("migration {version} ({description})")
}

/// Returns true if another session holds a lock that the migration needs.
fn is_lock_timeout(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| [LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED].contains(&&*code))
}
