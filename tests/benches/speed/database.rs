//! A separate database for a measurement, with PostgreSQL's own counters and COPY.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use devstack::testing::TestDatabase;
use sqlx::postgres::PgPoolCopyExt as _;
use sqlx::{AssertSqlSafe, PgPool};
use store::Store;

pub(crate) struct Database {
    pub(crate) pool: PgPool,
    database: TestDatabase,
}

/// PostgreSQL's counters of updates.
#[derive(Clone, Copy)]
pub(crate) struct Written {
    pub(crate) updates: i64,
    /// Updates that touched no index.
    pub(crate) heap_only: i64,
}

impl Database {
    /// An empty, migrated database.
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let database = devstack::testing::database().await;
        Store::connect(&database.url(), 1).await?.migrate().await?;
        let pool = PgPool::connect(&database.url()).await?;
        Ok(Self { pool, database })
    }

    pub(crate) fn url(&self) -> String {
        self.database.url()
    }

    pub(crate) async fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::connect(&self.url(), 4).await?)
    }

    pub(crate) async fn number(&self, query: &str) -> anyhow::Result<i64> {
        let number = sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
            .fetch_one(&self.pool)
            .await?;
        Ok(number)
    }

    pub(crate) async fn execute(&self, statement: &str) -> anyhow::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Returns the end of the write-ahead log, in bytes.
    pub(crate) async fn wal_position(&self) -> anyhow::Result<i64> {
        self.number("select (pg_current_wal_insert_lsn() - '0/0')::bigint")
            .await
    }

    /// Waits until the counters of `cloud_resources` reach `updates`, and returns them. PostgreSQL
    /// updates them with a delay of up to a second.
    pub(crate) async fn written(&self, updates: i64) -> anyhow::Result<Written> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let (seen, heap_only) = sqlx::query_as::<_, (i64, i64)>(
                "select n_tup_upd, n_tup_hot_upd from pg_stat_all_tables where relname = 'cloud_resources'",
            )
            .fetch_one(&self.pool)
            .await?;
            if seen >= updates {
                return Ok(Written {
                    updates: seen,
                    heap_only,
                });
            }
            if Instant::now() > deadline {
                bail!("PostgreSQL has counted {seen} of {updates} updates");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Returns the rows of a query that selects two text columns.
    pub(crate) async fn pairs(
        &self,
        query: &'static str,
    ) -> anyhow::Result<HashMap<String, String>> {
        let rows: Vec<(String, String)> = sqlx::query_as(query).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().collect())
    }

    /// Returns the rows of a query in the format of COPY.
    pub(crate) async fn copy_out(&self, query: &str) -> anyhow::Result<Vec<u8>> {
        let mut chunks = self
            .pool
            .copy_out_raw(&format!("copy ({query}) to stdout"))
            .await?;
        let mut rows = Vec::new();
        while let Some(chunk) = futures::StreamExt::next(&mut chunks).await {
            rows.extend_from_slice(&chunk?);
        }
        Ok(rows)
    }

    /// Stores rows in the format of COPY, and returns the seconds that it takes.
    pub(crate) async fn copy_in(&self, table: &str, rows: &[u8]) -> anyhow::Result<f64> {
        let started = Instant::now();
        let mut copy = self
            .pool
            .copy_in_raw(&format!("copy {table} from stdin"))
            .await?;
        for chunk in rows.chunks(256 * 1024) {
            copy.send(chunk).await?;
        }
        copy.finish().await?;
        Ok(started.elapsed().as_secs_f64())
    }
}
