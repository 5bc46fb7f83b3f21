//! Runs a server as a child of a guardian, so that it does not outlive this process.
//!
//! The guardian is a small shell script with the read end of a pipe from this process. The pipe
//! closes when this process closes it or ends, even by `kill -9`; the guardian then stops the
//! server gracefully, or by force after a grace period. As the server's parent, it never signals
//! another process that got the same process id.
//!
//! Guardian and server have a separate process group, so that Ctrl-C in a terminal reaches only
//! this process, which then stops the servers in its order.

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

/// The parameters of running and stopping a server.
pub(crate) struct Service<'a> {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// Variables to remove from the program's environment.
    pub(crate) hidden_variables: Vec<String>,
    /// The user that it runs as.
    pub(crate) user: ServerUser,
    /// The signal for a graceful stop, by its name for `kill -s`.
    pub(crate) stop_signal: &'static str,
    /// The signal for a forced stop.
    pub(crate) force_signal: &'static str,
    /// The time between the two signals.
    pub(crate) grace_period: Duration,
    /// A file to which its process id is written.
    pub(crate) pid_file: Option<&'a Path>,
    /// A directory that is removed after it has stopped.
    pub(crate) remove_afterwards: Option<&'a Path>,
    /// The file of its output.
    pub(crate) log: File,
}

/// A running server. Dropping it closes the pipe, which makes the guardian stop the server.
#[derive(Debug)]
pub(crate) struct Guarded {
    guardian: Child,
    pipe: Option<ChildStdin>,
    grace_period: Duration,
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
            .arg(service.grace_period.as_secs().to_string())
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
        let pipe = guardian.stdin.take();
        Ok(Self {
            guardian,
            pipe,
            grace_period: service.grace_period,
        })
    }

    /// Returns the server's exit status if it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.guardian
            .try_wait()
            .map_err(Error::io("check the status of a server"))
    }

    /// Stops the server and waits until it has ended.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        self.pipe = None;
        // The guardian forces the stop after the grace period; this deadline is for a server that
        // does not end even then.
        let deadline = Instant::now() + self.grace_period + Duration::from_secs(10);
        while self.ended()?.is_none() {
            if Instant::now() > deadline {
                let action = "stop a server by force".to_owned();
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
