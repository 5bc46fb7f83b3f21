//! The ways to log in to Vault.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Session, Vault, VaultError};
use crate::tokens::error::TokenError;
use crate::tokens::secret::Given;

/// How to become someone in Vault's eyes.
pub(in crate::tokens) enum Login {
    /// A token that was made for us, or that an agent keeps up to date in a file.
    Token(Given),
    AppRole {
        /// Where the auth method is mounted.
        mount: String,
        role_id: String,
        secret_id: Given,
    },
    Kubernetes {
        /// Where the auth method is mounted.
        mount: String,
        role: String,
        /// The pod's service account token, which Kubernetes replaces every hour.
        jwt: Given,
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
    /// Seconds; 0 for a token that does not end.
    #[serde(default)]
    lease_duration: u64,
}

impl Vault {
    /// Renewing is logging in again: it works where a token may not be renewed, and does not end at a token's longest life.
    pub(super) async fn log_in(&self) -> Result<Session, TokenError> {
        match &self.login {
            Login::Token(given) => Ok(Session {
                token: given.read().await?,
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
                let variables = "VAULT_KUBERNETES_ROLE, VAULT_KUBERNETES_MOUNT and what Vault's role is bound to";
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
        way: &'static str,
        variables: &'static str,
    ) -> Result<Session, TokenError> {
        let path = format!("/auth/{mount}/login");
        let request = self.http.post(self.url(&path)).json(body);
        let refused = |said: String| VaultError::LoginRefused {
            way,
            variables,
            said,
        };
        let answer = match self.send::<LoggedIn>(request, &path, secret).await {
            // AppRole answers 400 to a wrong id, Kubernetes 403.
            Err(
                VaultError::Denied { said, .. }
                | VaultError::Refused {
                    status: 400, said, ..
                },
            ) => {
                return Err(refused(said).into());
            }
            answer => answer?,
        };
        let Some(LoggedIn { auth }) = answer else {
            return Err(refused(": there is no such auth method".to_owned()).into());
        };
        let lease = Duration::from_secs(auth.lease_duration);
        Ok(Session {
            token: auth.client_token.into(),
            // Before it ends, so that no read has to be refused first.
            renew_at: (!lease.is_zero())
                .then(|| Instant::now().checked_add(lease / 3 * 2))
                .flatten(),
        })
    }
}
