//! A PostgreSQL server of our own.

mod cluster;
mod place;
mod server;

use std::fmt;

pub(crate) use cluster::Cluster;
pub(crate) use server::{Server, Settings};

use crate::{Error, Progress, StateDir};
use place::Place;

/// The user and the database made at the first start.
pub(crate) const NAME: &str = "arcadia";
/// One above PostgreSQL's own, which a server of the machine often has.
const DEFAULT_PORT: u16 = 5433;
const PORT_NOTE: &str = "postgres.port";
const PASSWORD_NOTE: &str = "postgres.password";

/// A running PostgreSQL whose data lives in a state directory.
///
/// Listens on 127.0.0.1 only and asks for the password that is kept in the state directory.
/// Dropped without [`Postgres::stop`], it is stopped too, but nobody waits for that.
pub struct Postgres {
    server: Server,
}

impl Postgres {
    /// Starts the server of this state directory: finds or downloads the binaries, makes the
    /// database at the first start, stops what a killed run left behind, and waits until queries
    /// are answered.
    pub async fn start(state: &StateDir, progress: &Progress) -> Result<Self, Error> {
        let place = Place::find(state, progress)?;
        let password_file = state.path().join(PASSWORD_NOTE);
        if place.is_made() && !password_file.exists() {
            return Err(Error::PasswordLost {
                password: password_file,
                data: place.data,
            });
        }
        let password = state.password(PASSWORD_NOTE)?;
        let cluster = Cluster::find(place.data, place.user, progress).await?;
        cluster.stop_leftover(progress).await?;
        cluster.make_if_missing(&password, &[], progress).await?;

        let last_port = state.recall(PORT_NOTE).and_then(|port| port.parse().ok());
        let settings = Settings {
            ports: last_port.into_iter().chain([DEFAULT_PORT]).collect(),
            options: &[],
            remove_afterwards: None,
        };
        let task = progress.spinner("Starting PostgreSQL");
        let server = Server::start(&cluster, &password, settings, &state.log("postgres")).await?;
        state.remember(PORT_NOTE, &server.port().to_string())?;
        server.make_database_if_missing(NAME).await?;
        task.done();
        Ok(Self { server })
    }

    /// `postgres://USER:PASSWORD@127.0.0.1:PORT/DATABASE`.
    pub fn url(&self) -> String {
        self.server.url(NAME)
    }

    /// Stops the server in order and waits for its end.
    pub async fn stop(self) -> Result<(), Error> {
        self.server.stop().await
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Postgres")
            .field("port", &self.server.port())
            .finish_non_exhaustive()
    }
}
