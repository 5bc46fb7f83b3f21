//! Tests of the log: it has routes and causes of errors, and never a token.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::Level;
use tracing::subscriber::DefaultGuard;

use crate::support::TestApi;

/// Collects the log of this thread at every level until the guard is dropped.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_has_route_and_status_and_never_a_token() {
    let api = TestApi::with_account().await;
    let (log, _guard) = Log::start();
    api.get(&api.acme, "/api/v1/inventory?q=web-1").await.ok();
    let misplaced = format!("/api/v1/inventory?token={}", api.admin);
    api.get(&api.admin, &misplaced).await.problem(400);
    api.get("arc_mistyped", "/api/v1/projects")
        .await
        .problem(401);

    let text = log.text();
    for expected in ["route=\"/api/v1/inventory\"", "status=200", "status=401"] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    for token in [&*api.acme, &*api.admin, "arc_mistyped"] {
        assert!(!text.contains(token), "{token} is in\n{text}");
    }
}

#[tokio::test]
async fn the_cause_of_an_internal_error_is_logged_with_the_request_id() {
    let api = TestApi::empty().await;
    api.break_projects().await;
    let (log, _guard) = Log::start();
    let response = api.get(&api.admin, "/api/v1/projects").await;
    response.problem(500);
    let id = response.headers["x-request-id"].to_str().unwrap();
    let text = log.text();
    assert!(
        text.lines()
            .any(|line| line.contains(id) && line.contains("cloud_projects")),
        "{text}"
    );
}
