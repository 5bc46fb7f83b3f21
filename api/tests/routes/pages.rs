//! Tests of the pages: requests with a session cookie, as a browser sends them.

mod changes;
mod closes;
mod costs;
mod inventory;
mod invoices;
mod lines;
mod login;
mod months;
mod overview;
mod own;
pub(crate) mod sync;
mod tables;
mod tokens;

use std::collections::{BTreeSet, VecDeque};

use axum::body::Body;
use axum::http::Request;

use crate::support::{Response, TestApi};

/// A person who is logged in.
pub(crate) struct Session<'a> {
    api: &'a TestApi,
    /// The `cookie` header of this session.
    pub(crate) cookie: String,
}

impl<'a> Session<'a> {
    /// Logs in with a token by the login form.
    pub(crate) async fn start(api: &'a TestApi, token: &str) -> Self {
        let response = post(api, None, "/login", &format!("token={token}")).await;
        assert_eq!(response.status, 303, "{response:?}");
        let cookie = response.headers["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Self { api, cookie }
    }

    /// Requests a page.
    pub(crate) async fn get(&self, path: &str) -> Response {
        let request = Request::get(path).header("cookie", &self.cookie);
        self.api.send(request.body(Body::empty())).await
    }

    /// Requests a page that must exist, and returns its HTML.
    pub(crate) async fn page(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status, 200, "{path}: {response:?}");
        assert_eq!(response.headers["content-type"], "text/html; charset=utf-8");
        response.text
    }

    /// Sends a form.
    pub(crate) async fn post(&self, path: &str, fields: &str) -> Response {
        post(self.api, Some(&self.cookie), path, fields).await
    }
}

/// Returns the addresses of the links of a page on this server.
fn links(page: &str) -> BTreeSet<String> {
    let links = page.split(" href=\"").skip(1);
    let links = links.map(|rest| unescaped(rest.split('"').next().unwrap()));
    let links = links.map(|link| link.split('#').next().unwrap().to_owned());
    links
        .filter(|link| link.starts_with('/') && !link.starts_with("/assets/"))
        .collect()
}

fn unescaped(text: &str) -> String {
    text.replace("&#38;", "&").replace("&amp;", "&")
}

/// Opens the pages and downloads that links lead to, from `start` on and at most `limit`; each must
/// exist. Returns them in the order of opening.
async fn crawl(session: &Session<'_>, start: &[&str], limit: usize) -> Vec<(String, Response)> {
    let mut queue: VecDeque<String> = start.iter().map(|path| (*path).to_owned()).collect();
    let mut known: BTreeSet<String> = queue.iter().cloned().collect();
    let mut opened = Vec::new();
    while let Some(path) = queue.pop_front()
        && opened.len() < limit
    {
        let response = session.get(&path).await;
        assert_eq!(response.status, 200, "{path}: {}", response.text);
        let media_type = response.headers["content-type"].to_str().unwrap();
        if media_type.starts_with("text/html") {
            let new = links(&response.text).into_iter();
            // The support code reads texts only.
            let new = new.filter(|link| !link.contains("format=parquet"));
            queue.extend(new.filter(|link| known.insert(link.clone())));
        }
        opened.push((path, response));
    }
    opened
}

/// Sends a form as a browser does from a page of the same site.
pub(crate) async fn post(
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
