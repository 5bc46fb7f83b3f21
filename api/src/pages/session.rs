//! Who sees a page: the session in the cookie, and the chosen theme.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use store::{Access, Role};

use super::page::{Frame, PageProblem};
use crate::ApiState;
use crate::access::address;
use crate::limits::Permit;
use crate::problem::Problem;

/// The name binds the cookie to this host, to TLS (or to this machine) and to the path `/`.
pub(super) const SESSION_COOKIE: &str = "__Host-arcadia";
pub(super) const THEME_COOKIE: &str = "arcadia-theme";

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let fields = headers.get_all(COOKIE).iter();
    let texts = fields.filter_map(|field| field.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';'));
    let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(found, value)| (found == name).then_some(value))
}

/// Light or dark, or as the browser prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Theme {
    Browser,
    Light,
    Dark,
}

impl Theme {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        cookie(headers, THEME_COOKIE).map_or(Self::Browser, Self::named)
    }

    pub(super) fn named(name: &str) -> Self {
        match name {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::Browser,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// The path of the login, which leads back to `address` afterwards.
pub(super) fn login_path(address: &str) -> String {
    if address == "/" {
        return "/login".to_owned();
    }
    let mut path = "/login?next=".to_owned();
    for byte in address.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => {
                path.push(char::from(byte));
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

/// A person who is logged in.
pub(super) struct Viewer {
    pub(super) access: Access,
    pub(super) theme: Theme,
    /// The requested path and query.
    pub(super) address: String,
    _permit: Permit,
}

impl Viewer {
    /// The frame of a page. `path` is the page's entry of the navigation.
    pub(super) fn frame(&self, title: &str, path: &str) -> Frame {
        Frame::new(
            title,
            path,
            &self.access.token_name,
            &self.access.role,
            self.theme,
            self.address.clone(),
        )
    }
}

impl FromRequestParts<ApiState> for Viewer {
    type Rejection = PageProblem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, PageProblem> {
        if parts.headers.contains_key(AUTHORIZATION) {
            return Err(PageProblem(Problem::InvalidParameter(
                "authorization: pages use the session cookie; send the token to /api/v1".to_owned(),
            )));
        }
        let unauthorized = || PageProblem(Problem::Unauthorized("log in first: open /login"));
        let session = cookie(&parts.headers, SESSION_COOKIE).ok_or_else(unauthorized)?;
        let attempt = state
            .limiter
            .attempt(session, address(parts, state.trusted_proxies))?;
        let Some(access) = state.store.session(session).await? else {
            attempt.failed();
            return Err(unauthorized());
        };
        let permit = attempt.succeeded().await?;
        let address = parts.uri.path_and_query();
        Ok(Self {
            access,
            theme: Theme::of(&parts.headers),
            address: address.map_or("/", |address| address.as_str()).to_owned(),
            _permit: permit,
        })
    }
}

/// An administrator who is logged in.
pub(super) struct AdminViewer(pub(super) Viewer);

impl FromRequestParts<ApiState> for AdminViewer {
    type Rejection = PageProblem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, PageProblem> {
        let viewer = Viewer::from_request_parts(parts, state).await?;
        match viewer.access.role {
            Role::PlatformAdmin => Ok(Self(viewer)),
            Role::Tenant(_) => Err(PageProblem(Problem::Forbidden(
                "this page is for administrators: log in with a token of the role platform_admin",
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=1; __Host-arcadia=abc".parse().unwrap());
        headers.append(COOKIE, "arcadia-theme=dark".parse().unwrap());
        assert_eq!(cookie(&headers, SESSION_COOKIE), Some("abc"));
        assert_eq!(Theme::of(&headers), Theme::Dark);
        assert_eq!(cookie(&headers, "b"), None);
    }

    #[test]
    fn the_login_leads_back_to_the_page() {
        assert_eq!(login_path("/"), "/login");
        assert_eq!(
            login_path("/costs?from=2026-04&to=2026-05"),
            "/login?next=/costs%3Ffrom%3D2026-04%26to%3D2026-05"
        );
    }
}
