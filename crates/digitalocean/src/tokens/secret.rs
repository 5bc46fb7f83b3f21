//! A secret that was given, or the file that holds it.

use std::fmt;
use std::path::PathBuf;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use super::error::TokenError;
use crate::budget::TokenKey;

/// A secret, given in a variable or kept in the file that the variable with `_FILE` at its end names.
#[derive(Debug, Clone)]
pub(super) enum Given {
    Value(SecretString),
    File { variable: String, path: PathBuf },
}

impl Given {
    /// As it is now, without the line break that ends most files; never empty.
    pub(super) async fn read(&self) -> Result<SecretString, TokenError> {
        match self {
            Self::Value(secret) => Ok(SecretString::from(secret.expose_secret().trim())),
            Self::File { variable, path } => {
                let origin = || format!("{variable}, {},", path.display());
                let text = tokio::fs::read_to_string(path).await;
                let text = text.map(SecretString::from).map_err(|error| {
                    TokenError::UnreadableFile {
                        origin: origin(),
                        // The text of an error about invalid UTF-8 does not repeat it.
                        problem: error.to_string(),
                    }
                })?;
                match text.expose_secret().trim() {
                    // As it is while some programs replace it.
                    "" => Err(TokenError::Invalid {
                        origin: format!("the file of {}", origin()),
                    }),
                    secret => Ok(SecretString::from(secret)),
                }
            }
        }
    }
}

/// A token as it is sent.
pub(crate) struct Token {
    secret: SecretString,
    bearer: HeaderValue,
    key: TokenKey,
}

impl Token {
    /// None for one that is empty or that no header can hold.
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

    /// What to strike from texts that others wrote.
    pub(crate) fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// The value of the header `authorization`.
    pub(crate) fn bearer(&self) -> HeaderValue {
        self.bearer.clone()
    }

    /// By which its budget is known.
    pub(crate) fn key(&self) -> TokenKey {
        self.key
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.secret.expose_secret() == other.secret.expose_secret()
    }
}

/// Without the token.
impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token")
    }
}
