//! The caller of a request, identified by a bearer token.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::{Scopes, errors::ApiError};

/// The token of an `Authorization: Bearer` header. The scheme is case-insensitive (RFC 9110).
pub(crate) fn bearer_token(parts: &Parts) -> Option<&str> {
    let header = parts
        .headers
        .get(axum::http::header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// The caller of a request that was authenticated by [`crate::gate`].
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Scopes);

impl Caller {
    /// Returns whether the caller has full access.
    pub(crate) fn may_everything(&self) -> bool {
        self.0.allow_everything()
    }

    pub(crate) fn may(&self, scope: &str) -> bool {
        self.0.allow(scope)
    }

    /// Returns an error if the caller's token lacks a scope.
    pub(crate) fn needs(&self, scope: &str) -> Result<(), ApiError> {
        if self.may(scope) {
            Ok(())
        } else {
            Err(ApiError::forbidden())
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        // Without authentication the caller has no permissions.
        let caller = parts.extensions.get::<Self>().cloned();
        Ok(caller.unwrap_or_else(|| Self(Scopes::only([]))))
    }
}
