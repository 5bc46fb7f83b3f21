//! The directory that one instance keeps everything in.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Error;
use crate::log::Log;
use crate::private::{random_password, write_private};

/// An instance's directory, held by this process until dropped.
///
/// The hold is a file lock, which vanishes with its holder, however that ends.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    lock: File,
}

impl StateDir {
    /// Opens the directory, making it where needed, and holds it.
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
        // One spelling for one directory: leftover processes are known by their paths.
        let path = path.canonicalize().map_err(unusable)?;
        let lock = lock(&path)?;
        Ok(Self { path, lock })
    }

    /// Whether a living process holds the directory at `path`. It need not exist.
    pub fn is_held(path: &Path) -> bool {
        let Ok(lock) = File::open(path.join(LOCK)) else {
            return false;
        };
        // Shared: two processes that look at once do not take each other for the holder.
        match lock.try_lock_shared() {
            Ok(()) => {
                drop(lock.unlock());
                false
            }
            Err(error) => matches!(error, TryLockError::WouldBlock),
        }
    }

    /// Where `arcadia dev` keeps its state unless told otherwise: the user's data directory.
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

    /// What [`StateDir::remember`] last noted under `name`.
    pub(crate) fn recall(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path.join(name))
            .ok()
            .map(|text| text.trim().to_owned())
    }

    /// Notes one line in the file `name`, for the next start and for people.
    pub(crate) fn remember(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        fs::write(&path, format!("{text}\n")).map_err(|cause| Error::StateDirectory { path, cause })
    }

    /// The password kept in the file `name`, made up at the first call. Only the owner may read it.
    pub(crate) fn password(&self, name: &str) -> Result<String, Error> {
        if let Some(password) = self.recall(name).filter(|password| !password.is_empty()) {
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
        // Closing the file is not enough while a child process, about to become its program,
        // still shares it.
        drop(self.lock.unlock());
    }
}

/// A killed process keeps its lock for the moments that it takes to die, and a supervisor starts the next one at once.
const HOLDER_GONE_WITHIN: Duration = Duration::from_secs(2);
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

const LOCK: &str = "lock";

fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join(LOCK);
    let unusable = |cause| Error::StateDirectory {
        path: path.clone(),
        cause,
    };
    // Not truncated on opening: until the lock is ours the content is the holder's.
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(unusable)?;
    let give_up_at = Instant::now() + HOLDER_GONE_WITHIN;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < give_up_at => {
                std::thread::sleep(BETWEEN_TRIES);
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
    fn a_second_opener_is_told_who_holds_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let held = StateDir::open(directory.path()).unwrap();
        let message = StateDir::open(directory.path()).unwrap_err().to_string();
        assert!(
            message.contains(&format!("in use by process {}", std::process::id())),
            "{message}"
        );
        drop(held);
        StateDir::open(directory.path()).unwrap();
    }

    #[test]
    fn a_directory_is_held_while_its_opener_lives() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!StateDir::is_held(directory.path()));
        let held = StateDir::open(directory.path()).unwrap();
        assert!(StateDir::is_held(directory.path()));
        drop(held);
        assert!(!StateDir::is_held(directory.path()));
        assert!(!StateDir::is_held(&directory.path().join("missing")));
    }

    #[test]
    fn a_holder_that_is_just_going_away_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let held = StateDir::open(directory.path()).unwrap();
        let dying = std::thread::spawn(move || {
            std::thread::sleep(HOLDER_GONE_WITHIN / 5);
            drop(held);
        });
        StateDir::open(directory.path()).unwrap();
        dying.join().unwrap();
    }

    #[test]
    fn the_password_is_made_once_and_readable_only_by_its_owner() {
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
