//! The DigitalOcean tokens, one per purpose. DigitalOcean limits the requests of each token
//! separately, so a long sweep cannot delay billing.
//!
//! A token is stored in a variable, in a file or in Vault. It is read when a request needs it, so a
//! replaced token is used without a restart. It is sent in the request header only.

mod error;
mod secret;
mod settings;
mod source;
mod vault;

use std::fmt;

use secrecy::SecretString;

pub use error::{TokenError, TokenSettingsError};
pub(crate) use secret::Token;
pub use source::TokenSource;
pub use vault::VaultError;

/// The use of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The sweeps of the whole account.
    CloudSyncFull,
    /// The frequent sweep of the droplets.
    CloudSyncFast,
    /// The balance, the billing history and the invoices.
    CloudBilling,
}

/// The environment variable with the token for every purpose that has no separate one.
const SHARED_VARIABLE: &str = "DO_API_TOKEN";

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::CloudSyncFull, Self::CloudSyncFast, Self::CloudBilling];

    /// Returns the environment variable with the separate token of this purpose.
    pub fn variable(self) -> &'static str {
        match self {
            Self::CloudSyncFull => "DO_API_TOKEN_CLOUD_SYNC_FULL",
            Self::CloudSyncFast => "DO_API_TOKEN_CLOUD_SYNC_FAST",
            Self::CloudBilling => "DO_API_TOKEN_CLOUD_BILLING",
        }
    }

    /// Returns the name of the purpose: the name of its task queue, and the key of its token in the
    /// Vault secret.
    pub fn name(self) -> &'static str {
        match self {
            Self::CloudSyncFull => "cloud-sync-full",
            Self::CloudSyncFast => "cloud-sync-fast",
            Self::CloudBilling => "cloud-billing",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The token sources of the served purposes.
#[derive(Debug, Clone)]
pub struct Tokens(Vec<(Purpose, TokenSource)>);

/// Purposes without a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct MissingTokens(
    /// Never empty.
    pub Vec<Purpose>,
);

impl fmt::Display for MissingTokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<_> = self.0.iter().map(|purpose| purpose.variable()).collect();
        write!(
            formatter,
            "missing DigitalOcean token: set {SHARED_VARIABLE} for every purpose, or {}; to read the token from a file, set the \
             variable with the suffix _FILE; to read it from Vault, set ARCADIA_VAULT_PATH",
            variables.join(" and ")
        )
    }
}

impl Tokens {
    /// Uses one token for every purpose.
    pub fn one(token: SecretString) -> Self {
        let source = TokenSource::from(token);
        Self(
            Purpose::ALL
                .map(|purpose| (purpose, source.clone()))
                .to_vec(),
        )
    }

    /// Returns the token source of a purpose, or none if the purpose is not served.
    pub fn token(&self, purpose: Purpose) -> Option<&TokenSource> {
        let mut sources = self.iter();
        sources.find_map(|(other, source)| (other == purpose).then_some(source))
    }

    /// Returns every served purpose with its token source.
    pub fn iter(&self) -> impl Iterator<Item = (Purpose, &TokenSource)> {
        self.0.iter().map(|(purpose, source)| (*purpose, source))
    }
}
