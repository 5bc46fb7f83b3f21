//! A token per purpose: DigitalOcean limits the requests of each token apart, so a long sweep cannot starve the bill.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

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
}

/// As operators say it: the task queue that the purpose belongs to.
impl fmt::Display for Purpose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::CloudSyncFull => "cloud-sync-full",
            Self::CloudSyncFast => "cloud-sync-fast",
            Self::CloudBilling => "cloud-billing",
        })
    }
}

/// A token for every purpose.
#[derive(Debug, Clone)]
pub struct Tokens {
    full: SecretString,
    fast: SecretString,
    billing: SecretString,
}

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
            "no DigitalOcean token: set {SHARED_VARIABLE} for every purpose, or else {}",
            variables.join(" and ")
        )
    }
}

impl Tokens {
    /// A token for every purpose, from what the variables hold: the purpose's own, or else the shared one of `DO_API_TOKEN`. A
    /// blank one counts as absent.
    pub fn new(
        shared: Option<SecretString>,
        full: Option<SecretString>,
        fast: Option<SecretString>,
        billing: Option<SecretString>,
    ) -> Result<Self, MissingTokens> {
        let given = |token: &SecretString| !token.expose_secret().trim().is_empty();
        let shared = shared.filter(given);
        let [full, fast, billing] =
            [full, fast, billing].map(|own| own.filter(given).or_else(|| shared.clone()));
        match (full, fast, billing) {
            (Some(full), Some(fast), Some(billing)) => Ok(Self {
                full,
                fast,
                billing,
            }),
            (full, fast, billing) => {
                let found = [full.is_some(), fast.is_some(), billing.is_some()];
                let missing = Purpose::ALL.into_iter().zip(found);
                Err(MissingTokens(
                    missing
                        .filter(|(_, found)| !found)
                        .map(|(purpose, _)| purpose)
                        .collect(),
                ))
            }
        }
    }

    /// One token for every purpose.
    pub fn one(token: SecretString) -> Self {
        Self {
            full: token.clone(),
            fast: token.clone(),
            billing: token,
        }
    }

    /// The token for a purpose.
    pub fn token(&self, purpose: Purpose) -> &SecretString {
        match purpose {
            Purpose::CloudSyncFull => &self.full,
            Purpose::CloudSyncFast => &self.fast,
            Purpose::CloudBilling => &self.billing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(variables: [Option<&str>; 4]) -> Result<Tokens, MissingTokens> {
        let [shared, full, fast, billing] =
            variables.map(|variable| variable.map(SecretString::from));
        Tokens::new(shared, full, fast, billing)
    }

    #[test]
    fn a_purpose_without_a_token_of_its_own_uses_the_shared_one() {
        let tokens = new([Some("shared"), None, Some(" \n"), Some("billing")]).unwrap();
        let token = |purpose| tokens.token(purpose).expose_secret().to_owned();
        assert_eq!(Purpose::ALL.map(token), ["shared", "shared", "billing"]);
    }

    #[test]
    fn every_missing_variable_is_named() {
        let error = new([Some(""), Some("full"), None, None]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no DigitalOcean token: set DO_API_TOKEN for every purpose, or else DO_API_TOKEN_CLOUD_SYNC_FAST and \
             DO_API_TOKEN_CLOUD_BILLING"
        );
    }

    #[test]
    fn no_token_is_in_the_debug_text() {
        let tokens = Tokens::one(SecretString::from("hidden"));
        assert!(!format!("{tokens:?}").contains("hidden"));
    }
}
