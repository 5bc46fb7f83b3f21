//! All SQL of the system: one file a noun, reads and writes together.
//!
//! Every write is one transaction that may run twice, at once with itself, or die half-way, and comes to the same rows.
//! [`Store::sweep`] is the only way by which resources are written.

mod access;
pub mod balance;
pub mod budget;
mod completion;
pub mod costs;
mod error;
mod freshness;
mod installation;
pub mod inventory;
pub mod invoices;
mod json_rows;
pub mod ledger;
mod listings;
mod locks;
pub mod metrics;
mod migrations;
pub mod projects;
mod sessions;
pub mod status;
mod teams;
mod tenants;
mod usd;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgPool};

pub use access::{Access, ApiToken, NewToken, Role};
pub use completion::Unfinished;
pub use error::StoreError;
pub use freshness::KindFreshness;
pub use listings::Run;
pub use migrations::MigrateOptions;
pub use teams::MirroredTeam;
pub use tenants::Tenant;
pub use usd::Usd;

use self::sessions::StallSignal;

/// The database. Cheap to clone: clones share one pool.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    /// The longest that the server may take to answer; none where `DATABASE_URL` lets it take for ever.
    stall_after: Option<Duration>,
    stall_signal: StallSignal,
}

impl Store {
    /// Connects with at most `connections` connections.
    ///
    /// Fails if the database does not answer within ten seconds; the error names the database, not its password.
    pub async fn connect(url: &str, connections: u32) -> Result<Self, StoreError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(StoreError::InvalidUrl {
                problem: "it does not start with postgres://".to_owned(),
            });
        }
        if is_split_by_its_password(url) {
            return Err(StoreError::InvalidUrl {
                problem: "its user name or password has one of the characters / ? # in it, where %2F, %3F or %23 has to stand"
                    .to_owned(),
            });
        }
        let options: PgConnectOptions =
            url.parse()
                .map_err(|error: sqlx::Error| StoreError::InvalidUrl {
                    problem: error.to_string(),
                })?;
        let options = sessions::with_settings(options.application_name("arcadia"));
        let unreachable = |problem: String| StoreError::Unreachable {
            target: target(&options),
            problem,
        };
        // A pool would keep trying and in the end only say that it did: one connection first, which says what is wrong.
        let first = tokio::time::timeout(CONNECT_TIMEOUT, longest_statement(&options));
        let longest = match first.await {
            Ok(Ok(longest)) => longest,
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => {
                return Err(unreachable(format!(
                    "no answer within {} s",
                    CONNECT_TIMEOUT.as_secs()
                )));
            }
        };
        let stall_signal = StallSignal::default();
        Ok(Self {
            pool: sessions::pool(options, connections, CONNECT_TIMEOUT, &stall_signal),
            stall_after: longest.map(|longest| longest + completion::MARGIN),
            stall_signal,
        })
    }

    /// The server and the database as `HOST:PORT/DATABASE`, without user and password.
    pub fn target(&self) -> String {
        target(&self.pool.connect_options())
    }

    /// The database's clock: the only one by which sightings and strikes are compared.
    pub async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        let now = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#)
            .fetch_one(&self.pool)
            .await?;
        Ok(now)
    }
}

fn target(options: &PgConnectOptions) -> String {
    let (host, port) = (options.get_host(), options.get_port());
    let database = options.get_database().unwrap_or("(default database)");
    format!("{host}:{port}/{database}")
}

/// Whether what stands before the `@` ends the part of the URL that it is in: the rest of a password would be taken for a host or a
/// database, and told as one.
fn is_split_by_its_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    !authority.contains('@') && path.contains('@')
}

/// What the server lets a statement take; none where it sets no limit.
async fn longest_statement(options: &PgConnectOptions) -> Result<Option<Duration>, sqlx::Error> {
    let mut connection = options.connect().await?;
    let limit = "select setting::bigint from pg_settings where name = 'statement_timeout'";
    let milliseconds: i64 = sqlx::query_scalar(limit).fetch_one(&mut connection).await?;
    connection.close().await?;
    let longest = u64::try_from(milliseconds).unwrap_or_default();
    Ok((longest > 0).then(|| Duration::from_millis(longest)))
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_part_of_a_password_is_told_as_a_host() {
        for password in ["hal/len", "hal?len", "hal#len", "hal/le@n"] {
            let url = format!("postgres://arcadia:{password}@127.0.0.1:1/arcadia");
            let told = Store::connect(&url, 1).await.unwrap_err().to_string();
            assert!(
                told.contains("password") && !told.contains("hal") && !told.contains("len"),
                "{told}"
            );
        }
        let url = "postgres://arcadia:hal%2Fl@en@127.0.0.1:1/arcadia?application_name=a@b";
        let told = Store::connect(url, 1).await.unwrap_err().to_string();
        assert!(
            told.contains("127.0.0.1:1/arcadia cannot be reached"),
            "{told}"
        );
        assert!(!told.contains("hal"), "{told}");
    }
}
