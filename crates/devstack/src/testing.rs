//! Servers for tests: one PostgreSQL and one Temporal for a whole test process, started when first
//! asked for and gone when the process ends.
//!
//! A test that cannot have its server cannot say anything, so these panic where others return errors.

mod databases;
mod servers;

pub use databases::{TestDatabase, database};
pub use servers::{TestTemporal, temporal};
