//! Finds the programs that this crate runs, or installs them into a cache directory.

pub(crate) mod postgres;
pub(crate) mod temporal;

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::{Error, Progress};

/// Returns the directory of installed programs, which all instances of this user share:
/// `ARCADIA_TOOLS_DIR`, else one in the user's cache directory.
pub(crate) fn cache_directory() -> PathBuf {
    env::var_os("ARCADIA_TOOLS_DIR")
        .filter(|path| !path.is_empty())
        .map_or_else(
            || {
                dirs::cache_dir()
                    .unwrap_or_else(env::temp_dir)
                    .join("arcadia/tools")
            },
            PathBuf::from,
        )
}

/// Returns the directories of PATH.
fn path_directories() -> Vec<PathBuf> {
    env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default()
}

/// Locks the installation of `tool` into `cache`, so that two instances do not install it
/// concurrently. Waits for an installation in progress.
async fn lock_installation(cache: &Path, tool: &str, progress: &Progress) -> Result<File, Error> {
    let path = cache.join(format!("{tool}.lock"));
    let unusable = || Error::io(format!("write to the tools directory {}", cache.display()));
    fs::create_dir_all(cache).map_err(unusable())?;
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(unusable())?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(cause)) => return Err(unusable()(cause)),
    }
    let waiting = progress.spinner(format!("Waiting for another process to install {tool}"));
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    let file = locked
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(unusable())?;
    waiting.done();
    Ok(file)
}
