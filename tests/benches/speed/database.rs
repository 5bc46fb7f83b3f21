//! A separate database for a measurement, with PostgreSQL's own counters and COPY.

use std::collections::HashMap;
use std::time::Instant;

use devstack::testing::{OwnPostgres, TestDatabase};
use sqlx::postgres::PgPoolCopyExt as _;
use sqlx::{AssertSqlSafe, PgPool};
use store::Store;

pub(crate) struct Database {
    pub(crate) pool: PgPool,
    server: Server,
}

enum Server {
    /// The server of the tests, without durability.
    Tests(TestDatabase),
    /// A server with PostgreSQL's default durability.
    Durable(Box<OwnPostgres>),
}

impl Server {
    fn url(&self) -> String {
        match self {
            Self::Tests(database) => database.url(),
            Self::Durable(server) => server.url(),
        }
    }
}

impl Database {
    /// An empty, migrated database.
    pub(crate) async fn new() -> anyhow::Result<Self> {
        Self::on(Server::Tests(devstack::testing::database().await)).await
    }

    /// An empty, migrated database on a server with PostgreSQL's default durability.
    pub(crate) async fn durable() -> anyhow::Result<Self> {
        Self::on(Server::Durable(Box::new(
            OwnPostgres::start_durable().await,
        )))
        .await
    }

    async fn on(server: Server) -> anyhow::Result<Self> {
        let url = server.url();
        Store::connect(&url, 1).await?.migrate().await?;
        let pool = PgPool::connect(&url).await?;
        Ok(Self { pool, server })
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
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

    pub(crate) async fn text(&self, query: &str) -> anyhow::Result<String> {
        let text = sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
            .fetch_one(&self.pool)
            .await?;
        Ok(text)
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

    /// Returns the rows of the inventory that transactions after this one have written.
    pub(crate) async fn written_since(&self, transaction: i64) -> anyhow::Result<i64> {
        let tables = [
            "cloud_resource_rows",
            "cloud_project_members",
            "cloud_sightings",
        ];
        let mut written = 0;
        for table in tables {
            let count =
                format!("select count(*) from {table} where xmin::text::bigint > {transaction}");
            written += self.number(&count).await?;
        }
        Ok(written)
    }

    pub(crate) async fn transaction(&self) -> anyhow::Result<i64> {
        self.number("select pg_current_xact_id()::text::bigint")
            .await
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
