//! Who the PostgreSQL server runs as: it refuses to run as root.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Error;

/// The user a server runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerUser {
    /// Whoever we are.
    Ourselves,
    /// Somebody without privileges, because we are root.
    Other {
        /// User id.
        uid: u32,
        /// Primary group id.
        gid: u32,
    },
}

impl ServerUser {
    /// Ourselves, unless we are root: then whoever owns `data` already, else `postgres`, else `nobody`.
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

    /// A command that runs as this user, with nothing in its environment that bends what
    /// PostgreSQL does, from a directory that everybody may enter.
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

    /// Makes `path` this user's own.
    pub(crate) fn take_over(self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid } => {
                chown(path, Some(uid), Some(gid)).map_err(Error::io(format!(
                    "give {} to the user that PostgreSQL runs as",
                    path.display()
                )))
            }
        }
    }

    /// Whether this user can enter `directory`. Tried rather than computed: that accounts for
    /// every ancestor, access control list and mount.
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

/// `id -u NAME` rather than `/etc/passwd`, which on macOS does not list everybody.
fn numeric_id(flag: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([flag, name]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
