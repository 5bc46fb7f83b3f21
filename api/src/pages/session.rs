//! The session of a page request: the cookie, the access of its token, and the chosen theme.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use store::{Access, Role};

use super::cookies::{SESSION_COOKIE, Theme, cookie};
use super::page::{Frame, PageProblem};
use crate::ApiState;
use crate::access::address;
use crate::limits::Permit;
use crate::problem::Problem;

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
