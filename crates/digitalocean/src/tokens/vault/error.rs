//! Errors of requests to Vault, and whether a later attempt may succeed.

/// The reason that Vault returned no token. No text of it contains a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// No connection, or a timeout.
    #[error("cannot reach Vault: {problem}; check VAULT_ADDR and that Vault is running there")]
    Unreachable { problem: String },
    /// Sealed, standby, or overloaded.
    #[error("Vault returned {status} for {path}{detail}; it is sealed, a standby or overloaded")]
    Unavailable {
        path: String,
        status: u16,
        detail: String,
    },
    /// 403, also after a new login.
    #[error(
        "Vault denied access to {path}{detail}; add a policy to the login that permits reading this path"
    )]
    Denied { path: String, detail: String },
    /// The login was refused.
    #[error("Vault refused the {method} login{detail}; check {variables}")]
    LoginRefused {
        method: &'static str,
        variables: &'static str,
        detail: String,
    },
    #[error(
        "missing secret {location}; create it, or correct ARCADIA_VAULT_PATH (mount/path, without the data/ of Vault's API)"
    )]
    NoSecret { location: String },
    #[error("missing key {keys} in {location}; add one of these keys")]
    NoKey { location: String, keys: String },
    #[error(
        "invalid Vault token: it is empty or has characters that no token has; correct VAULT_TOKEN or VAULT_TOKEN_FILE"
    )]
    InvalidVaultToken,
    #[error(
        "unexpected response from {path}; check VAULT_ADDR and ARCADIA_VAULT_PATH: the mount must be a KV store of version 2"
    )]
    UnexpectedBody { path: String },
    /// Any other status.
    #[error("Vault returned {status} for {path}{detail}; check VAULT_ADDR and ARCADIA_VAULT_PATH")]
    Refused {
        path: String,
        status: u16,
        detail: String,
    },
}

impl VaultError {
    /// Returns true if the error may pass without a change by an operator. This includes unexpected
    /// responses of a proxy, or of Vault during a change of its state.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unavailable { .. } | Self::UnexpectedBody { .. } => {
                true
            }
            // A standby redirects. A store that is being upgraded to version 2 responds 400
            // (Vault's documentation).
            Self::Refused { status, .. } => matches!(status, 300..=400),
            Self::Denied { .. }
            | Self::LoginRefused { .. }
            | Self::NoSecret { .. }
            | Self::NoKey { .. }
            | Self::InvalidVaultToken => false,
        }
    }

    /// Returns true if Vault itself refused the secret, as opposed to a response that is not
    /// evidence about it.
    pub(in crate::tokens) fn is_definite_refusal(&self) -> bool {
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
