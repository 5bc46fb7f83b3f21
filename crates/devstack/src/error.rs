//! What can go wrong, each said so that the reader knows what to do next.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a server could not be found, started or stopped.
///
/// Each message is whole: it says its cause, which `source()` therefore does not repeat.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no home directory to derive the default state directory from.
    #[error(
        "this user has no data directory: set ARCADIA_STATE_DIR to a directory you may write to"
    )]
    NoStateDirectory,

    /// The state directory cannot be made or read.
    #[error("the state directory {} cannot be used: {cause}; set ARCADIA_STATE_DIR to a directory you may write to", path.display())]
    StateDirectory {
        /// The directory or the file in it.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },

    /// Another living process runs its servers in this state directory.
    #[error("the state directory {} is in use by process {holder}: stop that one first, or set ARCADIA_STATE_DIR to another directory", path.display())]
    StateDirectoryHeld {
        /// The directory.
        path: PathBuf,
        /// The process id of the holder, or `unknown`.
        holder: String,
    },

    /// The database is there but the password made for it is not.
    #[error("{} is missing, so the database in {} cannot be opened: restore that file, or remove the database to begin with an empty one", password.display(), data.display())]
    PasswordLost {
        /// Where the password was kept.
        password: PathBuf,
        /// The data directory it belongs to.
        data: PathBuf,
    },

    /// We are root, PostgreSQL refuses to run as root, and there is nobody else to run it as.
    #[error(
        "PostgreSQL does not run as root and this machine has neither a user `postgres` nor `nobody`: add one (`useradd --system postgres`), run as another user, or set DATABASE_URL"
    )]
    NoUnprivilegedUser,

    /// No PostgreSQL server binaries, and none could be had.
    #[error("no usable PostgreSQL server was found or downloaded ({}): set DATABASE_URL to a running server, or install PostgreSQL {oldest} or newer (Debian: apt-get install postgresql; macOS: brew install postgresql@17), or let this machine reach repo1.maven.org and start again", tried.join("; "))]
    NoPostgres {
        /// The oldest major version that will do, or the one the data directory demands.
        oldest: u32,
        /// What each way of getting one said.
        tried: Vec<String>,
    },

    /// No Temporal CLI, and none could be had.
    #[error("no Temporal dev server was found, downloaded or built ({}): set TEMPORAL_ADDRESS to a running server, or install the Temporal CLI (macOS: brew install temporal; others: https://docs.temporal.io/cli), or let this machine reach temporal.download and start again, or install Go (https://go.dev/dl) so that it can be built here", tried.join("; "))]
    NoTemporal {
        /// What each way of getting one said.
        tried: Vec<String>,
    },

    /// A program that was run for its effect failed.
    #[error("{action} failed ({status}): {output}")]
    Command {
        /// What it was to do.
        action: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        output: String,
    },

    /// A server ended before it was ready.
    #[error("{server} ended while starting ({status}); {} ends with:\n{tail}", log.display())]
    Ended {
        /// Which server.
        server: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },

    /// A server runs but does not answer.
    #[error("{server} did not answer within {} s (last: {reason}); {} ends with:\n{tail}", limit.as_secs(), log.display())]
    NotReady {
        /// Which server.
        server: &'static str,
        /// How long we waited.
        limit: Duration,
        /// The last answer.
        reason: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },

    /// A server that an earlier run left behind cannot be stopped.
    #[error(
        "{server} of an earlier run (process {pid}) does not stop: end it by hand (kill -9 {pid}) and start again"
    )]
    LeftoverStays {
        /// Which server.
        server: &'static str,
        /// Its process id.
        pid: i32,
    },

    /// A server ends again and again.
    #[error("{server} failed {times} times in a row and is not started again (last: {last}); see {}", log.display())]
    KeepsEnding {
        /// Which server.
        server: &'static str,
        /// How often it ended or did not start.
        times: u32,
        /// What happened the last time.
        last: String,
        /// Its log file.
        log: PathBuf,
    },

    /// A server has to listen where it did before, and cannot.
    #[error("another process listens on port {port} of 127.0.0.1")]
    PortTaken {
        /// The port.
        port: u16,
    },

    /// Our own PostgreSQL refuses what we ask of it.
    #[error("{action} failed: {cause}")]
    Sql {
        /// What was asked.
        action: &'static str,
        /// What the server said.
        cause: sqlx::Error,
    },

    /// A file or process operation failed.
    #[error("cannot {action}: {cause}")]
    Io {
        /// What was attempted, as a verb and its object.
        action: String,
        /// What the system said.
        cause: io::Error,
    },
}

impl Error {
    /// For `map_err`: `cannot {action}: ...`.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |cause| Self::Io { action, cause }
    }
}
