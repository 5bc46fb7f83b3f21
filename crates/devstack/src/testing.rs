//! Servers for tests: one PostgreSQL and one Temporal for a whole test process, started when first
//! asked for and gone when the process ends; and servers that one test has for itself, to stop and start them as it likes.
//!
//! A test that cannot have its server cannot say anything, so these panic where others return errors.

mod databases;
mod own_servers;
mod servers;

pub use databases::{TestDatabase, database};
pub use own_servers::{OwnPostgres, OwnTemporal, PostgresClient, Stop};
pub use servers::{TestTemporal, temporal};
