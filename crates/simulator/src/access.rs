//! Bearer tokens and what each may read.

use std::{
    collections::{BTreeSet, HashMap},
    convert::Infallible,
    fmt,
};

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::errors::ApiError;

/// What a token may do: everything, or only what its custom scopes name (`droplet:read`, `billing:read`, …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(Option<BTreeSet<String>>);

impl Scopes {
    /// A token with full access.
    pub fn all() -> Self {
        Self(None)
    }

    /// A token with custom scopes, in the words of DigitalOcean's specification.
    pub fn only<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Self {
        Self(Some(scopes.into_iter().map(str::to_owned).collect()))
    }

    /// Whether a scope is among them. `project:update` also grants `project:assign_resource`.
    pub(crate) fn allow(&self, scope: &str) -> bool {
        self.0.as_ref().is_none_or(|granted| {
            granted.contains(scope)
                || (scope == "project:assign_resource" && granted.contains("project:update"))
        })
    }
}

/// The tokens an account accepts. Its `Debug` counts them and shows none.
#[derive(Clone, Default)]
pub(crate) struct Tokens(HashMap<String, Scopes>);

impl Tokens {
    pub(crate) fn accept(&mut self, token: &str, scopes: Scopes) {
        self.0.insert(token.to_owned(), scopes);
    }

    pub(crate) fn revoke(&mut self, token: &str) {
        self.0.remove(token);
    }

    /// The scopes of the token in an `Authorization` header, or nothing when it is missing, malformed or unknown.
    pub(crate) fn scopes_of(&self, token: &str) -> Option<Scopes> {
        self.0.get(token).cloned()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} tokens", self.0.len())
    }
}

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

/// The caller of a request that has passed the gate.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Scopes);

impl Caller {
    /// Whether nothing is hidden from this caller.
    pub(crate) fn may_everything(&self) -> bool {
        self.0.0.is_none()
    }

    pub(crate) fn may(&self, scope: &str) -> bool {
        self.0.allow(scope)
    }

    /// Refuses a caller whose token lacks the scope an endpoint documents.
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
        // Without the gate in front nobody has been let in, so nothing is allowed.
        let caller = parts.extensions.get::<Self>().cloned();
        Ok(caller.unwrap_or_else(|| Self(Scopes::only([]))))
    }
}

#[cfg(test)]
mod tests {
    use super::{Scopes, Tokens};

    #[test]
    fn project_update_grants_the_assignment_of_resources_and_nothing_else() {
        let scopes = Scopes::only(["project:update"]);
        assert!(scopes.allow("project:assign_resource"));
        assert!(!scopes.allow("project:read"));
        assert!(Scopes::all().allow("project:read"));
    }

    #[test]
    fn debug_output_shows_no_token() {
        let mut tokens = Tokens::default();
        tokens.accept("dop_v1_secret", Scopes::all());
        assert_eq!(format!("{tokens:?}"), "1 tokens");
    }
}
