//! Chooses and reserves the port that a server listens on.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Error;
use crate::tools::cache_directory;

/// Returns a TCP port of 127.0.0.1 that is free at this moment.
///
/// Another process can bind it before the caller does; a caller that needs certainty retries.
pub fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("find a free port on 127.0.0.1"))
}

/// A port that no other instance of this user chooses. Held until the server listens on it.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) port: u16,
    lock: Option<File>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // Closing the file does not release the lock while a forked child still shares the file.
        if let Some(lock) = &self.lock {
            drop(lock.unlock());
        }
    }
}

/// The ports that a server may listen on.
#[derive(Debug, Clone)]
pub(crate) enum Ports {
    /// The first of these that is free, else any.
    Prefer(Vec<u16>),
    /// Only this one, because clients have its address.
    Only(u16),
}

impl Ports {
    pub(crate) async fn reserve(&self) -> Result<Reserved, Error> {
        match self {
            Self::Prefer(preferred) => reserve(preferred),
            Self::Only(port) => reserve_when_free(*port).await,
        }
    }
}

/// Reserves the first of `preferred` that is free, else any free port.
fn reserve(preferred: &[u16]) -> Result<Reserved, Error> {
    let locks = cache_directory().join("ports");
    if let Some(reserved) = preferred
        .iter()
        .find_map(|port| try_to_reserve(*port, &locks))
    {
        return Ok(reserved);
    }
    // No lock: the system chooses at random among thousands of ports, so collisions are unlikely.
    Ok(Reserved {
        port: free_port()?,
        lock: None,
    })
}

/// Reserves this port as soon as it is free.
async fn reserve_when_free(port: u16) -> Result<Reserved, Error> {
    let locks = cache_directory().join("ports");
    let deadline = Instant::now() + FREE_TIMEOUT;
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

/// Child processes of a killed server may keep its port open for some moments.
const FREE_TIMEOUT: Duration = Duration::from_secs(5);

fn try_to_reserve(port: u16, locks: &Path) -> Option<Reserved> {
    // Two instances that start concurrently both see a default port as free, and one would then
    // mistake the other's server on it for its own.
    let lock = lock(port, locks).ok()?;
    is_free(port).then_some(Reserved { port, lock })
}

/// Locks `port`, if the lock file can be created. Fails if another instance holds the lock.
fn lock(port: u16, locks: &Path) -> Result<Option<File>, std::fs::TryLockError> {
    let created =
        std::fs::create_dir_all(locks).and_then(|()| File::create(locks.join(port.to_string())));
    let Ok(file) = created else { return Ok(None) };
    file.try_lock()?;
    Ok(Some(file))
}

fn is_free(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // macOS allows a listener on 127.0.0.1 in addition to one on 0.0.0.0, so binding alone does not
    // detect another server.
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err()
        && TcpListener::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_skipped_for_the_next_preferred_one() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken_port = taken.local_addr().unwrap().port();
        let free = free_port().unwrap();
        assert_eq!(reserve(&[taken_port, free]).unwrap().port, free);
    }

    #[test]
    fn a_port_with_a_listener_on_all_addresses_is_not_free() {
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        assert!(!is_free(taken.local_addr().unwrap().port()));
    }

    #[test]
    fn a_port_reserved_by_another_instance_is_skipped_until_released() {
        let locks = tempfile::tempdir().unwrap();
        let port = free_port().unwrap();
        let held = try_to_reserve(port, locks.path()).unwrap();
        assert!(try_to_reserve(port, locks.path()).is_none());
        drop(held);
        assert!(try_to_reserve(port, locks.path()).is_some());
    }
}
