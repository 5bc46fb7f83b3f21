//! All SQL of the system: one file per entity, reads and writes together.
//!
//! Each write is one transaction, is idempotent and safe under concurrency, and leaves no partial
//! result if the process dies. Only [`Store::sweep`] writes resources.

pub mod access;
pub mod audit;
pub mod balance;
pub mod closing;
mod completion;
pub mod costs;
mod error;
mod evidence;
pub mod focus;
mod freshness;
mod installation;
pub mod inventory;
pub mod invoices;
mod json_rows;
mod kept;
pub mod ledger;
mod listings;
mod locks;
mod maintenance;
pub mod metrics;
mod migrations;
pub mod own_statements;
mod planner;
pub mod projects;
pub mod rate_limit;
pub mod reallocations;
mod sessions;
mod sightings;
pub mod status;
mod teams;
mod tenants;
mod usd;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgPool};

pub use access::{Access, ApiToken, ExpiringToken, NewToken, Role, Validity};
pub use audit::{Actor, RequestOrigin};
pub use completion::Unfinished;
pub use error::StoreError;
pub use evidence::Evidence;
pub use freshness::KindFreshness;
pub use listings::Run;
pub use maintenance::Portion;
pub use migrations::MigrateOptions;
pub use teams::MirroredTeam;
pub use tenants::Tenant;
pub use usd::Usd;

use self::costs::largest::KeptCosts;
use self::inventory::counts::KeptCounts;
use self::sessions::StallSignal;

/// A pool of connections to the database. Clones are cheap and share the pool.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    /// How long work may wait for the server before it counts as stalled; `None` if `DATABASE_URL`
    /// disables `statement_timeout`.
    stall_after: Option<Duration>,
    stall_signal: StallSignal,
    kept_costs: KeptCosts,
    kept_counts: KeptCounts,
}

impl Store {
    /// Connects with a pool of at most `connections` connections.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidUrl`], or [`StoreError::Unreachable`] if the database does not answer
    /// within ten seconds. The errors contain the server and the database, never the password.
    pub async fn connect(url: &str, connections: u32) -> Result<Self, StoreError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(StoreError::InvalidUrl {
                problem: "the scheme is not postgres://".to_owned(),
            });
        }
        if password_splits_url(url) {
            return Err(StoreError::InvalidUrl {
                problem: "unescaped / ? or # in the user name or password; write %2F, %3F or %23"
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
        // A pool retries until its timeout and then reports only the timeout, so a first connection
        // is made without the pool to obtain the actual error.
        let first = tokio::time::timeout(CONNECT_TIMEOUT, statement_timeout(&options));
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
            stall_after: longest.map(|longest| longest + completion::CANCEL_MARGIN),
            stall_signal,
            kept_costs: KeptCosts::default(),
            kept_counts: KeptCounts::default(),
        })
    }

    /// Returns the server and the database as `HOST:PORT/DATABASE`, without user and password.
    pub fn target(&self) -> String {
        target(&self.pool.connect_options())
    }

    /// Returns the time of the database's clock. All times of observations and strikes come from
    /// this clock, so that they are comparable.
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

/// Returns true if a `/`, `?` or `#` precedes the `@` of the URL. The parser would treat the rest
/// of the password as the host or the database, and errors would then contain it.
fn password_splits_url(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    !authority.contains('@') && path.contains('@')
}

/// Returns the server's `statement_timeout`; `None` if it is 0, which means no limit.
async fn statement_timeout(options: &PgConnectOptions) -> Result<Option<Duration>, sqlx::Error> {
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
    async fn errors_contain_no_part_of_the_password() {
        for password in ["hal/len", "hal?len", "hal#len", "hal/le@n"] {
            let url = format!("postgres://arcadia:{password}@127.0.0.1:1/arcadia");
            let error = Store::connect(&url, 1).await.unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, StoreError::InvalidUrl { .. }), "{text}");
            assert!(!text.contains("hal") && !text.contains("len"), "{text}");
        }
        let url = "postgres://arcadia:hal%2Fl@en@127.0.0.1:1/arcadia?application_name=a@b";
        let error = Store::connect(url, 1).await.unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(&error, StoreError::Unreachable { target, .. } if target == "127.0.0.1:1/arcadia"),
            "{text}"
        );
        assert!(!text.contains("hal"), "{text}");
    }
}
