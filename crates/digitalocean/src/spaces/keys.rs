//! The two halves of a Spaces key.

use secrecy::{ExposeSecret as _, SecretString};

/// An access key of Spaces and its secret. Its `Debug` hides the secret.
#[derive(Debug, Clone)]
pub struct SpacesKeys {
    access_key_id: String,
    secret: SecretString,
}

/// One half of a key without the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{given} is set and {missing} is not: set both to list Spaces buckets, or neither")]
pub struct IncompleteSpacesKeys {
    given: &'static str,
    missing: &'static str,
}

impl SpacesKeys {
    /// The variable of the public half, as doctl and Terraform call it.
    pub const ACCESS_KEY_ID: &str = "SPACES_ACCESS_KEY_ID";
    /// The variable of the secret half.
    pub const SECRET_ACCESS_KEY: &str = "SPACES_SECRET_ACCESS_KEY";

    /// From what the variables hold, both or neither. A blank one counts as absent.
    pub fn new(
        access_key_id: Option<String>,
        secret: Option<SecretString>,
    ) -> Result<Option<Self>, IncompleteSpacesKeys> {
        // The line break at the end of a file is no part of a key.
        let access_key_id = access_key_id.map(|id| id.trim().to_owned());
        let access_key_id = access_key_id.filter(|id| !id.is_empty());
        let secret = secret.map(|secret| SecretString::from(secret.expose_secret().trim()));
        let secret = secret.filter(|secret| !secret.expose_secret().is_empty());
        match (access_key_id, secret) {
            (Some(access_key_id), Some(secret)) => Ok(Some(Self {
                access_key_id,
                secret,
            })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(IncompleteSpacesKeys {
                given: Self::ACCESS_KEY_ID,
                missing: Self::SECRET_ACCESS_KEY,
            }),
            (None, Some(_)) => Err(IncompleteSpacesKeys {
                given: Self::SECRET_ACCESS_KEY,
                missing: Self::ACCESS_KEY_ID,
            }),
        }
    }

    pub(super) fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    pub(super) fn secret(&self) -> &SecretString {
        &self.secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(
        id: Option<&str>,
        secret: Option<&str>,
    ) -> Result<Option<SpacesKeys>, IncompleteSpacesKeys> {
        SpacesKeys::new(id.map(str::to_owned), secret.map(SecretString::from))
    }

    #[test]
    fn both_halves_or_neither() {
        assert!(new(None, Some(" ")).unwrap().is_none());
        let keys = new(Some("id\n"), Some(" secret\n")).unwrap().unwrap();
        assert_eq!(keys.access_key_id(), "id");
        assert_eq!(keys.secret().expose_secret(), "secret");
    }

    #[test]
    fn the_missing_half_is_named_and_the_given_one_not_shown() {
        let error = new(Some("half-a-key"), Some("")).unwrap_err().to_string();
        assert!(error.contains("SPACES_SECRET_ACCESS_KEY is not"), "{error}");
        assert!(!error.contains("half-a-key"), "{error}");
        let error = new(None, Some("hidden")).unwrap_err().to_string();
        assert!(error.contains("SPACES_ACCESS_KEY_ID is not"), "{error}");
        assert!(!error.contains("hidden"), "{error}");
    }

    #[test]
    fn the_secret_is_not_in_the_debug_text() {
        let keys = new(Some("id"), Some("hidden")).unwrap();
        assert!(!format!("{keys:?}").contains("hidden"));
    }
}
