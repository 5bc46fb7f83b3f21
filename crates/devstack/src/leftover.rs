//! Processes that an earlier run left behind.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Error, Progress};

/// Stops process `pid` if it still is the server of an earlier run, which is when its command line
/// contains `mark`: the number alone may long belong to somebody else.
///
/// `signals` are sent in turn, each with the time the process then has to end.
/// Answers whether it was there.
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
        "Stopping the {server} that an earlier run left behind (process {pid})"
    ));
    for (signal, patience) in signals {
        if let Some(process) = Pid::from_raw(pid) {
            // It may end between the look and the signal: the look below decides.
            let _ = kill_process(process, *signal);
        }
        let deadline = Instant::now() + *patience;
        while Instant::now() < deadline {
            if !runs(pid, mark) {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Err(Error::LeftoverStays { server, pid })
}

/// Whether process `pid` lives and its command line contains `mark`.
pub(crate) fn runs(pid: i32, mark: &Path) -> bool {
    pid > 0 && command_line(pid).is_some_and(|line| line.contains(&*mark.to_string_lossy()))
}

/// A process's program and arguments. A dead process that nobody has waited for has none.
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
