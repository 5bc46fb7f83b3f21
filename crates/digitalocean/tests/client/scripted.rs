//! A server with a scripted response to each request.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use digitalocean::Client;
use serde_json::Value;

use crate::client_of;

pub(crate) struct Scripted {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
}

#[derive(Debug, Clone)]
pub(crate) struct ReceivedRequest {
    /// The path and the query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
}

impl ReceivedRequest {
    pub(crate) fn page(&self) -> Option<u64> {
        let (_, query) = self.target.split_once('?')?;
        let page = query
            .split('&')
            .find_map(|parameter| parameter.strip_prefix("page="))?;
        page.parse().ok()
    }
}

impl Scripted {
    /// Starts a server that calls `respond` with the number of the request, from 0, and the
    /// request.
    pub(crate) async fn start(
        respond: impl Fn(usize, &ReceivedRequest) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        let app = Router::new().fallback(move |request: Request| async move {
            let received = ReceivedRequest {
                target: request.uri().to_string(),
                headers: request.headers().clone(),
            };
            let number = {
                let mut log = log.lock().unwrap();
                log.push(received.clone());
                log.len() - 1
            };
            respond(number, &received)
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, requests }
    }

    pub(crate) fn client(&self) -> Client {
        client_of(&self.url)
    }

    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.lock().unwrap().clone()
    }
}

pub(crate) fn json(body: &Value) -> Response {
    with_type(StatusCode::OK, "application/json", &body.to_string())
}

pub(crate) fn with_type(status: StatusCode, content_type: &str, body: &str) -> Response {
    let headers = [("content-type", content_type.to_owned())];
    (status, headers, body.to_owned()).into_response()
}
