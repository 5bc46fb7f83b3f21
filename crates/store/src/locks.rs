//! The advisory locks of PostgreSQL. Only this file acquires them, and in one order.

use chrono::{Datelike as _, NaiveDate};
use sqlx::PgConnection;

use crate::StoreError;

/// An advisory lock, held until the end of the transaction.
///
/// The variants are listed in the order of acquisition: a transaction that holds one of them may
/// acquire only later ones, so that no deadlock can occur. Debug builds check this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock<'a> {
    /// Creates the internal project. Two concurrent syncs would create two.
    ProjectCreation,
    /// Writes resources of all kinds in its own order: membership passes, changes of tenants and
    /// overrides, attribution. Syncs of single kinds acquire it in shared mode.
    Inventory,
    /// Writes the resources of a kind, or the projects. Two concurrent syncs would count one
    /// absence twice.
    Listing(&'a str),
    /// Changes the match or the tenant of stored lines. Ingests and estimates acquire it in shared
    /// mode, so that concurrent inserts of a line and of its resource cannot miss each other.
    CostLines,
    /// Stores the estimate of a month, or replaces it by the invoice.
    Estimate(NaiveDate),
    /// Stores the billing history. Two concurrent writers would each mark the other's entries as
    /// missing.
    Ledger,
    /// Changes an allocation rule: its effect and its audit entry contain the state before.
    AllocationRules,
    /// Appends to the chain of the audit. The last lock of every transaction, because only the
    /// commit follows.
    Audit,
}

impl Lock<'_> {
    /// The position in the order of acquisition, starting at 1.
    fn rank(self) -> i32 {
        match self {
            Self::ProjectCreation => 1,
            Self::Inventory => 2,
            Self::Listing(_) => 3,
            Self::CostLines => 4,
            Self::Estimate(_) => 5,
            Self::Ledger => 6,
            Self::AllocationRules => 7,
            Self::Audit => 8,
        }
    }

    /// Distinguishes locks of the same rank. PostgreSQL hashes the name.
    fn name(self) -> String {
        match self {
            Self::Listing(kind) => kind.to_owned(),
            Self::Estimate(month) => format!("{}-{}", month.year(), month.month()),
            _ => String::new(),
        }
    }
}

/// The lock modes as named in `pg_locks`.
const EXCLUSIVE: &str = "ExclusiveLock";
const SHARED: &str = "ShareLock";

/// Acquires a lock exclusively.
pub(crate) async fn acquire(tx: &mut PgConnection, lock: Lock<'_>) -> Result<(), StoreError> {
    check_order(tx, lock, EXCLUSIVE).await?;
    sqlx::query!(
        "select pg_advisory_xact_lock($1, hashtext($2))",
        lock.rank(),
        lock.name()
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Acquires a lock in shared mode.
pub(crate) async fn share(tx: &mut PgConnection, lock: Lock<'_>) -> Result<(), StoreError> {
    check_order(tx, lock, SHARED).await?;
    sqlx::query!(
        "select pg_advisory_xact_lock_shared($1, hashtext($2))",
        lock.rank(),
        lock.name()
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Panics in debug builds if the transaction holds a later lock, another lock of the same rank, or
/// this lock in a weaker mode. Returns at once for a lock that the transaction already holds.
async fn check_order(
    tx: &mut PgConnection,
    lock: Lock<'_>,
    mode: &'static str,
) -> Result<(), StoreError> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    let held = sqlx::query!(
        r#"select classid::text::int as "rank!", objid::text::bigint = (hashtext($1)::bigint & 4294967295) as "has_name!", mode as "mode!"
           from pg_locks
           where locktype = 'advisory' and objsubid = 2 and granted and pid = pg_backend_pid()"#,
        lock.name(),
    )
    .fetch_all(tx)
    .await?;
    let own = || {
        held.iter()
            .filter(|other| other.rank == lock.rank() && other.has_name)
    };
    if own().any(|own| own.mode == mode || own.mode == EXCLUSIVE) {
        return Ok(());
    }
    assert!(
        own().next().is_none(),
        "{lock:?} is held in shared mode by the transaction that acquires it: two such transactions would deadlock"
    );
    // A transaction that holds the inventory lock exclusively may write the resources of several
    // kinds, and one that holds the lock of cost lines exclusively the estimates of several months.
    let holds = |outer: Lock<'_>| {
        held.iter()
            .any(|other| other.rank == outer.rank() && other.mode == EXCLUSIVE)
    };
    let may_hold_several = match lock {
        Lock::Listing(_) => holds(Lock::Inventory),
        Lock::Estimate(_) => holds(Lock::CostLines),
        _ => false,
    };
    for other in &held {
        assert!(
            other.rank < lock.rank() || (other.rank == lock.rank() && may_hold_several),
            "{lock:?} is acquired while the transaction holds a lock of rank {}: see the order in locks.rs",
            other.rank
        );
    }
    Ok(())
}
