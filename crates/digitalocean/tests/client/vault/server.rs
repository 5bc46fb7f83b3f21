//! A small server that speaks what we use of Vault's API.

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
    /// Null for a version that was deleted.
    pub(super) secret: Value,
    /// Who may read it: the token that was given, and those that logging in gave.
    pub(super) tokens: Vec<String>,
    pub(super) is_sealed: bool,
    pub(super) may_read: bool,
    /// Takes every request, and never answers.
    pub(super) is_silent: bool,
    /// The status and the body of every answer, in place of its own.
    pub(super) instead: Option<(u16, &'static str)>,
    pub(super) logins: u32,
    /// Method and path.
    pub(super) asked: Vec<String>,
    /// Of every request.
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
                is_silent: false,
                instead: None,
                logins: 0,
                asked: Vec::new(),
                namespaces: Vec::new(),
            })),
        };
        let answering = vault.clone();
        let app = Router::new().fallback(move |request| answer(answering, request));
        tokio::spawn(async move { axum::serve(listener, app).await });
        vault
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    /// The token of a purpose, by the way to log in that these variables say.
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
        self.change(|state| state.asked.iter().filter(|asked| *asked == path).count())
    }
}

fn errors(status: StatusCode, said: &[&str]) -> Response {
    let body = json!({ "errors": said });
    with_type(status, "application/json", &body.to_string())
}

fn answer_json(body: &Value) -> Response {
    with_type(StatusCode::OK, "application/json", &body.to_string())
}

async fn answer(vault: TestVault, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 10_000).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("x-vault-request"), Some("true"));
    let asked = format!("{} {}", parts.method, parts.uri.path());
    let is_silent = vault.change(|state| {
        state.asked.push(asked.clone());
        let namespace = header("x-vault-namespace").map(str::to_owned);
        state.namespaces.push(namespace);
        state.is_silent
    });
    if is_silent {
        std::future::pending::<()>().await;
    }
    vault.change(|state| {
        if let Some((status, body)) = state.instead {
            let status = StatusCode::from_u16(status).unwrap();
            return with_type(status, "text/html", body);
        }
        if state.is_sealed {
            return errors(StatusCode::SERVICE_UNAVAILABLE, &["Vault is sealed"]);
        }
        let may_log_in = match asked.as_str() {
            "POST /v1/auth/approle/login" => {
                body == json!({ "role_id": ROLE_ID, "secret_id": SECRET_ID })
            }
            "POST /v1/auth/cluster/login" => body == json!({ "role": "arcadia", "jwt": JWT }),
            "GET /v1/secret/data/team/arcadia" | "GET /v1/secret/team/data/arcadia" => {
                let token = header("x-vault-token").unwrap_or_default().to_owned();
                return if !state.tokens.contains(&token) || !state.may_read {
                    errors(StatusCode::FORBIDDEN, &["permission denied", &token])
                } else if state.secret.is_null() {
                    let body =
                        json!({ "data": { "data": null, "metadata": { "destroyed": false } } });
                    with_type(StatusCode::NOT_FOUND, "application/json", &body.to_string())
                } else {
                    answer_json(&json!({
                        "request_id": "r", "lease_id": "", "renewable": false, "lease_duration": 0,
                        "data": { "data": state.secret, "metadata": { "version": 3 } },
                    }))
                };
            }
            _ => return errors(StatusCode::NOT_FOUND, &[]),
        };
        if !may_log_in {
            return errors(StatusCode::BAD_REQUEST, &["invalid role or secret ID"]);
        }
        state.logins += 1;
        let token = format!("hvs.login-{}", state.logins);
        state.tokens.push(token.clone());
        answer_json(&json!({
            "auth": { "client_token": token, "lease_duration": 1200, "renewable": true },
        }))
    })
}
