//! Running `arcadia` and looking at what becomes of it.

use std::env;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// How long anything may take. A run that was killed is noticed by its heartbeat, half a minute later.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);
const INTERVAL: Duration = Duration::from_millis(50);

/// `arcadia` with these arguments, untouched by the settings of whoever runs the tests.
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
        // An empty profile, and backtraces wherever there would be one.
        .env("TEMPORAL_CONFIG_FILE", "/dev/null")
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs to the end, which must come in time.
pub(crate) async fn output(mut command: Command) -> Output {
    let output = tokio::time::timeout(LIMIT, command.output());
    output.await.expect("it does not end").unwrap()
}

/// Runs something that must fail, as every command fails: with exit code 1 and one line that says what to do.
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

/// Asks a process to stop as an orchestrator does, and waits for its end.
pub(crate) async fn stop(mut process: Child) {
    terminate(&process);
    let ended = tokio::time::timeout(LIMIT, process.wait());
    let status = ended.await.expect("it does not stop").unwrap();
    assert_eq!(status.code(), Some(0));
}

pub(crate) fn terminate(process: &Child) {
    let id = process.id().unwrap().try_into().unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
}

/// Waits for a condition to give something.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        let limit = LIMIT.as_secs();
        assert!(Instant::now() < deadline, "not within {limit} s: {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}
