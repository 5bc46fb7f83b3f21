//! The programs that this crate runs: where they are found and, failing that, fetched to.

pub(crate) mod postgres;
pub(crate) mod temporal;

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::{Error, Progress};

/// Where fetched programs are kept, for all instances of this user: `ARCADIA_TOOLS_DIR`, else the
/// user's cache directory.
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

/// Every directory of PATH.
fn path_directories() -> Vec<PathBuf> {
    env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default()
}

/// Holds the installation of `tool` into `cache`, so that two instances do not both fetch it.
/// Waits for another one that is at it.
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
    let waiting = progress.spinner(format!("Waiting for another process that installs {tool}"));
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    let file = locked
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(unusable())?;
    waiting.done();
    Ok(file)
}
