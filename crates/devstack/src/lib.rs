//! Finds or starts PostgreSQL and Temporal for `arcadia dev` and for the tests.
//!
//! Everything one instance owns lives in a [`StateDir`]; two state directories are two instances
//! side by side. [`Postgres`] and [`Temporal`] start a server in it and stop it again. A caller that
//! was given `DATABASE_URL` or `TEMPORAL_ADDRESS` has a server already and starts none, unless
//! [`leftover_variables`] recognises the state directory's own; only [`testing`] reads these two variables itself.
//! A server that ends by itself is started again by [`Postgres::restarted`] and [`Temporal::restarted`].
//!
//! No server outlives this process, however it ends: each runs under a guardian (`guardian.rs`)
//! that stops it when the pipe from us closes. What even that cannot catch, such as the guardian
//! being killed too, is tidied up by the next start in the same state directory.

mod error;
mod guardian;
mod known;
mod leftover;
pub mod leftover_variables;
mod log;
mod ports;
mod postgres;
mod private;
mod progress;
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
