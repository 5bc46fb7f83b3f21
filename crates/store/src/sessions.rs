//! Session settings and pool checks that end a connection when either side stops responding.
//!
//! A host that loses power and a firewall that drops a connection send no packet. Without these
//! settings, the server would keep a dead worker's locks for two hours (TCP's default keepalive),
//! and a worker would wait for a dead server without limit.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::time::{Instant, timeout};

/// Session settings, unless `DATABASE_URL` overrides them (`?options[statement_timeout]=10min`).
const SETTINGS: [(&str, &str); 9] = [
    // JIT compilation takes longer than any of our statements saves, and PostgreSQL enables it
    // based on estimates that are wrong after a first sync.
    ("jit", "off"),
    // Includes the time spent waiting for locks.
    ("statement_timeout", "3min"),
    // An attempt that waits longer than this ends before Temporal starts the next one, so that
    // attempts do not collect connections behind a lock.
    ("lock_timeout", "1min"),
    // The creation of a project holds a lock during requests to DigitalOcean.
    ("idle_in_transaction_session_timeout", "5min"),
    // The server detects a dead client within a minute in each state of the session: idle,
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    // while data is sent to the client,
    ("tcp_user_timeout", "60s"),
    // or during a wait for a lock.
    ("client_connection_check_interval", "10s"),
];

/// The timeout of the check of an idle connection.
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// For this long after a stall, connections that return to the pool are closed: the stalled ones
/// are among them.
const STALL_SIGNAL_DURATION: Duration = Duration::from_secs(5);

/// Adds the settings that the options do not contain.
pub(crate) fn with_settings(options: PgConnectOptions) -> PgConnectOptions {
    let configured = options.get_options().unwrap_or_default().to_owned();
    let missing = SETTINGS.into_iter().filter(|(name, _)| {
        let mut words = configured.split([' ', '=']);
        !words.any(|word| word.trim_start_matches("-c") == *name)
    });
    options.options(missing)
}

/// Creates a pool that checks each connection on acquire and on release, and closes those that do
/// not respond.
pub(crate) fn pool(
    options: PgConnectOptions,
    connections: u32,
    acquire_timeout: Duration,
    stall_signal: &StallSignal,
) -> PgPool {
    let stall_signal = stall_signal.clone();
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(acquire_timeout)
        // sqlx's own check has no timeout.
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(async { Ok(check(connection).await.is_ok()) }))
        .after_release(move |connection, _| {
            let is_stalled = stall_signal.is_raised();
            Box::pin(async move {
                if is_stalled {
                    return Err(unresponsive());
                }
                check(connection).await.map(|()| true)
            })
        })
        .connect_lazy_with(options)
}

async fn check(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    timeout(PING_TIMEOUT, connection.ping())
        .await
        .unwrap_or_else(|_| Err(unresponsive()))
}

fn unresponsive() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no response on the connection").into()
}

/// Set for a few seconds after a stall of the database, so that the pool closes connections instead
/// of reusing them.
#[derive(Debug, Clone, Default)]
pub(crate) struct StallSignal(Arc<Mutex<Option<Instant>>>);

impl StallSignal {
    pub(crate) fn raise(&self) {
        let mut raised_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *raised_at = Some(Instant::now());
    }

    fn is_raised(&self) -> bool {
        let raised_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        raised_at.is_some_and(|at| at.elapsed() < STALL_SIGNAL_DURATION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_url_take_precedence() {
        for (query, own) in [
            (
                "options[statement_timeout]=10min",
                "statement_timeout=10min",
            ),
            (
                "options=-cjit%3Don%20-c%20statement_timeout%3D0",
                "statement_timeout=0",
            ),
        ] {
            let url = format!("postgres://user@localhost/there?{query}");
            let options = with_settings(url.parse().unwrap());
            let configured = options.get_options().unwrap();
            assert!(configured.contains(own), "{configured}");
            assert_eq!(
                configured.matches("statement_timeout").count(),
                1,
                "{configured}"
            );
            assert_eq!(
                configured.matches("tcp_user_timeout").count(),
                1,
                "{configured}"
            );
        }
    }
}
