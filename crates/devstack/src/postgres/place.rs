//! Where the data directory is, and who runs the server in it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::users::ServerUser;
use crate::{Error, Progress, StateDir};

/// Holds the data of state directories that only root can enter.
const SHARED_DATA: &str = "/var/lib/arcadia";
/// Names the data directory where it is not inside the state directory.
const LOCATION_NOTE: &str = "postgres.location";
const DATA: &str = "postgres";

pub(super) struct Place {
    pub(super) data: PathBuf,
    pub(super) user: ServerUser,
}

impl Place {
    /// The data directory of this state directory, which need not exist yet.
    pub(super) fn find(state: &StateDir, progress: &Progress) -> Result<Self, Error> {
        if let Some(elsewhere) = state.recall(LOCATION_NOTE) {
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

    pub(super) fn is_made(&self) -> bool {
        self.data.exists()
    }
}

/// Lets others pass through the state directory, which is ours to open, if that lets `user` in.
/// It does not when a directory above is closed to them: those are not ours to touch.
fn open_to_others(directory: &Path, user: ServerUser) -> bool {
    let Ok(metadata) = fs::metadata(directory) else {
        return false;
    };
    let before = metadata.permissions();
    let after = Permissions::from_mode(before.mode() | 0o001);
    if fs::set_permissions(directory, after).is_ok() && user.can_enter(directory) {
        return true;
    }
    // Best effort: nothing depends on it.
    drop(fs::set_permissions(directory, before));
    false
}

/// Chooses a data directory outside the state directory, and notes it.
fn elsewhere(state: &StateDir, progress: &Progress) -> Result<PathBuf, Error> {
    // Random rather than made from the path: a state directory that was removed and made anew
    // must not meet the data, and the lost password, of the one before.
    let id = Uuid::new_v4().simple().to_string();
    let home = Path::new(SHARED_DATA).join(&id[..12]);
    let unusable = || Error::io(format!("make the data directory {}", home.display()));
    fs::create_dir_all(&home).map_err(unusable())?;
    for directory in [Path::new(SHARED_DATA), &home] {
        fs::set_permissions(directory, Permissions::from_mode(0o755)).map_err(unusable())?;
    }
    let owner = home.join("belongs-to");
    fs::write(owner, format!("{}\n", state.path().display())).map_err(unusable())?;
    let data = home.join(DATA);
    state.remember(LOCATION_NOTE, &data.display().to_string())?;
    progress.step(format!(
        "The database is kept in {}: PostgreSQL does not run as root, and others cannot enter {}",
        data.display(),
        state.path().display()
    ));
    Ok(data)
}
