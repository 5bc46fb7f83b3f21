//! The program `arcadia`, started for a test.

use std::env;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::support::{LIMIT, TestSystem, within};

/// The program `arcadia api` with the database and the Temporal namespace of a test.
pub(crate) struct Program {
    /// The address of the server, without a path.
    pub(crate) url: String,
    /// Ends when dropped.
    _process: Child,
}

impl Program {
    /// Starts the program and waits until it serves.
    pub(crate) async fn api(system: &TestSystem) -> Self {
        let temporal = devstack::testing::temporal().await;
        let mut process = command(system)
            .args(["api", "--api-bind", "127.0.0.1:0"])
            .env("TEMPORAL_ADDRESS", temporal.address())
            .env("TEMPORAL_NAMESPACE", &system.namespace)
            .env("TEMPORAL_CONFIG_FILE", "/dev/null")
            // A test sends more requests than a person.
            .env("ARCADIA_API_REQUESTS_PER_SECOND", "100000")
            .env("ENDS_WITH_STANDARD_INPUT", "yes")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let serving = async {
            loop {
                let line = log.next_line().await.unwrap().expect("the program serves");
                if let Some((_, url)) = line.split_once("serving the API on ") {
                    return url.trim().to_owned();
                }
            }
        };
        let url = within(LIMIT, "arcadia api", serving).await;
        // Reads the rest, so that the program can write it.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self {
            url,
            _process: process,
        }
    }
}

/// Returns the program with the database of a test, and without the configuration of this process.
pub(crate) fn command(system: &TestSystem) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arcadia-under-test"));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let prefixes = ["ARCADIA_", "OTEL_", "RUST_LOG", "TEMPORAL_"];
        if prefixes.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
        .env("DATABASE_URL", system.database_url())
        .env("NO_COLOR", "1");
    command
}
