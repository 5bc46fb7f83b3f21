//! A server whose every answer a test writes.

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
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The path and the query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
}

impl Asked {
    pub(crate) fn page(&self) -> Option<u64> {
        let (_, query) = self.target.split_once('?')?;
        let page = query
            .split('&')
            .find_map(|parameter| parameter.strip_prefix("page="))?;
        page.parse().ok()
    }
}

impl Scripted {
    /// Answers the first request as number 0, the second as 1 and so on.
    pub(crate) async fn start(
        answer: impl Fn(usize, &Asked) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let app = Router::new().fallback(move |request: Request| async move {
            let asked = Asked {
                target: request.uri().to_string(),
                headers: request.headers().clone(),
            };
            let number = {
                let mut log = log.lock().unwrap();
                log.push(asked.clone());
                log.len() - 1
            };
            answer(number, &asked)
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, asked }
    }

    pub(crate) fn client(&self) -> Client {
        client_of(&self.url)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

pub(crate) fn json(body: &Value) -> Response {
    with_type(StatusCode::OK, "application/json", &body.to_string())
}

pub(crate) fn with_type(status: StatusCode, content_type: &str, body: &str) -> Response {
    let headers = [("content-type", content_type.to_owned())];
    (status, headers, body.to_owned()).into_response()
}
