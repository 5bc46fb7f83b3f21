use std::time::Duration;

use uuid::Uuid;

/// What can go wrong between this system and its database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "DATABASE_URL is not valid ({problem}): expected one like postgres://user:password@host:5432/database"
    )]
    InvalidUrl { problem: String },
    #[error(
        "the database at {target} cannot be reached: {problem}; start PostgreSQL there or correct DATABASE_URL"
    )]
    Unreachable { target: String, problem: String },
    #[error(
        "the database has {applied} of {wanted} migrations of this program: run `arcadia migrate`"
    )]
    SchemaBehind { applied: usize, wanted: usize },
    #[error(
        "the database was created by an unreleased commit (migration {version} differs): use an empty database, or `arcadia dev --reset` for the one of `arcadia dev`"
    )]
    OtherSchema { version: i64 },
    #[error("migration failed: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error(
        "{migration} was blocked for {} s by {blockers}: end that session (`select pg_terminate_backend(PID)` rolls it back), \
         then run `arcadia migrate` again", waited.as_secs()
    )]
    MigrationBlocked {
        /// Its number and name.
        migration: String,
        waited: Duration,
        /// The sessions that hold the lock.
        blockers: String,
    },
    #[error("there is no {what} {id}")]
    NotFound { what: &'static str, id: Uuid },
    #[error(
        "the cost line {id} is of an estimate, which is replaced every day: say what it is for when its invoice is there"
    )]
    Estimated { id: Uuid },
    #[error(
        "the invoice {id} could not be verified: {reason}; its lines and sums stay as they are, and the check is repeated by the next BillingHistory"
    )]
    Unconfirmed { id: Uuid, reason: String },
    #[error(
        "the cost line {id} is for a {line_kind} and the resource is a {resource_kind}: choose a {line_kind}, or send \"force\": true"
    )]
    KindMismatch {
        id: Uuid,
        line_kind: String,
        resource_kind: String,
    },
    #[error("the hold {id} is {state} already: there is nothing left to decide")]
    Decided { id: Uuid, state: String },
    #[error(
        "the lines come to {lines} USD and the database's totals to {counted}: nothing was stored; this is a fault of this program, please report it"
    )]
    Unbalanced { lines: String, counted: String },
    #[error(
        "a later attempt of the same run goes on with this listing, or its pages are gone: nothing of this attempt is used"
    )]
    TakenOver,
    #[error(
        "nothing has been heard of the database for {} s, longer than a statement may take: its connection was given up",
        longest.as_secs()
    )]
    Stalled { longest: Duration },
    #[error("the database refused: {0}")]
    Database(#[from] sqlx::Error),
}

impl StoreError {
    /// Whether a time that was given is none that the database knows (SQLSTATE 22008): years go from -4712 to 294276 there.
    pub fn is_beyond_time(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code == "22008"))
    }

    /// Whether the same work may succeed later: connections that broke, locks that collided, a pool run dry, pages that are gone.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TakenOver | Self::Stalled { .. } => true,
            Self::Database(error) => match error {
                sqlx::Error::Database(error) => {
                    error.code().is_some_and(|code| passes_by_itself(&code))
                }
                sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::Protocol(_) => true,
                _ => false,
            },
            _ => false,
        }
    }
}

/// Classes of errors that are not the statement's fault: connections, transactions that collided, a server that lacks something, that
/// stops, or that cannot read its disk; and passwords, which are replaced on two sides that are never both new at once.
const CLASSES: [&str; 6] = ["08", "28", "40", "53", "57", "58"];
/// The same of single ones: a server that only reads until it is the first one, a session that was idle for too long, a database
/// that is being restored, a lock that was not to be had.
const CODES: [&str; 4] = ["25006", "25P03", "3D000", "55P03"];

fn passes_by_itself(code: &str) -> bool {
    CLASSES.iter().any(|class| code.starts_with(class)) || CODES.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_statement_stays_wrong() {
        for code in [
            "25006", "25P03", "28P01", "3D000", "57P01", "57014", "58030",
        ] {
            assert!(passes_by_itself(code), "{code}");
        }
        for code in [
            "22P02", "23505", "25001", "25P02", "42501", "42P01", "55000",
        ] {
            assert!(!passes_by_itself(code), "{code}");
        }
    }
}
