//! Stops servers that an earlier, killed run left running.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Error, Progress};

/// Stops process `pid` if its command line contains `mark`, i.e. if it is the server of an earlier
/// run: the process id alone may belong to another process by now.
///
/// Sends `signals` in order, each with the time that the process has to end. Returns false if there
/// was no such process.
pub(crate) async fn stop(
    server: &'static str,
    pid: i32,
    mark: &Path,
    signals: &[(Signal, Duration)],
    progress: &Progress,
) -> Result<bool, Error> {
    if !runs(pid, mark) {
        return Ok(false);
    }
    progress.step(format!(
        "Stopping {server} of an earlier run (process {pid})"
    ));
    for (signal, grace_period) in signals {
        if let Some(process) = Pid::from_raw(pid) {
            // Fails if the process has ended in the meantime, which the loop below detects.
            let _ = kill_process(process, *signal);
        }
        let deadline = Instant::now() + *grace_period;
        while Instant::now() < deadline {
            if !runs(pid, mark) {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Err(Error::LeftoverNotStopped { server, pid })
}

/// Returns true if process `pid` runs and its command line contains `mark`.
pub(crate) fn runs(pid: i32, mark: &Path) -> bool {
    pid > 0 && command_line(pid).is_some_and(|line| line.contains(&*mark.to_string_lossy()))
}

/// Returns a process's program and arguments. A zombie process has none.
fn command_line(pid: i32) -> Option<String> {
    // Small Linux images lack `ps`; macOS lacks /proc.
    if let Ok(arguments) = fs::read(format!("/proc/{pid}/cmdline")) {
        return Some(String::from_utf8_lossy(&arguments).replace('\0', " "));
    }
    let output = Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", &pid.to_string()])
        .output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
