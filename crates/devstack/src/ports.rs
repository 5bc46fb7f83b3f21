//! Which port a server listens on.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::Error;

/// A TCP port of 127.0.0.1 that nobody listens on at this moment.
///
/// Another process can take it before the caller does; whoever needs certainty retries.
pub fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("find a free port on 127.0.0.1"))
}

/// The first of `wanted` that is free, else any free one.
pub(crate) fn choose(wanted: &[u16]) -> Result<u16, Error> {
    match wanted.iter().copied().find(|port| is_free(*port)) {
        Some(port) => Ok(port),
        None => free_port(),
    }
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
        assert_eq!(choose(&[taken_port, free]).unwrap(), free);
    }

    #[test]
    fn a_port_somebody_listens_on_at_all_addresses_is_not_free() {
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_ne!(choose(&[port]).unwrap(), port);
    }
}
