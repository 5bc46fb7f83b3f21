//! The log files of the servers.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::private::make_private_directory;

/// A server's log file. Each start creates a new file and keeps the previous one as `NAME.1`.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    path: PathBuf,
}

impl Log {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Renames the previous file and creates a new one.
    pub(crate) fn create(&self) -> Result<File, Error> {
        let unusable = || Error::io(format!("write the log {}", self.path.display()));
        if let Some(directory) = self.path.parent() {
            make_private_directory(directory).map_err(unusable())?;
        }
        if self.path.exists() {
            fs::rename(&self.path, self.path.with_added_extension("1")).map_err(unusable())?;
        }
        File::create(&self.path).map_err(unusable())
    }

    /// Returns the last lines, for an error message.
    pub(crate) fn tail(&self) -> String {
        const LINES: usize = 12;
        let text = fs::read(&self.path).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&text), LINES)
    }
}

/// Returns the last `count` lines that are not blank.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
