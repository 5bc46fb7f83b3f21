//! The errors of this crate, and their classification as transient or permanent.

use std::time::Duration;

use chrono::NaiveDate;
use uuid::Uuid;

/// An error of the database, or of a request that conflicts with the stored data.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "invalid DATABASE_URL: {problem}; expected e.g. postgres://user:password@host:5432/database"
    )]
    InvalidUrl { problem: String },
    #[error(
        "cannot connect to the database at {target}: {problem}; start PostgreSQL there or correct DATABASE_URL"
    )]
    Unreachable { target: String, problem: String },
    #[error(
        "the database schema is behind: {applied} of {required} migrations are applied; run `arcadia migrate`"
    )]
    SchemaBehind { applied: usize, required: usize },
    #[error(
        "migration {version} differs from the applied one: an unreleased commit created the database; use an empty database, or `arcadia dev --reset` for the database of `arcadia dev`"
    )]
    OtherSchema { version: i64 },
    #[error("migration failed: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error(
        "{migration} was blocked for {} s by {blockers}; end that session (`select pg_terminate_backend(PID)` rolls it back), \
         then run `arcadia migrate` again", waited.as_secs()
    )]
    MigrationBlocked {
        /// The number and the name of the migration.
        migration: String,
        waited: Duration,
        /// The sessions that hold the lock.
        blockers: String,
    },
    #[error("{entity} not found: {id}")]
    NotFound { entity: &'static str, id: Uuid },
    #[error(
        "cost line {id} is part of an estimate, which is replaced daily; override the line of the invoice when the invoice is ingested"
    )]
    Estimated { id: Uuid },
    #[error(
        "could not verify invoice {id}: {reason}; its lines and totals are unchanged, and the next BillingHistory rechecks it"
    )]
    Unconfirmed { id: Uuid, reason: String },
    #[error(
        "kind mismatch: cost line {id} is for a {line_kind}, the resource is a {resource_kind}; choose a {line_kind}, or send \"force\": true"
    )]
    KindMismatch {
        id: Uuid,
        line_kind: String,
        resource_kind: String,
    },
    #[error("token {id} was rotated before; rotate its successor {successor}, or create a token")]
    Rotated { id: Uuid, successor: Uuid },
    #[error("token {id} is revoked or expired; create a token instead")]
    InvalidToken { id: Uuid },
    #[error("the month {} {problem}", period.format("%Y-%m"))]
    MonthState { period: NaiveDate, problem: String },
    #[error("held deletion {id} is already {state}; only a pending one can be decided")]
    Decided { id: Uuid, state: String },
    #[error(
        "totals differ: the lines sum to {lines} USD, the database counts {counted} USD; nothing was stored; this is a bug of this program, please report it"
    )]
    Unbalanced { lines: String, counted: String },
    #[error(
        "{entity} {id} changed after this fetch began: nothing was stored; it must be fetched again"
    )]
    Superseded { entity: &'static str, id: Uuid },
    #[error(
        "a later attempt of the run took over this listing, or staged pages are missing; this attempt is discarded"
    )]
    TakenOver,
    #[error(
        "no response from the database for {} s, longer than a statement may run; the connection was closed",
        limit.as_secs()
    )]
    Stalled { limit: Duration },
    #[error("database error: {0}")]
    Database(#[from] sqlx::Error),
}

impl StoreError {
    /// Returns true if a date is out of PostgreSQL's range, -4712 to 294276 (SQLSTATE 22008).
    pub fn is_date_out_of_range(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code == "22008"))
    }

    /// Returns true if the same work may succeed later: broken connections, lock conflicts, an
    /// exhausted pool, a listing taken over, a fetch that a change superseded.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Superseded { .. }
            | Self::TakenOver
            | Self::Stalled { .. } => true,
            Self::Database(error) => match error {
                sqlx::Error::Database(error) => {
                    error.code().is_some_and(|code| is_transient_code(&code))
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

/// SQLSTATE classes of transient errors: connections (08), authentication (28), transaction
/// conflicts (40), resources (53), shutdown (57), I/O (58). Authentication is transient because a
/// password rotation changes client and server at different moments.
const TRANSIENT_CLASSES: [&str; 6] = ["08", "28", "40", "53", "57", "58"];
/// Single transient SQLSTATEs: a read-only server before its promotion (25006), an idle session
/// timeout (25P03), a database that is being restored (3D000), an unavailable lock (55P03).
const TRANSIENT_CODES: [&str; 4] = ["25006", "25P03", "3D000", "55P03"];

fn is_transient_code(code: &str) -> bool {
    TRANSIENT_CLASSES
        .iter()
        .any(|class| code.starts_with(class))
        || TRANSIENT_CODES.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statement_errors_are_not_transient() {
        for code in [
            "25006", "25P03", "28P01", "3D000", "57P01", "57014", "58030",
        ] {
            assert!(is_transient_code(code), "{code}");
        }
        for code in [
            "22P02", "23505", "25001", "25P02", "42501", "42P01", "55000",
        ] {
            assert!(!is_transient_code(code), "{code}");
        }
    }
}
