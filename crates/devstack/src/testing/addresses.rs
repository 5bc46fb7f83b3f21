//! Addresses that refuse connections, for tests of unreachable servers.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// Returns an address of 127.0.0.1 that refuses connections for the life of this process.
///
/// A socket stays bound to the port without listening, so the kernel never assigns the port to
/// another process. A listener can still bind it explicitly if it sets `SO_REUSEADDR`, as those of
/// std and tokio do.
pub fn unused_address() -> SocketAddr {
    let bind = || {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = socket.local_addr()?;
        // Never closed: the port stays reserved until the process ends.
        std::mem::forget(socket);
        std::io::Result::Ok(address)
    };
    bind().unwrap_or_else(|error| panic!("cannot reserve a port of 127.0.0.1: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpListener as StdTcpListener;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn an_unused_address_refuses_connections() {
        let refused = TcpStream::connect(unused_address()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn an_unused_port_is_not_assigned_to_another_socket() {
        let unused = unused_address();
        for _ in 0..10_000 {
            let listener = StdTcpListener::bind("127.0.0.1:0").unwrap();
            assert_ne!(listener.local_addr().unwrap(), unused);
        }
        assert_ne!(unused_address(), unused);
    }

    #[tokio::test]
    async fn an_unused_address_can_be_listened_on_and_used() {
        let unused = unused_address();
        drop(StdTcpListener::bind(unused).unwrap());
        let listener = TcpListener::bind(unused).await.unwrap();
        let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(unused));
        accepted.unwrap();
        connected.unwrap();
    }
}
