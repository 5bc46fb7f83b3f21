//! Which port a server listens on.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Error;
use crate::tools::cache_directory;

/// A TCP port of 127.0.0.1 that nobody listens on at this moment.
///
/// Another process can take it before the caller does; whoever needs certainty retries.
pub fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("find a free port on 127.0.0.1"))
}

/// A port that no other instance of this user chooses meanwhile. Held until its server listens.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) port: u16,
    lock: Option<File>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // Closing the file is not enough while a child process, about to become its program,
        // still shares it.
        if let Some(lock) = &self.lock {
            drop(lock.unlock());
        }
    }
}

/// Which ports a server may listen on.
#[derive(Debug, Clone)]
pub(crate) enum Ports {
    /// The first of these that is free, else any.
    Prefer(Vec<u16>),
    /// This one and no other: clients know it.
    Only(u16),
}

impl Ports {
    pub(crate) async fn reserve(&self) -> Result<Reserved, Error> {
        match self {
            Self::Prefer(wanted) => reserve(wanted),
            Self::Only(port) => reserve_again(*port).await,
        }
    }
}

/// Reserves the first of `wanted` that is free, else any free port.
fn reserve(wanted: &[u16]) -> Result<Reserved, Error> {
    let locks = cache_directory().join("ports");
    if let Some(reserved) = wanted.iter().find_map(|port| try_to_reserve(*port, &locks)) {
        return Ok(reserved);
    }
    // Of the thousands that the system chooses from at random, two do not get the same.
    Ok(Reserved {
        port: free_port()?,
        lock: None,
    })
}

/// Reserves this port and no other, as soon as it is free.
async fn reserve_again(port: u16) -> Result<Reserved, Error> {
    let locks = cache_directory().join("ports");
    let deadline = Instant::now() + FREE_AGAIN_WITHIN;
    loop {
        if let Some(reserved) = try_to_reserve(port, &locks) {
            return Ok(reserved);
        }
        if Instant::now() > deadline {
            return Err(Error::PortTaken { port });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a server leaves behind may listen for moments after it.
const FREE_AGAIN_WITHIN: Duration = Duration::from_secs(5);

fn try_to_reserve(port: u16, locks: &Path) -> Option<Reserved> {
    // Two instances that start together both see a default port free, and one would then take
    // the other's server, which answers there, for its own.
    let lock = lock(port, locks).ok()?;
    is_free(port).then_some(Reserved { port, lock })
}

/// Locks `port`, where the lock file can be made. Fails when another instance holds it.
fn lock(port: u16, locks: &Path) -> Result<Option<File>, std::fs::TryLockError> {
    let made =
        std::fs::create_dir_all(locks).and_then(|()| File::create(locks.join(port.to_string())));
    let Ok(file) = made else { return Ok(None) };
    file.try_lock()?;
    Ok(Some(file))
}

fn is_free(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // macOS lets a listener on 127.0.0.1 stand beside one on 0.0.0.0, so that binding alone
    // does not show that somebody else answers there.
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err()
        && TcpListener::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_passed_over_for_the_next_wanted_one() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken_port = taken.local_addr().unwrap().port();
        let free = free_port().unwrap();
        assert_eq!(reserve(&[taken_port, free]).unwrap().port, free);
    }

    #[test]
    fn a_port_somebody_listens_on_at_all_addresses_is_not_free() {
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        assert!(!is_free(taken.local_addr().unwrap().port()));
    }

    #[test]
    fn a_port_reserved_by_another_instance_is_passed_over_until_released() {
        let locks = tempfile::tempdir().unwrap();
        let port = free_port().unwrap();
        let held = try_to_reserve(port, locks.path()).unwrap();
        assert!(try_to_reserve(port, locks.path()).is_none());
        drop(held);
        assert!(try_to_reserve(port, locks.path()).is_some());
    }
}
