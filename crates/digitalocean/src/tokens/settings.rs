//! Configures the token source of each purpose from environment variables.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;

use super::error::TokenSettingsError;
use super::secret::SecretSource;
use super::source::TokenSource;
use super::vault::{Login, Vault, VaultSettings};
use super::{MissingTokens, Purpose, SHARED_VARIABLE, Tokens};

/// The key of the token for every purpose without a separate one, in the Vault secret.
const SHARED_KEY: &str = "shared";
/// The path of the service account token in a pod.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The environment variables. A blank variable counts as absent, because compose files set such
/// variables.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }

    fn secret(&self, name: &str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(|path| PathBuf::from(path.trim()))
    }

    /// Returns the secret source of a variable, or of the variable with the suffix `_FILE`.
    fn secret_source(
        &self,
        variable: &'static str,
    ) -> Result<Option<SecretSource>, TokenSettingsError> {
        let file_variable = format!("{variable}_FILE");
        match (self.secret(variable), self.path(&file_variable)) {
            (Some(_), Some(_)) => Err(TokenSettingsError::BothSet { variable }),
            (Some(secret), None) => Ok(Some(SecretSource::Value(secret))),
            (None, Some(path)) => Ok(Some(SecretSource::File {
                variable: file_variable,
                path,
            })),
            (None, None) => Ok(None),
        }
    }

    /// Returns the Vault secret, if its path is set.
    fn vault(&self) -> Result<Option<Arc<Vault>>, TokenSettingsError> {
        // VAULT_ADDR alone is not sufficient: it is set on many machines.
        let Some(path) = self.text("ARCADIA_VAULT_PATH") else {
            return Ok(None);
        };
        let address = self
            .text("VAULT_ADDR")
            .ok_or(TokenSettingsError::NoVaultAddress)?;
        let vault = Vault::new(VaultSettings {
            address,
            namespace: self.text("VAULT_NAMESPACE"),
            certificates: self.path("VAULT_CACERT"),
            path,
            mount: self.text("ARCADIA_VAULT_MOUNT"),
            login: self.login()?,
        })?;
        Ok(Some(Arc::new(vault)))
    }

    fn login(&self) -> Result<Login, TokenSettingsError> {
        let token = self.secret_source("VAULT_TOKEN")?;
        let role_id = self.text("VAULT_ROLE_ID");
        let kubernetes = self.text("VAULT_KUBERNETES_ROLE");
        let methods: Vec<_> = [
            ("VAULT_TOKEN", token.is_some()),
            ("VAULT_ROLE_ID", role_id.is_some()),
            ("VAULT_KUBERNETES_ROLE", kubernetes.is_some()),
        ]
        .into_iter()
        .filter_map(|(method, is_set)| is_set.then_some(method))
        .collect();
        let mount = |variable: &str, default: &str| {
            let mount = self.text(variable);
            let mount = mount.as_deref().unwrap_or(default);
            mount.trim().trim_matches('/').to_owned()
        };
        match (token, role_id, kubernetes) {
            (Some(token), None, None) => Ok(Login::Token(token)),
            (None, Some(role_id), None) => Ok(Login::AppRole {
                mount: mount("VAULT_APPROLE_MOUNT", "approle"),
                role_id: role_id.trim().to_owned(),
                secret_id: self
                    .secret_source("VAULT_SECRET_ID")?
                    .ok_or(TokenSettingsError::NoVaultSecretId)?,
            }),
            (None, None, Some(role)) => {
                let variable = "VAULT_KUBERNETES_JWT_FILE";
                Ok(Login::Kubernetes {
                    mount: mount("VAULT_KUBERNETES_MOUNT", "kubernetes"),
                    role: role.trim().to_owned(),
                    jwt: SecretSource::File {
                        variable: variable.to_owned(),
                        path: self
                            .path(variable)
                            .unwrap_or_else(|| PathBuf::from(SERVICE_ACCOUNT_TOKEN)),
                    },
                })
            }
            (None, None, None) => Err(TokenSettingsError::NoVaultLogin),
            _ => Err(TokenSettingsError::SeveralVaultLogins { methods }),
        }
    }
}

impl Tokens {
    /// Configures the token source of each purpose. In order of precedence: the variable of the
    /// purpose or its file (`.._FILE`); Vault if `ARCADIA_VAULT_PATH` is set, by the name of the
    /// purpose or `shared`; `DO_API_TOKEN` or its file. Reads no token and sends no request; only
    /// the certificates of Vault are read.
    pub fn from_variables(
        purposes: &[Purpose],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, TokenSettingsError> {
        let variables = Variables(variable);
        let shared = variables.secret_source(SHARED_VARIABLE)?;
        let shared = shared.map(|secret| TokenSource::of_secret(secret, SHARED_VARIABLE));
        let vault = variables.vault()?;
        let source = |purpose: Purpose| -> Result<Option<TokenSource>, TokenSettingsError> {
            if let Some(own) = variables.secret_source(purpose.variable())? {
                return Ok(Some(TokenSource::of_secret(own, purpose.variable())));
            }
            Ok(match &vault {
                Some(vault) => Some(TokenSource::vault(
                    vault.clone(),
                    [purpose.name(), SHARED_KEY],
                )),
                None => shared.clone(),
            })
        };
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for purpose in purposes {
            match source(*purpose)? {
                Some(source) => found.push((*purpose, source)),
                None => missing.push(*purpose),
            }
        }
        if missing.is_empty() {
            Ok(Self(found))
        } else {
            Err(MissingTokens(missing).into())
        }
    }

    /// Returns true if the variables configure any token, whether valid or not.
    pub fn are_configured(variable: &dyn Fn(&str) -> Option<String>) -> bool {
        let variables = Variables(variable);
        let own = Purpose::ALL.iter().map(|purpose| purpose.variable());
        variables.text("ARCADIA_VAULT_PATH").is_some()
            || own.chain([SHARED_VARIABLE]).any(|variable| {
                variables.text(variable).is_some()
                    || variables.text(&format!("{variable}_FILE")).is_some()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(
        values: &'static [(&'static str, &'static str)],
    ) -> impl Fn(&str) -> Option<String> {
        move |name| {
            let found = values.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    fn tokens(
        values: &'static [(&'static str, &'static str)],
    ) -> Result<Tokens, TokenSettingsError> {
        Tokens::from_variables(&Purpose::ALL, &variables(values))
    }

    fn names(values: &'static [(&'static str, &'static str)]) -> [String; 3] {
        let tokens = tokens(values).unwrap();
        Purpose::ALL.map(|purpose| tokens.token(purpose).unwrap().name().to_owned())
    }

    fn error_text(values: &'static [(&'static str, &'static str)]) -> String {
        let error = tokens(values).unwrap_err();
        assert!(!format!("{error:?}{error}").contains("hidden"), "{error}");
        error.to_string()
    }

    #[test]
    fn a_purpose_without_a_separate_token_uses_the_shared_one() {
        let names = names(&[
            ("DO_API_TOKEN", "one"),
            ("DO_API_TOKEN_CLOUD_SYNC_FAST", " \n"),
            ("DO_API_TOKEN_CLOUD_BILLING", "two"),
        ]);
        let shared = "DO_API_TOKEN".to_owned();
        assert_eq!(
            names,
            [
                shared.clone(),
                shared,
                "DO_API_TOKEN_CLOUD_BILLING".to_owned()
            ]
        );
    }

    #[test]
    fn a_file_replaces_a_variable() {
        let names = names(&[
            ("DO_API_TOKEN_FILE", "/run/secrets/token"),
            ("DO_API_TOKEN_CLOUD_BILLING_FILE", "/run/secrets/billing"),
        ]);
        assert_eq!(names[0], "file /run/secrets/token (DO_API_TOKEN_FILE)");
        assert_eq!(
            names[2],
            "file /run/secrets/billing (DO_API_TOKEN_CLOUD_BILLING_FILE)"
        );
    }

    #[test]
    fn vault_ranks_between_separate_and_shared_tokens() {
        let names = names(&[
            ("DO_API_TOKEN", "shared"),
            ("DO_API_TOKEN_CLOUD_BILLING", "own"),
            ("VAULT_ADDR", "https://vault.example.com:8200"),
            ("ARCADIA_VAULT_PATH", "/secret/team/arcadia/"),
            ("VAULT_TOKEN", "hidden"),
        ]);
        assert_eq!(
            names[0],
            "key cloud-sync-full of secret/team/arcadia in Vault"
        );
        assert_eq!(
            names[1],
            "key cloud-sync-fast of secret/team/arcadia in Vault"
        );
        assert_eq!(names[2], "DO_API_TOKEN_CLOUD_BILLING");
    }

    #[test]
    fn the_address_of_vault_alone_configures_nothing() {
        let names = names(&[
            ("VAULT_ADDR", "https://vault.example.com"),
            ("DO_API_TOKEN", "one"),
        ]);
        assert_eq!(names[0], "DO_API_TOKEN");
        assert!(!Tokens::are_configured(&variables(&[(
            "VAULT_ADDR",
            "https://vault.example.com"
        )])));
        assert!(Tokens::are_configured(&variables(&[(
            "DO_API_TOKEN_CLOUD_BILLING_FILE",
            "/token"
        )])));
    }

    #[test]
    fn every_missing_variable_is_named() {
        let error = error_text(&[
            ("DO_API_TOKEN", ""),
            ("DO_API_TOKEN_CLOUD_SYNC_FULL", "hidden"),
        ]);
        let missing = "DO_API_TOKEN_CLOUD_SYNC_FAST and DO_API_TOKEN_CLOUD_BILLING;";
        assert!(error.contains(missing), "{error}");
        assert!(!error.contains("DO_API_TOKEN_CLOUD_SYNC_FULL"), "{error}");
    }

    #[test]
    fn a_purpose_that_is_not_served_needs_no_token() {
        let values = variables(&[("DO_API_TOKEN_CLOUD_BILLING", "hidden")]);
        let billing = [Purpose::CloudBilling];
        let tokens = Tokens::from_variables(&billing, &values).unwrap();
        assert!(tokens.token(Purpose::CloudSyncFull).is_none());
        let purposes: Vec<_> = tokens.iter().map(|(purpose, _)| purpose).collect();
        assert_eq!(purposes, billing);

        let others = [Purpose::CloudSyncFull, Purpose::CloudBilling];
        let error = Tokens::from_variables(&others, &values).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("DO_API_TOKEN_CLOUD_SYNC_FULL;"), "{error}");
    }

    #[test]
    fn an_error_of_a_setting_is_one_line_with_its_variable() {
        const PATH: (&str, &str) = ("ARCADIA_VAULT_PATH", "secret/arcadia");
        const ADDRESS: (&str, &str) = ("VAULT_ADDR", "https://vault.example.com");
        for (values, expected) in [
            (
                &[
                    ("DO_API_TOKEN", "hidden"),
                    ("DO_API_TOKEN_FILE", "/run/token"),
                ][..],
                "DO_API_TOKEN and DO_API_TOKEN_FILE",
            ),
            (&[PATH], "missing VAULT_ADDR"),
            (
                &[
                    PATH,
                    ("VAULT_ADDR", "vault:8200"),
                    ("VAULT_TOKEN", "hidden"),
                ],
                "invalid VAULT_ADDR",
            ),
            (&[PATH, ADDRESS], "missing Vault login"),
            (
                &[PATH, ADDRESS, ("VAULT_ROLE_ID", "hidden-role")],
                "VAULT_SECRET_ID_FILE",
            ),
            (
                &[
                    PATH,
                    ADDRESS,
                    ("VAULT_TOKEN", "hidden"),
                    ("VAULT_KUBERNETES_ROLE", "arcadia"),
                ],
                "(VAULT_TOKEN, VAULT_KUBERNETES_ROLE)",
            ),
            (
                &[
                    ("ARCADIA_VAULT_PATH", "secret"),
                    ADDRESS,
                    ("VAULT_TOKEN", "hidden"),
                ],
                "invalid ARCADIA_VAULT_PATH",
            ),
            (
                &[
                    PATH,
                    ADDRESS,
                    ("VAULT_TOKEN", "hidden"),
                    ("VAULT_CACERT", "/nowhere/ca.pem"),
                ],
                "invalid VAULT_CACERT: /nowhere/ca.pem",
            ),
        ] {
            let error = error_text(values);
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
