//! A server that does not outlive us.
//!
//! Each server is the child of a small shell script, its guardian, that holds the read end of a
//! pipe from us. The pipe closes when we close it and when we end, by whatever means, `kill -9`
//! included; the guardian then stops the server in order, and by force when that takes too long.
//! Being the server's parent, it never signals a stranger that got the same process id.
//!
//! Guardian and server have a process group of their own, so that Ctrl-C in a terminal reaches
//! only us and the servers go down in our order.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::Error;
use crate::users::ServerUser;

const SCRIPT: &str = include_str!("guardian.sh");

/// How a server is run and ended.
pub(crate) struct Service<'a> {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// Variables that the program must not see.
    pub(crate) hidden_variables: Vec<String>,
    /// Who it runs as.
    pub(crate) user: ServerUser,
    /// The signal that asks it to end, by its name for `kill -s`.
    pub(crate) stop_signal: &'static str,
    /// The signal that makes it end.
    pub(crate) force_signal: &'static str,
    /// How long it has between the two.
    pub(crate) patience: Duration,
    /// A file for its process id, or none.
    pub(crate) pid_file: Option<&'a Path>,
    /// A directory that is removed once it has ended, or none.
    pub(crate) remove_afterwards: Option<&'a Path>,
    /// Where its output goes.
    pub(crate) log: File,
}

/// A running server and the lifeline that keeps it running. Dropped, the server is stopped soon.
#[derive(Debug)]
pub(crate) struct Guarded {
    guardian: Child,
    lifeline: Option<ChildStdin>,
    patience: Duration,
}

impl Guarded {
    /// Starts the service under a guardian.
    pub(crate) fn start(service: Service<'_>) -> Result<Self, Error> {
        let optional =
            |path: Option<&'_ Path>| path.map(Path::as_os_str).unwrap_or_default().to_owned();
        let mut command = service.user.command(Path::new("/bin/sh"));
        command
            .args([
                "-c",
                SCRIPT,
                "guardian",
                service.stop_signal,
                service.force_signal,
            ])
            .arg(service.patience.as_secs().to_string())
            .arg(optional(service.pid_file))
            .arg(optional(service.remove_afterwards))
            .args(&service.command);
        for variable in &service.hidden_variables {
            command.env_remove(variable);
        }
        let mut guardian = spawn(&mut command, service.log).map_err(Error::io(format!(
            "start {}",
            service.command[0].to_string_lossy()
        )))?;
        let lifeline = guardian.stdin.take();
        Ok(Self {
            guardian,
            lifeline,
            patience: service.patience,
        })
    }

    /// How the server ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.guardian
            .try_wait()
            .map_err(Error::io("look after a server"))
    }

    /// Stops the server and waits until it has ended.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        self.lifeline = None;
        // The guardian itself turns to force after `patience`; this limit is for a server that
        // not even force ends.
        let deadline = Instant::now() + self.patience + Duration::from_secs(10);
        while self.ended()?.is_none() {
            if Instant::now() > deadline {
                let action = "stop a server, not even by force".to_owned();
                return Err(Error::Io {
                    action,
                    cause: io::ErrorKind::TimedOut.into(),
                });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

fn spawn(command: &mut Command, log: File) -> io::Result<Child> {
    let errors = log.try_clone()?;
    command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(errors)
        .spawn()
}
