//! The state directory of an instance, which holds all its files.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Error;
use crate::log::Log;
use crate::private::{random_password, write_private};

/// An instance's directory, locked by this process until dropped.
///
/// A file lock is used, which the system releases when the process ends.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    lock: File,
}

impl StateDir {
    /// Opens and locks the directory, and creates it if it does not exist.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let unusable = |cause| Error::StateDirectory {
            path: path.to_owned(),
            cause,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(unusable)?;
        // Canonical, because leftover processes are recognised by their paths.
        let path = path.canonicalize().map_err(unusable)?;
        let lock = lock(&path)?;
        Ok(Self { path, lock })
    }

    /// Returns true if a running process has locked the directory at `path`, which need not exist.
    pub fn is_held(path: &Path) -> bool {
        let Ok(lock) = File::open(path.join(LOCK)) else {
            return false;
        };
        // A shared lock, so that two concurrent checks do not mistake each other for the holder.
        match lock.try_lock_shared() {
            Ok(()) => {
                drop(lock.unlock());
                false
            }
            Err(error) => matches!(error, TryLockError::WouldBlock),
        }
    }

    /// Returns the default state directory of `arcadia dev`, in the user's data directory.
    pub fn default_path() -> Result<PathBuf, Error> {
        dirs::data_dir()
            .map(|directory| directory.join("arcadia"))
            .ok_or(Error::NoStateDirectory)
    }

    /// The directory, absolute and without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log file of a server.
    pub(crate) fn log(&self, server: &str) -> Log {
        Log::new(self.path.join("log").join(server).with_extension("log"))
    }

    /// Returns the last note of [`StateDir::write_note`] with this name.
    pub(crate) fn read_note(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path.join(name))
            .ok()
            .map(|text| text.trim().to_owned())
    }

    /// Writes one line to the file `name`, for the next start and for users.
    pub(crate) fn write_note(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        fs::write(&path, format!("{text}\n")).map_err(|cause| Error::StateDirectory { path, cause })
    }

    /// Returns the password in the file `name`, readable by its owner only; the first call
    /// generates it.
    pub(crate) fn password(&self, name: &str) -> Result<String, Error> {
        if let Some(password) = self.read_note(name).filter(|password| !password.is_empty()) {
            return Ok(password);
        }
        let password = random_password();
        let path = self.path.join(name);
        write_private(&path, &password).map_err(|cause| Error::StateDirectory { path, cause })?;
        Ok(password)
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        // Closing the file does not release the lock while a forked child still shares the file.
        drop(self.lock.unlock());
    }
}

/// Time to wait for the lock: a killed process holds it until it has ended, and a supervisor may
/// start the next process immediately.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

const LOCK: &str = "lock";

fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join(LOCK);
    let unusable = |cause| Error::StateDirectory {
        path: path.clone(),
        cause,
    };
    // Not truncated: until this process has the lock, the file contains the holder's process id.
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(unusable)?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(RETRY_INTERVAL);
            }
            Err(TryLockError::WouldBlock) => return Err(held(directory, &path)),
            Err(TryLockError::Error(cause)) => return Err(unusable(cause)),
        }
    }
    file.set_len(0).map_err(unusable)?;
    writeln!(file, "{}", std::process::id()).map_err(unusable)?;
    Ok(file)
}

fn held(directory: &Path, lock: &Path) -> Error {
    let holder = fs::read_to_string(lock).unwrap_or_default();
    let holder = match holder.trim() {
        "" => "unknown",
        holder => holder,
    };
    Error::StateDirectoryHeld {
        path: directory.to_owned(),
        holder: holder.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_second_opener_names_the_holder() {
        let directory = tempfile::tempdir().unwrap();
        let held = StateDir::open(directory.path()).unwrap();
        let error = StateDir::open(directory.path()).unwrap_err();
        let expected = std::process::id().to_string();
        assert!(
            matches!(&error, Error::StateDirectoryHeld { holder, .. } if *holder == expected),
            "{error:?}"
        );
        drop(held);
        StateDir::open(directory.path()).unwrap();
    }

    #[test]
    fn a_directory_is_held_until_its_opener_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!StateDir::is_held(directory.path()));
        let held = StateDir::open(directory.path()).unwrap();
        assert!(StateDir::is_held(directory.path()));
        drop(held);
        assert!(!StateDir::is_held(directory.path()));
        assert!(!StateDir::is_held(&directory.path().join("missing")));
    }

    #[test]
    fn opening_waits_for_a_holder_that_is_about_to_end() {
        let directory = tempfile::tempdir().unwrap();
        let held = StateDir::open(directory.path()).unwrap();
        let dying = std::thread::spawn(move || {
            std::thread::sleep(LOCK_TIMEOUT / 5);
            drop(held);
        });
        StateDir::open(directory.path()).unwrap();
        dying.join().unwrap();
    }

    #[test]
    fn the_password_is_generated_once_and_readable_only_by_its_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        let password = state.password("password").unwrap();
        assert_eq!(state.password("password").unwrap(), password);
        let mode = fs::metadata(state.path().join("password"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
