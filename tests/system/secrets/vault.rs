//! A simulated Vault server with one secret. Its error responses repeat the request, so that a test
//! can detect leaked secrets.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

pub(super) const SECRET_ID: &str = "9b1deb4d-secret-id-that-opens-vault";
pub(super) const LOGIN: &str = "hvs.CAESI-login-that-opens-vault";

/// Starts the server with this token, and returns the variables that configure it.
pub(super) async fn start(token: &'static str) -> Vec<(&'static str, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            // Rejects the first login, and the first read after the second login.
            respond(stream, token, [0, 2].contains(&number)).await;
        }
    });
    vec![
        ("VAULT_ADDR", address),
        ("ARCADIA_VAULT_PATH", "secret/arcadia".to_owned()),
        ("VAULT_ROLE_ID", "arcadia".to_owned()),
        ("VAULT_SECRET_ID", SECRET_ID.to_owned()),
    ]
}

async fn respond(stream: TcpStream, token: &str, rejects: bool) {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let read = stream.read_line(&mut head).await.unwrap();
        assert!(read > 0, "incomplete request: {head}");
        let line = head.lines().last().unwrap_or_default().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let sent = format!("{head}{}", String::from_utf8(body).unwrap());
    let (status, body) = if rejects {
        let rejection = serde_json::json!({ "errors": ["overloaded", sent] });
        ("503 Service Unavailable", rejection)
    } else if sent.starts_with("POST /v1/auth/approle/login ") && sent.contains(SECRET_ID) {
        let auth = serde_json::json!({ "client_token": LOGIN, "lease_duration": 1200 });
        ("200 OK", serde_json::json!({ "auth": auth }))
    } else if sent.starts_with("GET /v1/secret/data/arcadia ") && sent.contains(LOGIN) {
        let secret = serde_json::json!({ "data": { "shared": token } });
        ("200 OK", serde_json::json!({ "data": secret }))
    } else {
        panic!("unexpected request to Vault: {head}");
    };
    let body = body.to_string();
    let response = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes()).await.unwrap();
}
