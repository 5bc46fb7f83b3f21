//! Tokens in `HashiCorp` Vault: a secret of a KV store of version 2, and three requests of Vault's HTTP API (log in, read, log in
//! again). Why no client library: docs/decisions/2026-11-24-tokens.md.

mod error;
mod login;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::{TokenError, TokenSettingsError};
use crate::answer_text::one_line;
use crate::base_url::BaseUrl;
use crate::error::{Error, describe_network};
use crate::http::http_builder;

pub use error::VaultError;
pub(super) use login::Login;

/// Vault is asked while a request to DigitalOcean waits.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
/// Without it a Vault agent in between may refuse (Vault's documentation).
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");

/// Where the secret is, and how to log in.
pub(super) struct VaultSettings {
    /// `VAULT_ADDR`
    pub(super) address: String,
    /// `VAULT_NAMESPACE`, of Vault Enterprise and HCP.
    pub(super) namespace: Option<String>,
    /// `VAULT_CACERT`: whom to trust beside the authorities of the machine.
    pub(super) certificates: Option<PathBuf>,
    /// `ARCADIA_VAULT_PATH`: `mount/path`.
    pub(super) path: String,
    /// `ARCADIA_VAULT_MOUNT`: how much of it is the mount, where that is more than the first word.
    pub(super) mount: Option<String>,
    pub(super) login: Login,
}

/// One secret of a Vault.
pub(super) struct Vault {
    http: reqwest::Client,
    /// With the `/v1` of every path.
    base: String,
    mount: String,
    path: String,
    login: Login,
    session: Mutex<Option<Session>>,
}

/// What logging in gave.
#[derive(Clone)]
struct Session {
    token: SecretString,
    /// When to log in again without being told; none for what does not end.
    renew_at: Option<Instant>,
}

impl Vault {
    /// Nothing is sent yet.
    pub(super) fn new(settings: VaultSettings) -> Result<Self, TokenSettingsError> {
        let VaultSettings {
            address,
            namespace,
            certificates,
            path,
            mount,
            login,
        } = settings;
        let invalid = |problem: String| TokenSettingsError::InvalidVaultAddress { problem };
        let base = BaseUrl::parse(&address).map_err(|error| match error {
            Error::InvalidBaseUrl { problem } => invalid(problem.to_owned()),
            _ => invalid("it is no URL".to_owned()),
        })?;
        let (mount, path) =
            split_path(&path, mount.as_deref()).ok_or(TokenSettingsError::InvalidVaultPath)?;

        let mut headers = HeaderMap::from_iter([(REQUEST, HeaderValue::from_static("true"))]);
        if let Some(namespace) = namespace {
            let namespace = HeaderValue::from_str(namespace.trim())
                .map_err(|_| invalid("VAULT_NAMESPACE cannot be in a header".to_owned()))?;
            headers.insert(NAMESPACE, namespace);
        }
        let mut http = http_builder(&base, headers, ANSWER_LIMIT);
        if let Some(file) = certificates {
            let problem = |problem: String| TokenSettingsError::InvalidVaultCertificates {
                problem: format!("{}: {problem}", file.display()),
            };
            let pem = std::fs::read(&file).map_err(|error| problem(error.to_string()))?;
            let trusted = Certificate::from_pem_bundle(&pem)
                .ok()
                .filter(|certificates| !certificates.is_empty())
                .ok_or_else(|| problem("it holds no certificate".to_owned()))?;
            http = http.tls_certs_merge(trusted);
        }
        Ok(Self {
            http: http
                .build()
                .map_err(|error| invalid(crate::error::innermost(&error)))?,
            base: format!("{}/v1", base.as_str()),
            mount,
            path,
            login,
            session: Mutex::default(),
        })
    }

    /// As people are told where the secret is.
    pub(super) fn place(&self) -> String {
        format!("{}/{} in Vault", self.mount, self.path)
    }

    /// The first of these keys that the secret has. An expired login is renewed once.
    pub(super) async fn read(&self, keys: &[&'static str]) -> Result<SecretString, TokenError> {
        let session = self.session(None).await?;
        let secret = match self.read_secret(&session).await {
            Err(VaultError::Denied { .. }) => {
                let session = self.session(Some(&session)).await?;
                self.read_secret(&session).await?
            }
            secret => secret?,
        };
        for key in keys {
            if let Some(value) = secret.get(*key) {
                return value
                    .as_str()
                    .map(SecretString::from)
                    .ok_or_else(|| TokenError::Invalid {
                        origin: format!("key {key} of {}", self.place()),
                    });
            }
        }
        Err(VaultError::NoKey {
            place: self.place(),
            keys: keys.join(" and no key "),
        }
        .into())
    }

    async fn read_secret(
        &self,
        session: &Session,
    ) -> Result<serde_json::Map<String, serde_json::Value>, VaultError> {
        /// Data about a version, and the version's own.
        #[derive(Deserialize)]
        struct Version {
            /// Null where it was deleted.
            data: Option<serde_json::Map<String, serde_json::Value>>,
        }
        #[derive(Deserialize)]
        struct Read {
            data: Version,
        }
        let path = format!("/{}/data/{}", self.mount, self.path);
        let mut token = HeaderValue::from_str(session.token.expose_secret())
            .map_err(|_| VaultError::InvalidVaultToken)?;
        token.set_sensitive(true);
        let request = self.http.get(self.url(&path)).header(TOKEN, token);
        let read: Read = self
            .send(request, &path, &session.token)
            .await?
            .ok_or_else(|| VaultError::NoSecret {
                place: self.place(),
            })?;
        read.data.data.ok_or_else(|| VaultError::NoSecret {
            place: self.place(),
        })
    }

    /// What to read with: the login that holds, or a new one if there is none or the one there is was refused.
    async fn session(&self, refused: Option<&Session>) -> Result<Session, TokenError> {
        let mut held = self.session.lock().await;
        if let Some(session) = &*held
            && session.renew_at.is_none_or(|at| Instant::now() < at)
            && refused.is_none_or(|refused| !refused.is(session))
        {
            return Ok(session.clone());
        }
        let session = self.log_in().await?;
        *held = Some(session.clone());
        Ok(session)
    }

    /// The body of a 2xx answer; none for a 404 of Vault's own.
    async fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        path: &str,
        secret: &SecretString,
    ) -> Result<Option<T>, VaultError> {
        #[derive(Deserialize)]
        struct Errors {
            errors: Vec<String>,
        }
        let unreachable = |error: reqwest::Error| VaultError::Unreachable {
            problem: describe_network(&self.base, &error.without_url()),
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        let path = format!("{}{path}", self.base);
        if status.is_success() {
            // What the parser says may repeat a value.
            return serde_json::from_slice(&body)
                .map(Some)
                .map_err(|_| VaultError::UnexpectedBody { path });
        }
        let is_vaults = serde_json::from_slice::<IgnoredAny>(&body).is_ok();
        let said = serde_json::from_slice::<Errors>(&body).map_or_else(
            |_| String::new(),
            |body| {
                let said = one_line(&body.errors.join("; "), secret);
                if said.is_empty() {
                    said
                } else {
                    format!(": {said}")
                }
            },
        );
        let status_code = status.as_u16();
        match status {
            // What stands before Vault has pages of its own, which say nothing of the secret.
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN if !is_vaults => {
                Err(VaultError::UnexpectedBody { path })
            }
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::FORBIDDEN => Err(VaultError::Denied { path, said }),
            // Sealed, standing by, catching up or asked too often (Vault's documentation).
            StatusCode::PRECONDITION_FAILED | StatusCode::TOO_MANY_REQUESTS => {
                Err(VaultError::Unavailable {
                    path,
                    status: status_code,
                    said,
                })
            }
            _ if status_code >= 472 => Err(VaultError::Unavailable {
                path,
                status: status_code,
                said,
            }),
            _ => Err(VaultError::Refused {
                path,
                status: status_code,
                said,
            }),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

impl Session {
    fn is(&self, other: &Self) -> bool {
        self.token.expose_secret() == other.token.expose_secret()
    }
}

/// The mount and the path in it; none where they are not to be told apart.
fn split_path(path: &str, mount: Option<&str>) -> Option<(String, String)> {
    let path = path.trim().trim_matches('/');
    let (mount, path) = match mount.map(|mount| mount.trim().trim_matches('/')) {
        Some(mount) => (mount, path.strip_prefix(mount)?.strip_prefix('/')?),
        None => path.split_once('/')?,
    };
    let is_plain = |part: &str| {
        let mut words = part.split('/');
        words.all(|word| !word.is_empty() && word.chars().all(may_be_in_a_path))
    };
    (is_plain(mount) && is_plain(path)).then(|| (mount.to_owned(), path.to_owned()))
}

/// What has no meaning of its own in a URL.
fn may_be_in_a_path(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_.~".contains(character)
}

/// Without what it holds.
impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Vault({})", self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_the_first_word_of_the_path_or_what_is_said_to_be_it() {
        let split = |path: &str, mount| {
            split_path(path, mount).map(|(mount, path)| format!("{mount} {path}"))
        };
        for (path, mount, expected) in [
            ("/secret/team/arcadia/", None, Some("secret team/arcadia")),
            ("team/kv/arcadia", Some("team/kv"), Some("team/kv arcadia")),
            ("team/kv/a/b", Some("/team/kv/"), Some("team/kv a/b")),
            ("team/kv/arcadia", Some("team"), Some("team kv/arcadia")),
            ("secret", None, None),
            ("secret/", None, None),
            ("secret/a b", None, None),
            ("secret/a//b", None, None),
            ("arcadia", Some("team/kv"), None),
            ("team/kvs/arcadia", Some("team/kv"), None),
            ("team/kv", Some("team/kv"), None),
            ("team/kv//arcadia", Some("team/kv"), None),
        ] {
            assert_eq!(split(path, mount).as_deref(), expected, "{path} {mount:?}");
        }
    }
}
