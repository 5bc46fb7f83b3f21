//! A test server with the used part of Vault's API.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use digitalocean::{Purpose, TokenSource};
use serde_json::{Value, json};

use super::{JWT, ROLE_ID, ROOT, SECRET_ID};
use crate::scripted::with_type;
use crate::tokens::tokens;

/// A Vault with one secret and one policy.
pub(super) struct State {
    /// Null for a deleted version.
    pub(super) secret: Value,
    /// The tokens with read access: the initial one, and those from logins.
    pub(super) tokens: Vec<String>,
    pub(super) is_sealed: bool,
    pub(super) may_read: bool,
    /// Accepts every request and never responds.
    pub(super) is_unresponsive: bool,
    /// The status and the body of every response, if set.
    pub(super) override_response: Option<(u16, &'static str)>,
    pub(super) logins: u32,
    /// Method and path of every request.
    pub(super) requests: Vec<String>,
    /// The namespace of every request.
    pub(super) namespaces: Vec<Option<String>>,
}

#[derive(Clone)]
pub(super) struct TestVault {
    url: String,
    state: Arc<Mutex<State>>,
}

impl TestVault {
    pub(super) async fn start(secret: Value) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let vault = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::new(Mutex::new(State {
                secret,
                tokens: vec![ROOT.to_owned()],
                is_sealed: false,
                may_read: true,
                is_unresponsive: false,
                override_response: None,
                logins: 0,
                requests: Vec::new(),
                namespaces: Vec::new(),
            })),
        };
        let server = vault.clone();
        let app = Router::new().fallback(move |request| respond(server, request));
        tokio::spawn(async move { axum::serve(listener, app).await });
        vault
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    /// Returns the token source of a purpose, with the login that the variables configure.
    pub(super) fn source(&self, purpose: Purpose, login: &[(&str, &str)]) -> TokenSource {
        let mut variables = vec![
            ("VAULT_ADDR", self.url.as_str()),
            ("ARCADIA_VAULT_PATH", "secret/team/arcadia"),
        ];
        variables.extend(login);
        let tokens = tokens(&variables).unwrap();
        tokens.token(purpose).unwrap().clone()
    }

    pub(super) fn by_role(&self) -> TokenSource {
        let login = [("VAULT_ROLE_ID", ROLE_ID), ("VAULT_SECRET_ID", SECRET_ID)];
        self.source(Purpose::CloudBilling, &login)
    }

    pub(super) fn reads(&self) -> usize {
        let path = "GET /v1/secret/data/team/arcadia";
        self.change(|state| {
            state
                .requests
                .iter()
                .filter(|request| *request == path)
                .count()
        })
    }
}

fn error_response(status: StatusCode, messages: &[&str]) -> Response {
    let body = json!({ "errors": messages });
    with_type(status, "application/json", &body.to_string())
}

fn json_response(body: &Value) -> Response {
    with_type(StatusCode::OK, "application/json", &body.to_string())
}

async fn respond(vault: TestVault, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 10_000).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("x-vault-request"), Some("true"));
    let line = format!("{} {}", parts.method, parts.uri.path());
    let is_unresponsive = vault.change(|state| {
        state.requests.push(line.clone());
        let namespace = header("x-vault-namespace").map(str::to_owned);
        state.namespaces.push(namespace);
        state.is_unresponsive
    });
    if is_unresponsive {
        std::future::pending::<()>().await;
    }
    vault.change(|state| {
        if let Some((status, body)) = state.override_response {
            let status = StatusCode::from_u16(status).unwrap();
            return with_type(status, "text/html", body);
        }
        if state.is_sealed {
            return error_response(StatusCode::SERVICE_UNAVAILABLE, &["Vault is sealed"]);
        }
        let may_log_in = match line.as_str() {
            "POST /v1/auth/approle/login" => {
                body == json!({ "role_id": ROLE_ID, "secret_id": SECRET_ID })
            }
            "POST /v1/auth/cluster/login" => body == json!({ "role": "arcadia", "jwt": JWT }),
            "GET /v1/secret/data/team/arcadia" | "GET /v1/secret/team/data/arcadia" => {
                let token = header("x-vault-token").unwrap_or_default().to_owned();
                return if !state.tokens.contains(&token) || !state.may_read {
                    error_response(StatusCode::FORBIDDEN, &["permission denied", &token])
                } else if state.secret.is_null() {
                    let body =
                        json!({ "data": { "data": null, "metadata": { "destroyed": false } } });
                    with_type(StatusCode::NOT_FOUND, "application/json", &body.to_string())
                } else {
                    json_response(&json!({
                        "request_id": "r", "lease_id": "", "renewable": false, "lease_duration": 0,
                        "data": { "data": state.secret, "metadata": { "version": 3 } },
                    }))
                };
            }
            _ => return error_response(StatusCode::NOT_FOUND, &[]),
        };
        if !may_log_in {
            return error_response(StatusCode::BAD_REQUEST, &["invalid role or secret ID"]);
        }
        state.logins += 1;
        let token = format!("hvs.login-{}", state.logins);
        state.tokens.push(token.clone());
        json_response(&json!({
            "auth": { "client_token": token, "lease_duration": 1200, "renewable": true },
        }))
    })
}
