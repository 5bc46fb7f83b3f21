//! Why there is no token to send.

use std::time::Duration;

use super::vault::VaultError;

/// Why a token could not be had. No text of it holds a token, nor anything else that a file or Vault keeps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error(
        "the file of {origin} cannot be read ({problem}): put the secret there, readable for this user"
    )]
    UnreadableFile {
        /// Which variable names it, and the path.
        origin: String,
        problem: String,
    },
    #[error("{origin} is empty or holds characters that no token has: put a valid token there")]
    Invalid {
        /// The variable, the file or Vault's path.
        origin: String,
    },
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl TokenError {
    /// Whether it may well pass without anyone doing something about it: a file that is being replaced, a Vault that restarts.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::UnreadableFile { .. } | Self::Invalid { .. } => true,
            Self::Vault(error) => error.is_retryable(),
        }
    }

    /// Whether Vault has said that there is no token for us: one that was read before is not to be used on.
    pub(super) fn is_a_clear_no(&self) -> bool {
        matches!(self, Self::Vault(error) if error.is_a_clear_no())
    }

    /// Whether Vault is away, rather than something wrong with what it or a file holds.
    pub fn may_be_an_outage(&self) -> bool {
        matches!(self, Self::Vault(error) if error.is_retryable())
    }
}

/// What is wrong with the variables that say where the tokens are. No text of it holds their values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenSettingsError {
    #[error(transparent)]
    Missing(#[from] super::MissingTokens),
    #[error("{variable} and {variable}_FILE are both set: set one of them")]
    Twice { variable: &'static str },
    #[error(
        "ARCADIA_VAULT_PATH is set and VAULT_ADDR is not: set it to one like https://vault.example.com:8200"
    )]
    NoVaultAddress,
    #[error(
        "VAULT_ADDR cannot be used ({problem}): set it to one like https://vault.example.com:8200"
    )]
    InvalidVaultAddress { problem: String },
    #[error(
        "ARCADIA_VAULT_PATH cannot be used: give the mount of a KV store of version 2 and the path in it, like secret/arcadia; where the \
         mount has a slash itself, set ARCADIA_VAULT_MOUNT to it, with which the path must begin"
    )]
    InvalidVaultPath,
    #[error("VAULT_CACERT cannot be used ({problem}): set it to a file of PEM certificates")]
    InvalidVaultCertificates { problem: String },
    #[error(
        "nothing says how to log in to Vault: set VAULT_TOKEN or VAULT_TOKEN_FILE, or VAULT_ROLE_ID with VAULT_SECRET_ID or \
         VAULT_SECRET_ID_FILE, or VAULT_KUBERNETES_ROLE"
    )]
    NoVaultLogin,
    #[error("there are several ways to log in to Vault ({}): set only one of them", .ways.join(", "))]
    SeveralVaultLogins { ways: Vec<&'static str> },
    #[error(
        "VAULT_ROLE_ID is set without a secret id: set VAULT_SECRET_ID or VAULT_SECRET_ID_FILE"
    )]
    NoVaultSecretId,
}

/// How long a file's token is taken for the present one; reading it costs nothing.
pub(super) const FILE_IS_FRESH_FOR: Duration = Duration::from_secs(5);
/// The same of Vault's.
pub(super) const VAULT_IS_FRESH_FOR: Duration = Duration::from_secs(30);
