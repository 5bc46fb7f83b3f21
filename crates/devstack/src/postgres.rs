//! The PostgreSQL server of a state directory.

mod cluster;
mod location;
mod server;

use std::fmt;
use std::process::ExitStatus;

pub(crate) use cluster::Cluster;
pub(crate) use server::{Server, Settings};

use crate::log::Log;
use crate::ports::Ports;
use crate::supervision::{self, Failures, Supervised};
use crate::{Error, Progress, StateDir, registry};
use location::Location;

/// The name of the user and of the database, created at the first start.
pub(crate) const NAME: &str = "arcadia";
/// One above PostgreSQL's default, which a server of the operating system often uses.
const DEFAULT_PORT: u16 = 5433;
pub(crate) const PORT_NOTE: &str = "postgres.port";
pub(crate) const PASSWORD_NOTE: &str = "postgres.password";

/// A running PostgreSQL server with its data in a state directory.
///
/// Listens on 127.0.0.1 only and requires the password that is stored in the state directory.
/// Dropping it stops the server too, but does not wait until it has ended, as [`Postgres::stop`]
/// does.
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
    /// Starts the server of this state directory and waits until it accepts queries.
    ///
    /// Finds or downloads the binaries, creates the database at the first start, and stops the
    /// server of a killed run.
    pub async fn start(state: &StateDir, progress: &Progress) -> Result<Self, Error> {
        let location = Location::find(state, progress)?;
        let password_file = state.path().join(PASSWORD_NOTE);
        if location.exists() && !password_file.exists() {
            return Err(Error::PasswordLost {
                password: password_file,
                data: location.data,
            });
        }
        let password = state.password(PASSWORD_NOTE)?;
        let cluster = Cluster::find(location.data, location.user, progress).await?;
        cluster.stop_leftover(progress).await?;
        cluster.create_if_missing(&password, &[], progress).await?;

        registry::note_password(state, &password);
        let last_port = state
            .read_note(PORT_NOTE)
            .and_then(|port| port.parse().ok());
        let settings = Settings {
            ports: Ports::Prefer(last_port.into_iter().chain([DEFAULT_PORT]).collect()),
            options: &[],
            remove_afterwards: None,
        };
        let task = progress.spinner("Starting PostgreSQL");
        let log = state.log("postgres");
        let server = Server::start(&cluster, &password, settings, &log).await?;
        state.write_note(PORT_NOTE, &server.port().to_string())?;
        server.create_database_if_missing(NAME).await?;
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

    /// Removes the data of this state directory, after stopping the server of a killed run.
    pub async fn remove_data(state: &StateDir, progress: &Progress) -> Result<(), Error> {
        let location = Location::find(state, progress)?;
        if !location.exists() {
            return Ok(());
        }
        let cluster = Cluster::find(location.data, location.user, progress).await?;
        cluster.stop_leftover(progress).await?;
        cluster.remove()
    }

    /// Waits until the server ends unexpectedly, and restarts it on the same port with the same
    /// data. Prints one line to `progress` and returns when it accepts queries. Fails if the server
    /// has failed too often in a row.
    pub async fn restarted(&mut self, progress: &Progress) -> Result<(), Error> {
        supervision::restarted(&mut self.parts, &mut self.failures, progress).await
    }

    /// `postgres://USER:PASSWORD@127.0.0.1:PORT/DATABASE`.
    pub fn url(&self) -> String {
        self.parts.server.url(NAME)
    }

    /// Stops the server gracefully and waits until it has ended.
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
        // If the guardian was killed, its server still runs.
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
