//! Tests of the pages: requests with a session cookie, as a browser sends them.

mod changes;
mod costs;
mod inventory;
mod invoices;
mod lines;
mod login;
mod months;
mod overview;
mod sync;
mod tokens;

use axum::body::Body;
use axum::http::Request;

use crate::support::{Response, TestApi};

/// A person who is logged in.
pub(super) struct Session<'a> {
    api: &'a TestApi,
    /// The `cookie` header of this session.
    pub(super) cookie: String,
}

impl<'a> Session<'a> {
    /// Logs in with a token by the login form.
    pub(super) async fn start(api: &'a TestApi, token: &str) -> Self {
        let response = post(api, None, "/login", &format!("token={token}")).await;
        assert_eq!(response.status, 303, "{response:?}");
        let cookie = response.headers["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Self { api, cookie }
    }

    /// Requests a page.
    pub(super) async fn get(&self, path: &str) -> Response {
        let request = Request::get(path).header("cookie", &self.cookie);
        self.api.send(request.body(Body::empty())).await
    }

    /// Requests a page that must exist, and returns its HTML.
    pub(super) async fn page(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status, 200, "{path}: {response:?}");
        assert_eq!(response.headers["content-type"], "text/html; charset=utf-8");
        response.text
    }

    /// Sends a form.
    pub(super) async fn post(&self, path: &str, fields: &str) -> Response {
        post(self.api, Some(&self.cookie), path, fields).await
    }
}

/// Sends a form as a browser does from a page of the same site.
pub(super) async fn post(
    api: &TestApi,
    cookie: Option<&str>,
    path: &str,
    fields: &str,
) -> Response {
    let mut request = Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin");
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    api.send(request.body(Body::from(fields.to_owned()))).await
}
