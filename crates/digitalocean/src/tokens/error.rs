//! Errors of token sources and of their settings, and the maximum ages of cached tokens.

use std::time::Duration;

use super::vault::VaultError;

/// The reason that a source returned no token. No text of it contains a token or other contents of
/// a file or of Vault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("cannot read {origin}: {problem}; put the secret there, readable for this user")]
    UnreadableFile {
        /// The file and the variable that names it.
        origin: String,
        problem: String,
    },
    #[error(
        "invalid token in {origin}: it is empty or has characters that no token has; put a valid token there"
    )]
    Invalid {
        /// The variable, the file or the path in Vault.
        origin: String,
    },
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl TokenError {
    /// Returns true if the error may pass without a change by an operator: a file that is being
    /// replaced, or a Vault that restarts.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::UnreadableFile { .. } | Self::Invalid { .. } => true,
            Self::Vault(error) => error.is_retryable(),
        }
    }

    /// Returns true if Vault definitely refused the token. A token that was read earlier must then
    /// not be used any more.
    pub(super) fn is_definite_refusal(&self) -> bool {
        matches!(self, Self::Vault(error) if error.is_definite_refusal())
    }

    /// Returns true if Vault is unavailable, as opposed to an invalid token in Vault or in a file.
    pub fn may_be_an_outage(&self) -> bool {
        matches!(self, Self::Vault(error) if error.is_retryable())
    }
}

/// An error in the variables that configure the token sources. No text of it contains their values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenSettingsError {
    #[error(transparent)]
    Missing(#[from] super::MissingTokens),
    #[error("{variable} and {variable}_FILE are both set: unset one of them")]
    BothSet { variable: &'static str },
    #[error(
        "missing VAULT_ADDR, although ARCADIA_VAULT_PATH is set: set it to a URL such as https://vault.example.com:8200"
    )]
    NoVaultAddress,
    #[error(
        "invalid VAULT_ADDR: {problem}; set it to a URL such as https://vault.example.com:8200"
    )]
    InvalidVaultAddress { problem: String },
    #[error(
        "invalid ARCADIA_VAULT_PATH: set it to the mount of a KV store of version 2 and the path in it, such as secret/arcadia; if the \
         mount contains a slash, set ARCADIA_VAULT_MOUNT to the mount, with which the path must start"
    )]
    InvalidVaultPath,
    #[error("invalid VAULT_CACERT: {problem}; set it to a file with PEM certificates")]
    InvalidVaultCertificates { problem: String },
    #[error(
        "missing Vault login: set VAULT_TOKEN or VAULT_TOKEN_FILE, or VAULT_ROLE_ID with VAULT_SECRET_ID or \
         VAULT_SECRET_ID_FILE, or VAULT_KUBERNETES_ROLE"
    )]
    NoVaultLogin,
    #[error("several Vault logins are set ({}): set only one of them", .methods.join(", "))]
    SeveralVaultLogins { methods: Vec<&'static str> },
    #[error("missing secret id for VAULT_ROLE_ID: set VAULT_SECRET_ID or VAULT_SECRET_ID_FILE")]
    NoVaultSecretId,
}

/// The maximum age of a token from a file before it is reread; reading is cheap.
pub(super) const FILE_MAX_AGE: Duration = Duration::from_secs(5);
/// The maximum age of a token from Vault before it is reread.
pub(super) const VAULT_MAX_AGE: Duration = Duration::from_secs(30);
