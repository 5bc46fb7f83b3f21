//! The advisory locks of PostgreSQL: the only place that acquires them, in one order.

use chrono::{Datelike as _, NaiveDate};
use sqlx::PgConnection;

use crate::StoreError;

/// An advisory lock, held to the end of the transaction.
///
/// The variants stand in the order of acquisition: a transaction that holds one of them may acquire
/// later ones only. So no two transactions wait for each other. Debug builds check this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock<'a> {
    /// Creates the internal project. Two syncs at once would create two.
    ProjectCreation,
    /// Writes resources of all kinds in an order of its own: passes over memberships, changes of
    /// tenants and overrides, attribution. Syncs of single kinds share it.
    Inventory,
    /// Writes the resources of a kind, or the projects. Two syncs at once would count one absence
    /// twice.
    Listing(&'a str),
    /// Changes the match or tenant of stored lines. Ingests and estimates share it: a line that is
    /// being stored and a resource that is being discovered must not miss each other.
    CostLines,
    /// Stores the estimate of a month, or replaces it by the invoice.
    Estimate(NaiveDate),
    /// Stores the billing history. Two at once would each find the entries of the other missing.
    Ledger,
}

impl Lock<'_> {
    /// The place in the order, from 1 on.
    fn rank(self) -> i32 {
        match self {
            Self::ProjectCreation => 1,
            Self::Inventory => 2,
            Self::Listing(_) => 3,
            Self::CostLines => 4,
            Self::Estimate(_) => 5,
            Self::Ledger => 6,
        }
    }

    /// Distinguishes locks of one rank. Hashed by PostgreSQL.
    fn name(self) -> String {
        match self {
            Self::Listing(kind) => kind.to_owned(),
            Self::Estimate(month) => format!("{}-{}", month.year(), month.month()),
            _ => String::new(),
        }
    }
}

/// The modes as `pg_locks` names them.
const EXCLUSIVE: &str = "ExclusiveLock";
const SHARED: &str = "ShareLock";

/// Waits for a lock that no other transaction holds.
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

/// Waits for a lock that no other transaction holds exclusively.
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

/// Panics in debug builds if the transaction holds a later lock, another one of the same rank, or this
/// one in a weaker mode. A lock that it holds already is granted at once.
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
        "{lock:?} is shared by the transaction that acquires it: two of them would wait for each other"
    );
    // A transaction that holds the inventory alone may write the resources of several kinds.
    let is_alone = held
        .iter()
        .any(|other| other.rank == Lock::Inventory.rank() && other.mode == EXCLUSIVE);
    for other in &held {
        assert!(
            other.rank < lock.rank() || (other.rank == lock.rank() && is_alone),
            "{lock:?} is acquired while the transaction holds a lock of rank {}: see the order in locks.rs",
            other.rank
        );
    }
    Ok(())
}
