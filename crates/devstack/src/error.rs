//! The errors of this crate. Each message contains the fix.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// An error of finding, starting or stopping a server.
///
/// Each message includes its cause, so `source()` returns none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The default state directory cannot be determined, because the user has no data directory.
    #[error("this user has no data directory: set ARCADIA_STATE_DIR to a writable directory")]
    NoStateDirectory,

    /// The state directory cannot be created or read.
    #[error(
        "cannot use the state directory {}: {cause}; set ARCADIA_STATE_DIR to a writable directory",
        path.display()
    )]
    StateDirectory {
        /// The directory or the file in it.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },

    /// Another running process uses this state directory.
    #[error(
        "the state directory {} is in use by process {holder}: stop that process first, or set \
         ARCADIA_STATE_DIR to another directory",
        path.display()
    )]
    StateDirectoryHeld {
        /// The directory.
        path: PathBuf,
        /// The process id of the holder, or `unknown`.
        holder: String,
    },

    /// The database exists but its password file does not.
    #[error(
        "password file {} is missing, so the database in {} cannot be used: restore the file, or remove \
         the database to start with an empty one",
        password.display(),
        data.display()
    )]
    PasswordLost {
        /// The missing file.
        password: PathBuf,
        /// The data directory.
        data: PathBuf,
    },

    /// This process runs as root, PostgreSQL refuses to run as root, and no other user was found.
    #[error(
        "PostgreSQL does not run as root and this machine has neither a user `postgres` nor `nobody`: \
         add one (`useradd --system postgres`), run as another user, or set DATABASE_URL"
    )]
    NoUnprivilegedUser,

    /// PostgreSQL's server binaries were not found and could not be downloaded.
    #[error(
        "no usable PostgreSQL server was found or downloaded ({}): set DATABASE_URL to a running server; \
         or install PostgreSQL {oldest} or newer (Debian: apt-get install postgresql; macOS: brew install \
         postgresql@17); or allow this machine to reach repo1.maven.org and start again",
        tried.join("; ")
    )]
    NoPostgres {
        /// The oldest supported major version, or the version of the data directory.
        oldest: u32,
        /// The result of each attempt to obtain one.
        tried: Vec<String>,
    },

    /// The Temporal CLI was not found and could not be downloaded or built.
    #[error(
        "no Temporal dev server was found, downloaded or built ({}): set TEMPORAL_ADDRESS to a running \
         server; or install the Temporal CLI (macOS: brew install temporal; others: \
         https://docs.temporal.io/cli); or allow this machine to reach temporal.download and start again; \
         or install Go (https://go.dev/dl), with which the CLI is then built",
        tried.join("; ")
    )]
    NoTemporal {
        /// The result of each attempt to obtain one.
        tried: Vec<String>,
    },

    /// A helper program failed.
    #[error("{action} failed ({status}): {output}")]
    Command {
        /// The purpose of the program.
        action: &'static str,
        /// Its exit status.
        status: ExitStatus,
        /// The last lines of its output.
        output: String,
    },

    /// A server ended before it was ready.
    #[error("{server} ended while starting ({status}); {} ends with:\n{tail}", log.display())]
    Ended {
        /// The server's name.
        server: &'static str,
        /// Its exit status.
        status: ExitStatus,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },

    /// A server runs but does not become ready.
    #[error(
        "{server} was not ready within {} s (last error: {reason}); {} ends with:\n{tail}",
        limit.as_secs(),
        log.display()
    )]
    NotReady {
        /// The server's name.
        server: &'static str,
        /// The time limit.
        limit: Duration,
        /// The error of the last readiness check.
        reason: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },

    /// A server that an earlier run left running cannot be stopped.
    #[error(
        "{server} of an earlier run (process {pid}) does not stop: kill it (kill -9 {pid}) and start again"
    )]
    LeftoverNotStopped {
        /// The server's name.
        server: &'static str,
        /// Its process id.
        pid: i32,
    },

    /// A server ended or failed to start too often in a row.
    #[error(
        "{server} failed {times} times in a row and is not restarted (last failure: {last}); see {}",
        log.display()
    )]
    RestartsExhausted {
        /// The server's name.
        server: &'static str,
        /// The number of failures in a row.
        times: u32,
        /// The last failure.
        last: String,
        /// Its log file.
        log: PathBuf,
    },

    /// A server must listen on the same port as before, but the port is in use.
    #[error("port {port} of 127.0.0.1 is in use by another process")]
    PortTaken {
        /// The port.
        port: u16,
    },

    /// A statement on PostgreSQL failed.
    #[error("{action} failed: {cause}")]
    Sql {
        /// The purpose of the statement.
        action: &'static str,
        /// The server's error.
        cause: sqlx::Error,
    },

    /// A file or process operation failed.
    #[error("cannot {action}: {cause}")]
    Io {
        /// The operation, as a verb and its object.
        action: String,
        /// The system's error.
        cause: io::Error,
    },
}

impl Error {
    /// Returns a function for `map_err` that makes the error `cannot {action}: ...`.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |cause| Self::Io { action, cause }
    }
}
