//! A registry of the user's state directories, to recognise variables that another one printed.
//!
//! A directory next to the tools holds one file for each password and each Temporal store of a
//! state directory. The file's name is a hash, which reveals no secret; it contains the state
//! directory's path.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::StateDir;
use crate::tools::cache_directory;

/// Records that `state` has a database with this password.
pub(crate) fn note_password(state: &StateDir, password: &str) {
    note(&registry(), state.path(), password);
}

/// Records that `state` has a Temporal server.
pub(crate) fn note_temporal(state: &StateDir) {
    note(&registry(), state.path(), &state.path().to_string_lossy());
}

/// Returns the state directory with a current or former database of this password.
pub(crate) fn with_password(password: &str) -> Option<PathBuf> {
    entry(&registry().join(hash(password)))
}

/// Returns all registered state directories that still exist.
pub(crate) fn all() -> Vec<PathBuf> {
    let entries = fs::read_dir(registry()).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.filter_map(|file| entry(&file.path())).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

fn registry() -> PathBuf {
    cache_directory().join("state-directories")
}

/// Writes an entry. Best effort: without it, a leftover variable only causes a less helpful error.
fn note(registry: &Path, state: &Path, text: &str) {
    forget_removed(registry);
    if fs::create_dir_all(registry).is_ok() {
        drop(fs::write(
            registry.join(hash(text)),
            format!("{}\n", state.display()),
        ));
    }
}

fn forget_removed(registry: &Path) {
    for file in fs::read_dir(registry).into_iter().flatten().flatten() {
        if entry(&file.path()).is_none() {
            drop(fs::remove_file(file.path()));
        }
    }
}

/// Returns the path in a file of the registry, if that directory exists.
fn entry(file: &Path) -> Option<PathBuf> {
    let path = PathBuf::from(fs::read_to_string(file).ok()?.trim_end_matches('\n'));
    path.is_dir().then_some(path)
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut hash = String::new();
    for byte in &digest[..16] {
        // Writing to a string does not fail.
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_identifies_its_state_directory_while_that_exists() {
        let registry = tempfile::tempdir().unwrap();
        let state = tempfile::tempdir().unwrap();
        note(registry.path(), state.path(), "secret");
        let file = registry.path().join(hash("secret"));
        assert_eq!(entry(&file).unwrap(), state.path());
        assert!(!file.to_string_lossy().contains("secret"));

        drop(state);
        assert_eq!(entry(&file), None);
        let other = tempfile::tempdir().unwrap();
        note(registry.path(), other.path(), "another");
        assert!(!file.exists());
    }
}
