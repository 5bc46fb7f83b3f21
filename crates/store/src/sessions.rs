//! Sessions that end where one of their two sides is gone, or is heard of no more.
//!
//! A machine that loses its power says nothing, and neither does a firewall that forgets a connection. The server would keep a dead
//! worker's locks for the two hours of TCP's own keepalive, and a worker would wait for a dead server's answer for ever.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::time::{Instant, timeout};

/// What sessions are set to, where `DATABASE_URL` says nothing else (`?options[statement_timeout]=10min`).
const SETTINGS: [(&str, &str); 8] = [
    // Compiling a statement takes longer than any of these, and is decided on by estimates that a first sync makes wrong.
    ("jit", "off"),
    // The waiting for locks is part of it.
    ("statement_timeout", "3min"),
    // Whoever creates a project holds a lock while DigitalOcean is asked.
    ("idle_in_transaction_session_timeout", "5min"),
    // A client whose machine is gone is missed within a minute, whatever its session does at that time: it sends nothing,
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    // is sent something,
    ("tcp_user_timeout", "60s"),
    // or waits for a lock.
    ("client_connection_check_interval", "10s"),
];

/// How long a connection that is idle may take to say that it lives.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// For so long after a silence, connections that come back are closed: among them are those that were silent.
const SUSPICIOUS_FOR: Duration = Duration::from_secs(5);

/// The options, with the settings that they do not make themselves.
pub(crate) fn with_settings(options: PgConnectOptions) -> PgConnectOptions {
    let given = options.get_options().unwrap_or_default().to_owned();
    let missing = SETTINGS.into_iter().filter(|(name, _)| {
        let mut words = given.split([' ', '=']);
        !words.any(|word| word.trim_start_matches("-c") == *name)
    });
    options.options(missing)
}

/// A pool that neither hands out nor takes back a connection on which nothing is heard.
pub(crate) fn pool(
    options: PgConnectOptions,
    connections: u32,
    patience: Duration,
    stall_signal: &StallSignal,
) -> PgPool {
    let stall_signal = stall_signal.clone();
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience)
        // sqlx's own test waits for as long as it takes.
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(async { Ok(check(connection).await.is_ok()) }))
        .after_release(move |connection, _| {
            let is_suspicious = stall_signal.is_raised();
            Box::pin(async move {
                if is_suspicious {
                    return Err(silent());
                }
                check(connection).await.map(|()| true)
            })
        })
        .connect_lazy_with(options)
}

async fn check(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    timeout(ANSWER_LIMIT, connection.ping())
        .await
        .unwrap_or_else(|_| Err(silent()))
}

fn silent() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, "nothing is heard on it any more").into()
}

/// Whether the database has just been silent to somebody, so that connections are to be closed rather than used again.
#[derive(Debug, Clone, Default)]
pub(crate) struct StallSignal(Arc<Mutex<Option<Instant>>>);

impl StallSignal {
    pub(crate) fn raise(&self) {
        let mut raised_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *raised_at = Some(Instant::now());
    }

    fn is_raised(&self) -> bool {
        let raised_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        raised_at.is_some_and(|at| at.elapsed() < SUSPICIOUS_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_sets_stands() {
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
            let url = format!("postgres://somebody@localhost/there?{query}");
            let options = with_settings(url.parse().unwrap());
            let given = options.get_options().unwrap();
            assert!(given.contains(own), "{given}");
            assert_eq!(given.matches("statement_timeout").count(), 1, "{given}");
            assert_eq!(given.matches("tcp_user_timeout").count(), 1, "{given}");
        }
    }
}
