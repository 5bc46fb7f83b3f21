//! Chooses the data directory of a state directory and the user that runs its server.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::users::ServerUser;
use crate::{Error, Progress, StateDir};

/// The directory for the data of state directories that only root can enter.
const SHARED_DATA: &str = "/var/lib/arcadia";
/// The note with the path of a data directory outside the state directory.
const LOCATION_NOTE: &str = "postgres.location";
const DATA: &str = "postgres";

pub(super) struct Location {
    pub(super) data: PathBuf,
    pub(super) user: ServerUser,
}

impl Location {
    /// Finds the data directory of this state directory, which need not exist yet.
    pub(super) fn find(state: &StateDir, progress: &Progress) -> Result<Self, Error> {
        if let Some(elsewhere) = state.read_note(LOCATION_NOTE) {
            let data = PathBuf::from(elsewhere);
            return Ok(Self {
                user: ServerUser::choose(&data)?,
                data,
            });
        }
        let data = state.path().join(DATA);
        let user = ServerUser::choose(&data)?;
        if user.can_enter(state.path()) || open_to_others(state.path(), user) {
            return Ok(Self { data, user });
        }
        Ok(Self {
            data: elsewhere(state, progress)?,
            user,
        })
    }

    pub(super) fn exists(&self) -> bool {
        self.data.exists()
    }
}

/// Opens the state directory for other users to pass through, and returns true if `user` can then
/// enter it. Parent directories are not changed; if one is closed to the user, the change is
/// undone.
fn open_to_others(directory: &Path, user: ServerUser) -> bool {
    let Ok(metadata) = fs::metadata(directory) else {
        return false;
    };
    let before = metadata.permissions();
    let after = Permissions::from_mode(before.mode() | 0o001);
    if fs::set_permissions(directory, after).is_ok() && user.can_enter(directory) {
        return true;
    }
    // Best effort.
    drop(fs::set_permissions(directory, before));
    false
}

/// Chooses a data directory outside the state directory, and records it there.
fn elsewhere(state: &StateDir, progress: &Progress) -> Result<PathBuf, Error> {
    // Random instead of derived from the path, because a re-created state directory must not use
    // the data of the removed one: its password is lost.
    let id = Uuid::new_v4().simple().to_string();
    let parent = Path::new(SHARED_DATA).join(&id[..12]);
    let unusable = || Error::io(format!("create the data directory {}", parent.display()));
    fs::create_dir_all(&parent).map_err(unusable())?;
    for directory in [Path::new(SHARED_DATA), &parent] {
        fs::set_permissions(directory, Permissions::from_mode(0o755)).map_err(unusable())?;
    }
    let owner = parent.join("belongs-to");
    fs::write(owner, format!("{}\n", state.path().display())).map_err(unusable())?;
    let data = parent.join(DATA);
    state.write_note(LOCATION_NOTE, &data.display().to_string())?;
    progress.step(format!(
        "The database is stored in {}: PostgreSQL does not run as root, and other users cannot enter {}",
        data.display(),
        state.path().display()
    ));
    Ok(data)
}
