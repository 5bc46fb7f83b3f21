//! A secret from a variable or a file, and a token with its header value.

use std::fmt;
use std::path::PathBuf;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use super::error::TokenError;
use crate::rate_limit::TokenKey;

/// The source of a secret: the value of a variable, or the file that the variable with the suffix
/// `_FILE` names.
#[derive(Debug, Clone)]
pub(super) enum SecretSource {
    Value(SecretString),
    File { variable: String, path: PathBuf },
}

impl SecretSource {
    /// Reads the current secret, without surrounding white space. Never returns an empty one.
    pub(super) async fn read(&self) -> Result<SecretString, TokenError> {
        match self {
            Self::Value(secret) => Ok(SecretString::from(secret.expose_secret().trim())),
            Self::File { variable, path } => {
                let origin = || format!("file {} ({variable})", path.display());
                let text = tokio::fs::read_to_string(path).await;
                let text = text.map(SecretString::from).map_err(|error| {
                    TokenError::UnreadableFile {
                        origin: origin(),
                        // The error about invalid UTF-8 does not repeat the text.
                        problem: error.to_string(),
                    }
                })?;
                match text.expose_secret().trim() {
                    // Some programs empty the file while they replace it.
                    "" => Err(TokenError::Invalid { origin: origin() }),
                    secret => Ok(SecretString::from(secret)),
                }
            }
        }
    }
}

/// A token, with its header value.
pub(crate) struct Token {
    secret: SecretString,
    bearer: HeaderValue,
    key: TokenKey,
}

impl Token {
    /// Returns none for an empty token, or one that is not a valid header value.
    pub(super) fn new(secret: &SecretString) -> Option<Self> {
        let trimmed = secret.expose_secret().trim();
        if trimmed.is_empty() {
            return None;
        }
        let mut bearer = HeaderValue::from_str(&format!("Bearer {trimmed}")).ok()?;
        bearer.set_sensitive(true);
        let secret = SecretString::from(trimmed);
        Some(Self {
            key: TokenKey::of(&secret),
            secret,
            bearer,
        })
    }

    /// Returns the secret, to remove it from foreign texts.
    pub(crate) fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// Returns the value of the header `authorization`.
    pub(crate) fn bearer(&self) -> HeaderValue {
        self.bearer.clone()
    }

    /// Returns the key of the token's budget.
    pub(crate) fn key(&self) -> TokenKey {
        self.key
    }

    pub(super) fn equals(&self, other: &Self) -> bool {
        self.secret.expose_secret() == other.secret.expose_secret()
    }
}

/// Omits the token.
impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token")
    }
}
