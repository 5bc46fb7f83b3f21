//! Recognises a `DATABASE_URL` or `TEMPORAL_ADDRESS` that an earlier `arcadia dev` printed and a
//! shell has kept.

use std::net::{IpAddr, TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use reqwest::Url;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

use crate::{StateDir, postgres, registry, temporal};

/// The owner of the server that a variable names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// This state directory.
    Own,
    /// This state directory, but the variable is outdated: the password is that of an earlier
    /// database, or another server listens on the port.
    OwnOutdated,
    /// Another state directory.
    Other(PathBuf),
    /// No state directory.
    Foreign,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the owner of the database that `url` names. A registered password identifies the owner;
/// a port does not, because other servers may reuse it.
pub async fn database(state: &StateDir, url: &str) -> Named {
    let Ok(parsed) = Url::parse(url) else {
        return Named::Foreign;
    };
    if !parsed.host_str().is_some_and(is_loopback) {
        return Named::Foreign;
    }
    let own_password = state.read_note(postgres::PASSWORD_NOTE);
    let names_database = parsed.path().trim_matches('/') == postgres::NAME;
    if let Some(password) = parsed.password() {
        if own_password.as_deref() == Some(password) {
            return if names_database {
                Named::Own
            } else {
                Named::Foreign
            };
        }
        match registry::with_password(password) {
            Some(path) if path == state.path() => return Named::OwnOutdated,
            Some(path) => return Named::Other(path),
            None => {}
        }
    }
    let own_port = state.read_note(postgres::PORT_NOTE);
    let port = parsed.port().unwrap_or(5432).to_string();
    let looks_own = names_database && parsed.username() == postgres::NAME;
    if looks_own && own_port == Some(port) && !accepts_connections(url).await {
        return Named::OwnOutdated;
    }
    Named::Foreign
}

/// Returns the owner of the Temporal server that `address` names.
pub async fn temporal(state: &StateDir, address: &str) -> Named {
    let Some((host, port)) = host_and_port(address) else {
        return Named::Foreign;
    };
    if !is_loopback(&host) {
        return Named::Foreign;
    }
    let is_taken = is_taken(&host, port).await;
    if temporal::last_port(state) == Some(port) {
        return if is_taken && !temporal::is_left_over(state) {
            Named::OwnOutdated
        } else {
            Named::Own
        };
    }
    // A running server of another state directory may be shared, with a separate namespace.
    let had_port = |path: &PathBuf| {
        let noted = std::fs::read_to_string(path.join(temporal::PORT_NOTE));
        noted.is_ok_and(|noted| noted.trim() == port.to_string())
    };
    let other = registry::all().into_iter().find(had_port);
    match other {
        Some(path) if !is_taken && path != state.path() => Named::Other(path),
        _ => Named::Foreign,
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || IpAddr::from_str(host).is_ok_and(|address| address.is_loopback())
}

/// Parses `HOST:PORT`, with or without a scheme.
fn host_and_port(address: &str) -> Option<(String, u16)> {
    let url = match address.split_once("://") {
        Some(_) => Url::parse(address),
        None => Url::parse(&format!("http://{address}")),
    };
    let url = url.ok()?;
    Some((url.host_str()?.to_owned(), url.port().unwrap_or(7233)))
}

async fn is_taken(host: &str, port: u16) -> bool {
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let connecting = tokio::task::spawn_blocking(move || {
        let addresses = (host.as_str(), port).to_socket_addrs();
        let connects = |address| TcpStream::connect_timeout(&address, Duration::from_secs(1));
        addresses.is_ok_and(|mut addresses| addresses.any(|address| connects(address).is_ok()))
    });
    connecting.await.unwrap_or(false)
}

async fn accepts_connections(url: &str) -> bool {
    let Ok(options) = PgConnectOptions::from_str(url) else {
        return false;
    };
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
    matches!(connected, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_parsed_with_and_without_a_scheme() {
        for (address, expected) in [
            ("127.0.0.1:7234", Some(("127.0.0.1", 7234))),
            ("http://localhost:7233", Some(("localhost", 7233))),
            ("localhost", Some(("localhost", 7233))),
            ("[::1]:7300", Some(("[::1]", 7300))),
            ("", None),
        ] {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(host_and_port(address), expected, "{address}");
        }
    }

    #[test]
    fn every_loopback_name_is_recognised() {
        for host in [
            "127.0.0.1",
            "localhost",
            "LOCALHOST",
            "::1",
            "[::1]",
            "127.1.2.3",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["db.example.com", "10.0.0.1", "localhost.example.com"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
