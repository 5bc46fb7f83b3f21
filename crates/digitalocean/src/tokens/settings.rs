//! Which source each purpose has, by what the environment says.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;

use super::error::TokenSettingsError;
use super::secret::Given;
use super::source::TokenSource;
use super::vault::{Login, Vault, VaultSettings};
use super::{MissingTokens, Purpose, SHARED_VARIABLE, Tokens};

/// The key of the token for every purpose without one of its own, in Vault's secret.
const SHARED_KEY: &str = "shared";
/// Where a pod finds the token of its service account.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// What the environment holds; a blank variable counts as absent, as compose files leave it.
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

    /// The secret of a variable, or the file that the same with `_FILE` at its end names.
    fn given(&self, variable: &'static str) -> Result<Option<Given>, TokenSettingsError> {
        let of_file = format!("{variable}_FILE");
        match (self.secret(variable), self.path(&of_file)) {
            (Some(_), Some(_)) => Err(TokenSettingsError::Twice { variable }),
            (Some(secret), None) => Ok(Some(Given::Value(secret))),
            (None, Some(path)) => Ok(Some(Given::File {
                variable: of_file,
                path,
            })),
            (None, None) => Ok(None),
        }
    }

    /// The secret in Vault, where a path says that there is one.
    fn vault(&self) -> Result<Option<Arc<Vault>>, TokenSettingsError> {
        // VAULT_ADDR alone says nothing: it is set on many machines.
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
        let token = self.given("VAULT_TOKEN")?;
        let role_id = self.text("VAULT_ROLE_ID");
        let kubernetes = self.text("VAULT_KUBERNETES_ROLE");
        let ways: Vec<_> = [
            ("VAULT_TOKEN", token.is_some()),
            ("VAULT_ROLE_ID", role_id.is_some()),
            ("VAULT_KUBERNETES_ROLE", kubernetes.is_some()),
        ]
        .into_iter()
        .filter_map(|(way, is_set)| is_set.then_some(way))
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
                    .given("VAULT_SECRET_ID")?
                    .ok_or(TokenSettingsError::NoVaultSecretId)?,
            }),
            (None, None, Some(role)) => {
                let variable = "VAULT_KUBERNETES_JWT_FILE";
                Ok(Login::Kubernetes {
                    mount: mount("VAULT_KUBERNETES_MOUNT", "kubernetes"),
                    role: role.trim().to_owned(),
                    jwt: Given::File {
                        variable: variable.to_owned(),
                        path: self
                            .path(variable)
                            .unwrap_or_else(|| PathBuf::from(SERVICE_ACCOUNT_TOKEN)),
                    },
                })
            }
            (None, None, None) => Err(TokenSettingsError::NoVaultLogin),
            _ => Err(TokenSettingsError::SeveralVaultLogins { ways }),
        }
    }
}

impl Tokens {
    /// A token for each of these purposes, as the variables say: its own variable or the file that `.._FILE` names; or else Vault, where
    /// `ARCADIA_VAULT_PATH` is set, by the purpose's name or `shared`; or else `DO_API_TOKEN` or its file. Nothing is read or sent
    /// yet, but for the certificates of Vault.
    pub fn from_variables(
        purposes: &[Purpose],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, TokenSettingsError> {
        let variables = Variables(variable);
        let shared = variables.given(SHARED_VARIABLE)?;
        let shared = shared.map(|given| TokenSource::given(given, SHARED_VARIABLE));
        let vault = variables.vault()?;
        let source = |purpose: Purpose| -> Result<Option<TokenSource>, TokenSettingsError> {
            if let Some(own) = variables.given(purpose.variable())? {
                return Ok(Some(TokenSource::given(own, purpose.variable())));
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

    /// Whether the variables name any token, rightly or not.
    pub fn are_named_by(variable: &dyn Fn(&str) -> Option<String>) -> bool {
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
        given: &'static [(&'static str, &'static str)],
    ) -> impl Fn(&str) -> Option<String> {
        move |name| {
            let found = given.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    fn tokens(
        given: &'static [(&'static str, &'static str)],
    ) -> Result<Tokens, TokenSettingsError> {
        Tokens::from_variables(&Purpose::ALL, &variables(given))
    }

    fn names(given: &'static [(&'static str, &'static str)]) -> [String; 3] {
        let tokens = tokens(given).unwrap();
        Purpose::ALL.map(|purpose| tokens.token(purpose).unwrap().name().to_owned())
    }

    fn refusal(given: &'static [(&'static str, &'static str)]) -> String {
        let error = tokens(given).unwrap_err();
        assert!(!format!("{error:?}{error}").contains("hidden"), "{error}");
        error.to_string()
    }

    #[test]
    fn a_purpose_without_a_token_of_its_own_uses_the_shared_one() {
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
    fn a_file_stands_for_a_variable() {
        let names = names(&[
            ("DO_API_TOKEN_FILE", "/run/secrets/token"),
            ("DO_API_TOKEN_CLOUD_BILLING_FILE", "/run/secrets/billing"),
        ]);
        assert_eq!(names[0], "the file /run/secrets/token of DO_API_TOKEN_FILE");
        assert_eq!(
            names[2],
            "the file /run/secrets/billing of DO_API_TOKEN_CLOUD_BILLING_FILE"
        );
    }

    #[test]
    fn vault_comes_after_what_a_purpose_has_of_its_own_and_before_what_is_shared() {
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
    fn the_address_of_vault_alone_asks_for_nothing() {
        let names = names(&[
            ("VAULT_ADDR", "https://vault.example.com"),
            ("DO_API_TOKEN", "one"),
        ]);
        assert_eq!(names[0], "DO_API_TOKEN");
        assert!(!Tokens::are_named_by(&variables(&[(
            "VAULT_ADDR",
            "https://vault.example.com"
        )])));
        assert!(Tokens::are_named_by(&variables(&[(
            "DO_API_TOKEN_CLOUD_BILLING_FILE",
            "/token"
        )])));
    }

    #[test]
    fn every_missing_variable_is_named() {
        let error = refusal(&[
            ("DO_API_TOKEN", ""),
            ("DO_API_TOKEN_CLOUD_SYNC_FULL", "hidden"),
        ]);
        assert_eq!(
            error,
            "no DigitalOcean token: set DO_API_TOKEN for every purpose, or else DO_API_TOKEN_CLOUD_SYNC_FAST and \
             DO_API_TOKEN_CLOUD_BILLING; or with _FILE at its end the file that holds it, or ARCADIA_VAULT_PATH"
        );
    }

    #[test]
    fn a_purpose_that_is_not_served_needs_no_token() {
        let given = variables(&[("DO_API_TOKEN_CLOUD_BILLING", "hidden")]);
        let billing = [Purpose::CloudBilling];
        let tokens = Tokens::from_variables(&billing, &given).unwrap();
        assert!(tokens.token(Purpose::CloudSyncFull).is_none());
        let purposes: Vec<_> = tokens.iter().map(|(purpose, _)| purpose).collect();
        assert_eq!(purposes, billing);

        let others = [Purpose::CloudSyncFull, Purpose::CloudBilling];
        let error = Tokens::from_variables(&others, &given).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("DO_API_TOKEN_CLOUD_SYNC_FULL;"), "{error}");
    }

    #[test]
    fn wrong_settings_are_told_in_one_line_that_names_the_variable() {
        const PATH: (&str, &str) = ("ARCADIA_VAULT_PATH", "secret/arcadia");
        const ADDRESS: (&str, &str) = ("VAULT_ADDR", "https://vault.example.com");
        for (given, expected) in [
            (
                &[
                    ("DO_API_TOKEN", "hidden"),
                    ("DO_API_TOKEN_FILE", "/run/token"),
                ][..],
                "DO_API_TOKEN and DO_API_TOKEN_FILE are both set",
            ),
            (&[PATH], "VAULT_ADDR is not"),
            (
                &[
                    PATH,
                    ("VAULT_ADDR", "vault:8200"),
                    ("VAULT_TOKEN", "hidden"),
                ],
                "VAULT_ADDR cannot be used",
            ),
            (&[PATH, ADDRESS], "nothing says how to log in to Vault"),
            (
                &[PATH, ADDRESS, ("VAULT_ROLE_ID", "hidden-role")],
                "set VAULT_SECRET_ID or VAULT_SECRET_ID_FILE",
            ),
            (
                &[
                    PATH,
                    ADDRESS,
                    ("VAULT_TOKEN", "hidden"),
                    ("VAULT_KUBERNETES_ROLE", "arcadia"),
                ],
                "several ways to log in to Vault (VAULT_TOKEN, VAULT_KUBERNETES_ROLE)",
            ),
            (
                &[
                    ("ARCADIA_VAULT_PATH", "secret"),
                    ADDRESS,
                    ("VAULT_TOKEN", "hidden"),
                ],
                "ARCADIA_VAULT_PATH cannot be used",
            ),
            (
                &[
                    PATH,
                    ADDRESS,
                    ("VAULT_TOKEN", "hidden"),
                    ("VAULT_CACERT", "/nowhere/ca.pem"),
                ],
                "VAULT_CACERT cannot be used (/nowhere/ca.pem",
            ),
        ] {
            let error = refusal(given);
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
