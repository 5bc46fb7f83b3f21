//! Finds or starts PostgreSQL and Temporal for `arcadia dev` and for the tests.
//!
//! All files of an instance are in its [`StateDir`]; instances with different state directories run
//! in parallel. [`Postgres`] and [`Temporal`] start a server in it and stop it. A caller with
//! `DATABASE_URL` or `TEMPORAL_ADDRESS` uses that server and starts none, unless
//! [`leftover_variables`] recognises it as the state directory's own; of this crate, only
//! [`testing`] reads the two variables. [`Postgres::restarted`] and [`Temporal::restarted`] restart
//! a server that ends unexpectedly.
//!
//! No server outlives this process, even if it is killed: each runs under a guardian
//! (`guardian.rs`) that stops it when the pipe from this process closes. If the guardian is killed
//! too, the next start in the same state directory stops the server.

mod error;
mod guardian;

mod leftover;
pub mod leftover_variables;
mod log;
mod ports;
mod postgres;
mod private;
mod progress;
mod registry;
mod state;
mod supervision;
mod temporal;
pub mod testing;
mod tools;
mod users;

pub use error::Error;
pub use ports::free_port;
pub use postgres::Postgres;
pub use progress::{Progress, Task};
pub use state::StateDir;
pub use temporal::Temporal;
