//! The session of a page request: the cookie, the access of its token, and the chosen theme.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use domain::TenantId;
use store::{Access, Actor, RequestOrigin, Role};

use super::cookies::{SESSION_COOKIE, Theme, cookie};
use super::page::{Frame, PageProblem};
use crate::ApiState;
use crate::access::origin;
use crate::limits::Permit;
use crate::problem::Problem;

/// A person who is logged in.
pub(super) struct Viewer {
    pub(super) access: Access,
    pub(super) theme: Theme,
    /// The requested path and query.
    pub(super) address: String,
    origin: RequestOrigin,
    _permit: Permit,
}

impl Viewer {
    /// Returns the person as the author of an act.
    pub(super) fn actor(&self) -> Actor {
        self.access.actor(self.origin.clone())
    }

    /// The frame of a page. `path` is the page's entry of the navigation.
    pub(super) fn frame(&self, title: &str, path: &str) -> Frame {
        Frame::new(title, path, &self.access, self.theme, self.address.clone())
    }

    /// Returns the tenant that the person is restricted to; none for an administrator.
    pub(super) fn tenant(&self) -> Option<&TenantId> {
        self.access.role.tenant()
    }

    /// Returns true for an administrator, and for a tenant with a token that permits its costs.
    pub(super) fn may_read_costs(&self) -> bool {
        self.tenant().is_none() || self.access.costs
    }

    /// Refuses a tenant with a token that does not permit costs.
    pub(super) fn require_costs(&self) -> Result<(), PageProblem> {
        if self.may_read_costs() {
            return Ok(());
        }
        Err(PageProblem(Problem::Forbidden(
            "your token may not read costs: log in with a token that was created with \
             `arcadia token create --role tenant --tenant TENANT --costs`",
        )))
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
        let origin = origin(parts, state);
        let attempt = state.limiter.attempt(session, origin.address)?;
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
            origin,
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

/// A person who may read costs: an administrator, or a tenant with a token that permits its own.
pub(super) struct CostViewer(pub(super) Viewer);

impl FromRequestParts<ApiState> for CostViewer {
    type Rejection = PageProblem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, PageProblem> {
        let viewer = Viewer::from_request_parts(parts, state).await?;
        viewer.require_costs()?;
        Ok(Self(viewer))
    }
}
