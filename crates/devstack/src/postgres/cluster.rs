//! The data directory of PostgreSQL: creates it, and stops the server of a killed run.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use rustix::process::{Pid, Signal, test_kill_process};
use tokio::process::Command;

use super::NAME;
use crate::log::last_lines;
use crate::private::write_private;
use crate::tools::postgres::{Binaries, find_or_install};
use crate::users::ServerUser;
use crate::{Error, Progress, leftover};

/// A data directory, which need not exist yet, and binaries of its version.
pub(crate) struct Cluster {
    pub(crate) data: PathBuf,
    pub(super) user: ServerUser,
    pub(super) binaries: Binaries,
}

impl Cluster {
    /// Finds the binaries for the data directory `data`.
    pub(crate) async fn find(
        data: PathBuf,
        user: ServerUser,
        progress: &Progress,
    ) -> Result<Self, Error> {
        let major = fs::read_to_string(data.join("PG_VERSION"));
        let major = major.ok().and_then(|major| major.trim().parse().ok());
        let binaries = find_or_install(major, user, progress).await?;
        Ok(Self {
            data,
            user,
            binaries,
        })
    }

    /// Removes the data directory. The server must not run.
    pub(super) fn remove(&self) -> Result<(), Error> {
        let unusable = Error::io(format!("remove the data directory {}", self.data.display()));
        remove_directory(&self.data).map_err(unusable)
    }

    /// Returns the path of one of PostgreSQL's programs next to the server's, which may not exist.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.binaries.program(name)
    }

    /// Creates the data directory with its only user, unless it exists.
    pub(crate) async fn create_if_missing(
        &self,
        password: &str,
        options: &[&str],
        progress: &Progress,
    ) -> Result<(), Error> {
        if self.data.exists() {
            return Ok(());
        }
        let task = progress.spinner("Creating an empty database");
        // Under a temporary name until it is complete, so that a killed attempt is repeated.
        let unfinished = self.data.with_added_extension("new");
        let password_file = self.data.with_added_extension("new-password");
        let unusable = || Error::io(format!("create the data directory {}", self.data.display()));
        let mut failed = None;
        // Not every C library has C.UTF-8, which sorts like C and supports upper and lower case
        // beyond ASCII.
        for locale in ["C.UTF-8", "C"] {
            remove_directory(&unfinished).map_err(unusable())?;
            fs::DirBuilder::new()
                .mode(0o700)
                .create(&unfinished)
                .map_err(unusable())?;
            self.user.take_ownership(&unfinished)?;
            write_private(&password_file, password).map_err(unusable())?;
            self.user.take_ownership(&password_file)?;
            let output = self
                .initdb(&unfinished, &password_file, locale, options)
                .await;
            fs::remove_file(&password_file).map_err(unusable())?;
            let output = output.map_err(unusable())?;
            if output.status.success() {
                fs::rename(&unfinished, &self.data).map_err(unusable())?;
                task.done();
                return Ok(());
            }
            failed = Some(output);
        }
        remove_directory(&unfinished).map_err(unusable())?;
        let Output {
            status,
            stdout,
            stderr,
        } = failed.unwrap_or_else(|| unreachable!("two locales"));
        let output = [stdout, stderr].concat();
        let output = last_lines(&String::from_utf8_lossy(&output), 4);
        Err(Error::Command {
            action: "creating the database (initdb)",
            status,
            output,
        })
    }

    async fn initdb(
        &self,
        directory: &Path,
        password_file: &Path,
        locale: &str,
        options: &[&str],
    ) -> io::Result<Output> {
        let mut command = self.user.command(&self.binaries.program("initdb"));
        command
            .arg("--pgdata")
            .arg(directory)
            .arg("--pwfile")
            .arg(password_file);
        command.args([
            "--username",
            NAME,
            "--auth",
            "scram-sha-256",
            "--encoding",
            "UTF8",
        ]);
        command.args(["--locale", locale]).args(options);
        Command::from(command).kill_on_drop(true).output().await
    }

    /// Stops the server that a killed run left running in this directory, if there is one.
    pub(crate) async fn stop_leftover(&self, progress: &Progress) -> Result<(), Error> {
        const FAST: (Signal, Duration) = (Signal::INT, Duration::from_secs(20));
        const IMMEDIATE: (Signal, Duration) = (Signal::QUIT, Duration::from_secs(10));
        const KILL: (Signal, Duration) = (Signal::KILL, Duration::from_secs(10));
        let pid_file = self.data.join("postmaster.pid");
        let Some(pid) = first_number(&pid_file) else {
            return Ok(());
        };
        let signals = [FAST, IMMEDIATE, KILL];
        let stopped = leftover::stop("PostgreSQL", pid, &self.data, &signals, progress).await?;
        let process = Pid::from_raw(pid);
        if !stopped && process.is_some_and(|process| test_kill_process(process).is_ok()) {
            // The process id now belongs to another process. PostgreSQL would treat it as its
            // predecessor and refuse to start. If no process has the id, PostgreSQL itself checks
            // for a predecessor, more thoroughly than this code could.
            fs::remove_file(&pid_file)
                .map_err(Error::io(format!("remove {}", pid_file.display())))?;
        }
        Ok(())
    }
}

fn first_number(path: &Path) -> Option<i32> {
    fs::read_to_string(path)
        .ok()?
        .lines()
        .next()?
        .trim()
        .parse()
        .ok()
}

fn remove_directory(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
