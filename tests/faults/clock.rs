//! A worker's clock that is wrong.
//!
//! A small library is preloaded into the worker, which answers all questions for the time of day (`clock.c`). It takes Linux and a C
//! compiler; elsewhere the workers all have the right time, and the suite says so.

use std::path::PathBuf;
use std::sync::OnceLock;

use tokio::process::Command;
use tokio::sync::OnceCell;

/// A clock that is ahead by so many seconds; behind, where they are negative.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    library: PathBuf,
    pub(crate) ahead: i64,
}

impl Clock {
    /// None where none can be made; says so once.
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
        eprintln!("clock skew is left out: this is not Linux");
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
            eprintln!("clock skew is left out: there is no C compiler ({error})");
            None
        }
    }
}
