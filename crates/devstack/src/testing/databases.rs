//! A new database for each test.

use reqwest::Url;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use uuid::Uuid;

use super::servers::postgres_url;

/// Makes a new, empty database on this test process's own PostgreSQL, or on the server of
/// `DATABASE_URL` where that is set (its user must be allowed to make databases).
pub async fn database() -> TestDatabase {
    let server = Url::parse(&postgres_url().await)
        .unwrap_or_else(|error| panic!("DATABASE_URL is no URL: {error}"));
    let name = format!("test_{}", Uuid::new_v4().simple());
    execute(&server, format!("CREATE DATABASE {name}"))
        .await
        .unwrap_or_else(|error| panic!("a test database cannot be made: {error}"));
    TestDatabase { server, name }
}

/// A database that one test has for itself. Removed when dropped, whoever is still connected.
pub struct TestDatabase {
    server: Url,
    name: String,
}

impl TestDatabase {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
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
        // On a thread of its own: the test's runtime cannot be waited for from within. Best
        // effort: a database that stays harms no other test.
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
