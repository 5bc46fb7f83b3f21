//! Chooses the user that the PostgreSQL server runs as, because it refuses to run as root.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Error;

/// The user a server runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerUser {
    /// The user of this process.
    Ourselves,
    /// An unprivileged user, because this process runs as root.
    Other {
        /// User id.
        uid: u32,
        /// Primary group id.
        gid: u32,
    },
}

impl ServerUser {
    /// Chooses the user of this process, unless that is root: then the owner of `data`, else
    /// `postgres`, else `nobody`.
    pub(crate) fn choose(data: &Path) -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        if let Ok(owner) = fs::metadata(data)
            && owner.uid() != 0
        {
            return Ok(Self::Other {
                uid: owner.uid(),
                gid: owner.gid(),
            });
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| {
                Some(Self::Other {
                    uid: numeric_id("-u", name)?,
                    gid: numeric_id("-g", name)?,
                })
            })
            .ok_or(Error::NoUnprivilegedUser)
    }

    /// Returns a command that runs as this user, without variables that configure PostgreSQL, in a
    /// working directory that every user may enter.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .env("LC_ALL", "C");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        if let Self::Other { uid, gid } = self {
            command.gid(gid).uid(uid);
        }
        command
    }

    /// Makes this user the owner of `path`.
    pub(crate) fn take_ownership(self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid } => {
                chown(path, Some(uid), Some(gid)).map_err(Error::io(format!(
                    "change the owner of {} to the user that PostgreSQL runs as",
                    path.display()
                )))
            }
        }
    }

    /// Returns true if this user can enter `directory`. It is tried, which takes every parent
    /// directory, access control list and mount into account.
    pub(crate) fn can_enter(self, directory: &Path) -> bool {
        self == Self::Ourselves
            || self
                .command(Path::new("/bin/sh"))
                .args(["-c", "cd \"$1\"", "sh"])
                .arg(directory)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
    }
}

/// Returns a user's id by `id -u NAME`, because `/etc/passwd` on macOS does not list every user.
fn numeric_id(flag: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([flag, name]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
