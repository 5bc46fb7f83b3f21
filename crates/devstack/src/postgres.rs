//! A PostgreSQL server of our own.

mod cluster;
mod place;
mod server;

use std::fmt;
use std::process::ExitStatus;

pub(crate) use cluster::Cluster;
pub(crate) use server::{Server, Settings};

use crate::log::Log;
use crate::ports::Ports;
use crate::supervision::{self, Failures, Supervised};
use crate::{Error, Progress, StateDir, known};
use place::Place;

/// The user and the database made at the first start.
pub(crate) const NAME: &str = "arcadia";
/// One above PostgreSQL's own, which a server of the machine often has.
const DEFAULT_PORT: u16 = 5433;
pub(crate) const PORT_NOTE: &str = "postgres.port";
pub(crate) const PASSWORD_NOTE: &str = "postgres.password";

/// A running PostgreSQL whose data lives in a state directory.
///
/// Listens on 127.0.0.1 only and asks for the password that is kept in the state directory.
/// Dropped without [`Postgres::stop`], it is stopped too, but nobody waits for that.
pub struct Postgres {
    parts: Parts,
    failures: Failures,
}

struct Parts {
    server: Server,
    cluster: Cluster,
    password: String,
    log: Log,
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

        known::note_password(state, &password);
        let last_port = state.recall(PORT_NOTE).and_then(|port| port.parse().ok());
        let settings = Settings {
            ports: Ports::Prefer(last_port.into_iter().chain([DEFAULT_PORT]).collect()),
            options: &[],
            remove_afterwards: None,
        };
        let task = progress.spinner("Starting PostgreSQL");
        let log = state.log("postgres");
        let server = Server::start(&cluster, &password, settings, &log).await?;
        state.remember(PORT_NOTE, &server.port().to_string())?;
        server.make_database_if_missing(NAME).await?;
        task.done();
        let parts = Parts {
            server,
            cluster,
            password,
            log,
        };
        Ok(Self {
            parts,
            failures: Failures::none(),
        })
    }

    /// Removes the data of this state directory, after stopping the server that an earlier run left
    /// behind.
    pub async fn remove_data(state: &StateDir, progress: &Progress) -> Result<(), Error> {
        let place = Place::find(state, progress)?;
        if !place.is_made() {
            return Ok(());
        }
        let cluster = Cluster::find(place.data, place.user, progress).await?;
        cluster.stop_leftover(progress).await?;
        cluster.remove()
    }

    /// Waits until the server ends by itself, and starts it again on the same port with the same
    /// data. Returns when queries are answered again, after one line to `progress`. Fails when the
    /// server has ended too often in a row.
    pub async fn restarted(&mut self, progress: &Progress) -> Result<(), Error> {
        supervision::restarted(&mut self.parts, &mut self.failures, progress).await
    }

    /// `postgres://USER:PASSWORD@127.0.0.1:PORT/DATABASE`.
    pub fn url(&self) -> String {
        self.parts.server.url(NAME)
    }

    /// Stops the server in order and waits for its end.
    pub async fn stop(self) -> Result<(), Error> {
        self.parts.server.stop().await
    }
}

impl Supervised for Parts {
    const NAME: &'static str = "PostgreSQL";

    fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.server.ended()
    }

    async fn start_again(&mut self) -> Result<(), Error> {
        // Where the guardian was killed, its server is still there.
        self.cluster.stop_leftover(&Progress::quiet()).await?;
        let settings = Settings {
            ports: Ports::Only(self.server.port()),
            options: &[],
            remove_afterwards: None,
        };
        self.server = Server::start(&self.cluster, &self.password, settings, &self.log).await?;
        Ok(())
    }

    fn port(&self) -> u16 {
        self.server.port()
    }

    fn log(&self) -> &Log {
        &self.log
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Postgres")
            .field("port", &self.parts.server.port())
            .finish_non_exhaustive()
    }
}
