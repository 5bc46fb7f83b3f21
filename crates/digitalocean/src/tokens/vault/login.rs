//! The logins to Vault: a token, `AppRole` or Kubernetes.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Session, Vault, VaultError};
use crate::tokens::error::TokenError;
use crate::tokens::secret::SecretSource;

/// The method and the credentials of a login.
pub(in crate::tokens) enum Login {
    /// A Vault token, which an agent may keep up to date in a file.
    Token(SecretSource),
    AppRole {
        /// The mount of the auth method.
        mount: String,
        role_id: String,
        secret_id: SecretSource,
    },
    Kubernetes {
        /// The mount of the auth method.
        mount: String,
        role: String,
        /// The service account token of the pod, which Kubernetes replaces every hour.
        jwt: SecretSource,
    },
}

#[derive(Serialize)]
struct AppRole<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

#[derive(Serialize)]
struct Kubernetes<'a> {
    role: &'a str,
    jwt: &'a str,
}

#[derive(Deserialize)]
struct LoggedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
    /// Seconds; 0 for a token that does not expire.
    #[serde(default)]
    lease_duration: u64,
}

impl Vault {
    /// Logs in. A login is renewed by another login, which also works if the token is not
    /// renewable, and is not limited by the maximum lifetime of a token.
    pub(super) async fn log_in(&self) -> Result<Session, TokenError> {
        match &self.login {
            Login::Token(source) => Ok(Session {
                token: source.read().await?,
                renew_at: None,
            }),
            Login::AppRole {
                mount,
                role_id,
                secret_id,
            } => {
                let secret_id = secret_id.read().await?;
                let body = AppRole {
                    role_id,
                    secret_id: secret_id.expose_secret(),
                };
                let variables = "VAULT_ROLE_ID, VAULT_SECRET_ID and VAULT_APPROLE_MOUNT";
                self.exchange(mount, &body, &secret_id, "AppRole", variables)
                    .await
            }
            Login::Kubernetes { mount, role, jwt } => {
                let jwt = jwt.read().await?;
                let body = Kubernetes {
                    role,
                    jwt: jwt.expose_secret(),
                };
                let variables = "VAULT_KUBERNETES_ROLE, VAULT_KUBERNETES_MOUNT and the bindings of the role in Vault";
                self.exchange(mount, &body, &jwt, "Kubernetes", variables)
                    .await
            }
        }
    }

    async fn exchange(
        &self,
        mount: &str,
        body: &(impl Serialize + Sync),
        secret: &SecretString,
        method: &'static str,
        variables: &'static str,
    ) -> Result<Session, TokenError> {
        let path = format!("/auth/{mount}/login");
        let request = self.http.post(self.url(&path)).json(body);
        let refused = |detail: String| VaultError::LoginRefused {
            method,
            variables,
            detail,
        };
        let response = match self.send::<LoggedIn>(request, &path, secret).await {
            // AppRole responds 400 to a wrong id, Kubernetes 403.
            Err(
                VaultError::Denied { detail, .. }
                | VaultError::Refused {
                    status: 400,
                    detail,
                    ..
                },
            ) => {
                return Err(refused(detail).into());
            }
            response => response?,
        };
        let Some(LoggedIn { auth }) = response else {
            return Err(refused(": unknown auth method".to_owned()).into());
        };
        let lease = Duration::from_secs(auth.lease_duration);
        Ok(Session {
            token: auth.client_token.into(),
            // Before the token expires, so that no read is refused first.
            renew_at: (!lease.is_zero())
                .then(|| Instant::now().checked_add(lease / 3 * 2))
                .flatten(),
        })
    }
}
