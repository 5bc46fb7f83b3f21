//! A token per purpose: DigitalOcean limits the requests of each token apart, so a long sweep cannot starve the bill.
//!
//! A token is in a variable, in a file or in Vault. It is looked up when a request needs it, so that one that is replaced is used
//! without a restart, and it is in nothing but the request.

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

/// What a token is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The sweeps over the whole account.
    CloudSyncFull,
    /// The frequent sweep over the droplets.
    CloudSyncFast,
    /// The balance, the billing history and the invoices.
    CloudBilling,
}

/// The environment variable that holds the token for every purpose without one of its own.
const SHARED_VARIABLE: &str = "DO_API_TOKEN";

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::CloudSyncFull, Self::CloudSyncFast, Self::CloudBilling];

    /// The environment variable that holds this purpose's own token.
    pub fn variable(self) -> &'static str {
        match self {
            Self::CloudSyncFull => "DO_API_TOKEN_CLOUD_SYNC_FULL",
            Self::CloudSyncFast => "DO_API_TOKEN_CLOUD_SYNC_FAST",
            Self::CloudBilling => "DO_API_TOKEN_CLOUD_BILLING",
        }
    }

    /// As operators say it: the task queue that the purpose belongs to. The key of its token in Vault's secret.
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

/// Where the tokens come from: of every purpose, or of those alone that a worker serves.
#[derive(Debug, Clone)]
pub struct Tokens(Vec<(Purpose, TokenSource)>);

/// Purposes that have no token.
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
            "no DigitalOcean token: set {SHARED_VARIABLE} for every purpose, or else {}; or with _FILE at its end the file that holds \
             it, or ARCADIA_VAULT_PATH",
            variables.join(" and ")
        )
    }
}

impl Tokens {
    /// One token for every purpose.
    pub fn one(token: SecretString) -> Self {
        let source = TokenSource::from(token);
        Self(
            Purpose::ALL
                .map(|purpose| (purpose, source.clone()))
                .to_vec(),
        )
    }

    /// Where the token of a purpose comes from; none where that purpose is not served.
    pub fn token(&self, purpose: Purpose) -> Option<&TokenSource> {
        let mut sources = self.iter();
        sources.find_map(|(other, source)| (other == purpose).then_some(source))
    }

    /// Every purpose that is served, and where its token comes from.
    pub fn iter(&self) -> impl Iterator<Item = (Purpose, &TokenSource)> {
        self.0.iter().map(|(purpose, source)| (*purpose, source))
    }
}
