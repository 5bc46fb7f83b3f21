//! The key pair of Spaces, read from two variables.

use secrecy::{ExposeSecret as _, SecretString};

/// An access key of Spaces and its secret key. `Debug` omits the secret key.
#[derive(Debug, Clone)]
pub struct SpacesKeys {
    access_key_id: String,
    secret: SecretString,
}

/// One key of the pair is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{missing} is missing, but {present} is set: set both to list Spaces buckets, or neither")]
pub struct IncompleteSpacesKeys {
    present: &'static str,
    missing: &'static str,
}

impl SpacesKeys {
    /// The variable of the access key id, by the same name as in doctl and Terraform.
    pub const ACCESS_KEY_ID: &str = "SPACES_ACCESS_KEY_ID";
    /// The variable of the secret key.
    pub const SECRET_ACCESS_KEY: &str = "SPACES_SECRET_ACCESS_KEY";

    /// Creates the key pair from the values of both variables. None if neither is set. A blank
    /// value counts as absent.
    pub fn new(
        access_key_id: Option<String>,
        secret: Option<SecretString>,
    ) -> Result<Option<Self>, IncompleteSpacesKeys> {
        // The line break at the end of a file is not part of a key.
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
                present: Self::ACCESS_KEY_ID,
                missing: Self::SECRET_ACCESS_KEY,
            }),
            (None, Some(_)) => Err(IncompleteSpacesKeys {
                present: Self::SECRET_ACCESS_KEY,
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
    fn both_keys_or_neither() {
        assert!(new(None, Some(" ")).unwrap().is_none());
        let keys = new(Some("id\n"), Some(" secret\n")).unwrap().unwrap();
        assert_eq!(keys.access_key_id(), "id");
        assert_eq!(keys.secret().expose_secret(), "secret");
    }

    #[test]
    fn the_missing_key_is_named_and_the_other_not_shown() {
        let error = new(Some("half-a-key"), Some("")).unwrap_err().to_string();
        assert!(error.starts_with(SpacesKeys::SECRET_ACCESS_KEY), "{error}");
        assert!(!error.contains("half-a-key"), "{error}");
        let error = new(None, Some("hidden")).unwrap_err().to_string();
        assert!(error.starts_with(SpacesKeys::ACCESS_KEY_ID), "{error}");
        assert!(!error.contains("hidden"), "{error}");
    }

    #[test]
    fn the_secret_is_not_in_the_debug_text() {
        let keys = new(Some("id"), Some("hidden")).unwrap();
        assert!(!format!("{keys:?}").contains("hidden"));
    }
}
