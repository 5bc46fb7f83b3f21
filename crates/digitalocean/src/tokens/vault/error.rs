//! What can go wrong when Vault is asked.

/// Why Vault gave no token. No text of it holds what Vault keeps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// No connection, or no answer in time.
    #[error("Vault cannot be reached: {problem}; look at VAULT_ADDR and whether Vault runs there")]
    Unreachable { problem: String },
    /// Sealed, standing by, or overloaded.
    #[error("Vault answered {status} to {path}{said}; it is sealed, standing by or overloaded")]
    Unavailable {
        path: String,
        status: u16,
        said: String,
    },
    /// 403, with a fresh login as well.
    #[error("Vault denies {path}{said}; give what logs in there a policy that may read this path")]
    Denied { path: String, said: String },
    /// The login itself was refused.
    #[error("Vault refuses the login by {way}{said}; look at {variables}")]
    LoginRefused {
        way: &'static str,
        variables: &'static str,
        said: String,
    },
    #[error(
        "there is no {place}; put the secret there, or correct ARCADIA_VAULT_PATH (mount/path, without the data/ of Vault's API)"
    )]
    NoSecret { place: String },
    #[error("{place} has no key {keys}; add one of these keys to it")]
    NoKey { place: String, keys: String },
    #[error(
        "the token for Vault is empty or holds characters that no token has; look at VAULT_TOKEN or VAULT_TOKEN_FILE"
    )]
    InvalidVaultToken,
    #[error(
        "{path} answered with something else than Vault does; look at VAULT_ADDR, and at ARCADIA_VAULT_PATH, whose mount must be a KV store of version 2"
    )]
    UnexpectedBody { path: String },
    /// Any other answer.
    #[error("Vault answered {status} to {path}{said}; look at VAULT_ADDR and ARCADIA_VAULT_PATH")]
    Refused {
        path: String,
        status: u16,
        said: String,
    },
}

impl VaultError {
    /// Whether it may well pass without anyone doing something about it: also what stands before Vault, or Vault itself as it changes
    /// its state, answers oddly for a while.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unavailable { .. } | Self::UnexpectedBody { .. } => {
                true
            }
            // A standby redirects; a store that is made one of version 2 answers 400 meanwhile (Vault's documentation).
            Self::Refused { status, .. } => matches!(status, 300..=400),
            Self::Denied { .. }
            | Self::LoginRefused { .. }
            | Self::NoSecret { .. }
            | Self::NoKey { .. }
            | Self::InvalidVaultToken => false,
        }
    }

    /// Whether Vault itself has said no, rather than something that says nothing of our token.
    pub(in crate::tokens) fn is_a_clear_no(&self) -> bool {
        match self {
            Self::Denied { .. }
            | Self::LoginRefused { .. }
            | Self::NoSecret { .. }
            | Self::NoKey { .. } => true,
            Self::Unreachable { .. }
            | Self::Unavailable { .. }
            | Self::InvalidVaultToken
            | Self::UnexpectedBody { .. }
            | Self::Refused { .. } => false,
        }
    }
}
