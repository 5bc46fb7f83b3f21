//! The tokens and Spaces keys that an account accepts, and the scopes of tokens.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use crate::secrets;

/// The token that every account accepts. It is invalid outside the simulator.
pub const DEMO_TOKEN: &str = "dop_v1_simulator_demo_token_that_opens_nothing_else";

/// The Spaces key that every account accepts.
pub const DEMO_SPACES_KEY: &str = "DO00SIMULATORDEMOKEY";
/// The secret of [`DEMO_SPACES_KEY`], for signing requests. It is never sent.
pub const DEMO_SPACES_SECRET: &str = secrets::SPACES;

/// The permissions of a token: all, or those of its custom scopes (`droplet:read`, `billing:read`,
/// …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(Option<BTreeSet<String>>);

impl Scopes {
    /// A token with full access.
    pub fn all() -> Self {
        Self(None)
    }

    /// A token with custom scopes, named as in DigitalOcean's specification.
    pub fn only<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Self {
        Self(Some(scopes.into_iter().map(str::to_owned).collect()))
    }

    /// Returns whether the token has full access.
    pub(crate) fn allow_everything(&self) -> bool {
        self.0.is_none()
    }

    /// Returns whether a scope is granted. `project:update` includes `project:assign_resource`.
    pub(crate) fn allow(&self, scope: &str) -> bool {
        self.0.as_ref().is_none_or(|granted| {
            granted.contains(scope)
                || (scope == "project:assign_resource" && granted.contains("project:update"))
        })
    }
}

/// The accepted tokens. `Debug` prints only their number.
#[derive(Clone, Default)]
pub(crate) struct Tokens(HashMap<String, Scopes>);

impl Tokens {
    pub(crate) fn accept(&mut self, token: &str, scopes: Scopes) {
        self.0.insert(token.to_owned(), scopes);
    }

    pub(crate) fn revoke(&mut self, token: &str) {
        self.0.remove(token);
    }

    /// The scopes of a token; `None` for an unknown one.
    pub(crate) fn scopes_of(&self, token: &str) -> Option<Scopes> {
        self.0.get(token).cloned()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} tokens", self.0.len())
    }
}

/// The secrets of the accepted keys. `Debug` prints only their number.
#[derive(Clone, Default)]
pub(crate) struct SpacesKeys(HashMap<String, String>);

impl fmt::Debug for SpacesKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} Spaces keys", self.0.len())
    }
}

impl SpacesKeys {
    pub(crate) fn accept(&mut self, access_key_id: &str, secret: &str) {
        let secret = secret.to_owned();
        self.0.insert(access_key_id.to_owned(), secret);
    }

    pub(crate) fn secret_of(&self, access_key_id: &str) -> Option<&str> {
        self.0.get(access_key_id).map(String::as_str)
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
