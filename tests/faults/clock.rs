//! A wrong clock for a worker.
//!
//! A small library (`clock.c`), preloaded into the worker, shifts the time of day. It requires
//! Linux and a C compiler; without them clock skew is skipped with a message.

use std::path::PathBuf;
use std::sync::OnceLock;

use tokio::process::Command;
use tokio::sync::OnceCell;

/// A clock that is ahead by a number of seconds, or behind if negative.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    library: PathBuf,
    pub(crate) ahead: i64,
}

impl Clock {
    /// Returns a skewed clock; none if the library cannot be built, with one message.
    pub(crate) async fn ahead(seconds: i64) -> Option<Self> {
        static LIBRARY: OnceCell<Option<PathBuf>> = OnceCell::const_new();
        let library = LIBRARY.get_or_init(build).await.clone()?;
        Some(Self {
            library,
            ahead: seconds,
        })
    }

    pub(crate) fn environment(&self) -> [(String, String); 2] {
        [
            ("LD_PRELOAD".to_owned(), self.library.display().to_string()),
            ("CLOCK_SKEW_SECONDS".to_owned(), self.ahead.to_string()),
        ]
    }
}

async fn build() -> Option<PathBuf> {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    if !cfg!(target_os = "linux") {
        eprintln!("skipping clock skew: not Linux");
        return None;
    }
    let directory = DIRECTORY.get_or_init(|| tempfile::tempdir().unwrap());
    let library = directory.path().join("libclock.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/faults/clock.c");
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]);
    let output = command.arg(&library).arg(source).output().await;
    match output {
        Ok(output) if output.status.success() => Some(library),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            eprintln!("skipping clock skew: no C compiler ({error})");
            None
        }
    }
}
