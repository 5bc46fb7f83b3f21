//! Runs `arcadia` as a process and checks its output and exit status.

use std::env;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// Limit of every wait. A killed run is detected by its heartbeat timeout, after half a minute.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);
const INTERVAL: Duration = Duration::from_millis(50);

/// Returns the command `arcadia` with these arguments, without the settings of the test's
/// environment.
pub(crate) fn arcadia(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arcadia"));
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let prefixes = [
            "ARCADIA_",
            "DO_API_TOKEN",
            "OTEL_",
            "SPACES_",
            "TEMPORAL_",
            "VAULT_",
        ];
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .env_remove("DATABASE_URL")
        .env_remove("DIGITALOCEAN_API_URL")
        .env_remove("RUST_LOG")
        // No profile of Temporal's CLI, and a backtrace for every panic.
        .env("TEMPORAL_CONFIG_FILE", "/dev/null")
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a command to completion within the limit.
pub(crate) async fn output(mut command: Command) -> Output {
    let output = tokio::time::timeout(LIMIT, command.output());
    output.await.expect("the process did not end").unwrap()
}

/// Runs a command that must fail with exit code 1 and one line of error, and returns that line.
pub(crate) async fn refusal(command: Command) -> String {
    let output = output(command).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for trace in ["panicked", "backtrace", "RUST_BACKTRACE"] {
        assert!(!errors.contains(trace), "{errors}");
    }
    let mut lines: Vec<&str> = errors.lines().collect();
    let last = lines.pop().unwrap_or_default();
    let refusal = last.strip_prefix("error: ");
    let refusal = refusal.unwrap_or_else(|| panic!("no error at the end of {errors:?}"));
    let more = lines.iter().any(|line| line.starts_with("error"));
    assert!(!more, "more than one error: {errors}");
    refusal.to_owned()
}

/// Sends SIGTERM to a process, as an orchestrator does, and waits for its successful exit.
pub(crate) async fn stop(mut process: Child) {
    terminate(&process);
    let ended = tokio::time::timeout(LIMIT, process.wait());
    let status = ended.await.expect("the process did not stop").unwrap();
    assert_eq!(status.code(), Some(0));
}

pub(crate) fn terminate(process: &Child) {
    let id = process.id().unwrap().try_into().unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
}

/// Polls a condition until it returns a value; `name` describes it in the failure.
pub(crate) async fn eventually<T>(name: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        let limit = LIMIT.as_secs();
        assert!(Instant::now() < deadline, "not within {limit} s: {name}");
        tokio::time::sleep(INTERVAL).await;
    }
}
