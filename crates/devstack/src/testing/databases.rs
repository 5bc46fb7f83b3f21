//! A new database for each test.

use std::mem;

use reqwest::Url;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::servers::{postgres_url, setting};

/// Creates an empty database on this test process's PostgreSQL, or on the server of `DATABASE_URL`
/// if that is set; its user must have the permission to create databases.
pub async fn database() -> TestDatabase {
    create("").await
}

/// Creates a database with the schema that `migrate` creates in the database of its argument. It is
/// a copy of the first one, which takes less than half of the time of the migrations. So all of
/// them belong to the same installation.
///
/// On the server of `DATABASE_URL`, where the copied one would remain, each database is migrated.
pub async fn migrated_database(migrate: impl AsyncFn(String)) -> TestDatabase {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    if setting("DATABASE_URL").is_some() {
        let database = database().await;
        migrate(database.url()).await;
        return database;
    }
    let template = TEMPLATE.get_or_init(|| async {
        let first = database().await;
        migrate(first.url()).await;
        let name = first.name.clone();
        // It is not dropped: its server ends with this process.
        mem::forget(first);
        name
    });
    create(&format!("TEMPLATE {}", template.await)).await
}

async fn create(options: &str) -> TestDatabase {
    let server = Url::parse(&postgres_url().await)
        .unwrap_or_else(|error| panic!("invalid DATABASE_URL: {error}"));
    let name = format!("test_{}", Uuid::new_v4().simple());
    execute(&server, format!("CREATE DATABASE {name} {options}"))
        .await
        .unwrap_or_else(|error| panic!("cannot create a test database: {error}"));
    TestDatabase { server, name }
}

/// The database of one test. Dropping it removes the database, despite open connections.
pub struct TestDatabase {
    server: Url,
    name: String,
}

impl TestDatabase {
    /// Returns `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    pub fn url(&self) -> String {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url.into()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        // On a separate thread, because the test's runtime cannot be blocked on from within it.
        // Best effort: a remaining database affects no other test.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime {
                drop(runtime.block_on(execute(&server, statement)));
            }
        });
        drop(dropping.join());
    }
}

async fn execute(server: &Url, statement: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnectOptions::from_url(server)?.connect().await?;
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await?;
    connection.close().await
}
