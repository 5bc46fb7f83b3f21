//! Servers for tests: one PostgreSQL and one Temporal per test process, started at first use and
//! stopped when the process ends, and servers of a single test, which it can stop and restart.
//!
//! The functions here panic instead of returning errors, because a test cannot run without its
//! server.

mod addresses;
mod databases;
mod own_servers;
mod servers;

pub use addresses::unused_address;
pub use databases::{TestDatabase, database, migrated_database};
pub use own_servers::{OwnPostgres, OwnTemporal, PostgresClient, Stop};
pub use servers::{TestTemporal, temporal};
