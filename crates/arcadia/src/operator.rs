//! The person who runs a command, for the audit.

use std::process::Command;

use store::Actor;

use crate::configuration::variable;

/// Returns the author of the acts of this command: the user of the operating system. The user that
/// `sudo` states is added, not trusted.
pub(crate) fn actor() -> Actor {
    let user = user();
    Actor::of_command(&match variable("SUDO_USER") {
        Some(caller) if caller != user => format!("{caller} (as {user})"),
        _ => user,
    })
}

/// Returns the name of the effective user by `id -un`, or its number if it has no name, as in a
/// container. Variables such as `USER` are not read: every caller can set them.
fn user() -> String {
    let name = Command::new("id").arg("-un").output().ok();
    let name = name.filter(|output| output.status.success());
    let name = name.and_then(|output| String::from_utf8(output.stdout).ok());
    let name = name.map(|name| name.trim().to_owned());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| {
        let id = rustix::process::geteuid().as_raw();
        format!("uid {id}")
    })
}
