//! Settings of PostgreSQL's planner for statements about many rows.

use sqlx::{PgConnection, Postgres, Transaction};

use crate::{Store, StoreError};

impl Store {
    /// Begins a transaction of which all statements read the same state, and are planned for their
    /// own parameters: a plan for any filter would read the whole table for each.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        let begin = "begin isolation level repeatable read read only; \
                     set local plan_cache_mode = force_custom_plan";
        Ok(self.pool.begin_with(begin).await?)
    }

    /// Begins a [`Store::snapshot`] that may also write. A write of rows that another transaction
    /// changed meanwhile fails.
    pub(crate) async fn writable_snapshot(
        &self,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        let begin = "begin isolation level repeatable read; \
                     set local plan_cache_mode = force_custom_plan";
        Ok(self.pool.begin_with(begin).await?)
    }

    /// Begins a [`Store::snapshot`] for statements that join most rows of a list. Their filters
    /// have no statistics, so that PostgreSQL would estimate few rows and use nested
    /// loops. Their sorts and hash tables fit into memory up to 200,000 resources.
    pub(crate) async fn snapshot_for_lists(
        &self,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        let begin = "begin isolation level repeatable read read only; \
                     set local plan_cache_mode = force_custom_plan; \
                     set local enable_nestloop = off; set local work_mem = '16MB'";
        Ok(self.pool.begin_with(begin).await?)
    }
}

/// The number of rows above which nested loop joins are disabled. Without statistics, as after a
/// first sync, PostgreSQL would compare every row to every other.
const NESTED_LOOP_LIMIT: usize = 200;

/// Prepares the rest of the transaction for statements about this many rows: disables nested loop
/// joins if there are many, and plans each statement for its own parameters. A plan for parameters
/// of any length would be quadratic for long ones.
pub(crate) async fn join_by_hashing(tx: &mut PgConnection, rows: usize) -> Result<(), StoreError> {
    let nested_loops = if rows > NESTED_LOOP_LIMIT {
        "off"
    } else {
        "on"
    };
    sqlx::query!(
        "select set_config('enable_nestloop', $1, true) as set,
             set_config('plan_cache_mode', 'force_custom_plan', true) as cached",
        nested_loops
    )
    .fetch_one(tx)
    .await?;
    Ok(())
}
