//! Reads tokens from `HashiCorp` Vault: a secret in a KV store of version 2, with the requests to
//! log in and to read. docs/decisions/2026-11-24-tokens.md gives the reasons for not using a client
//! library.

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
use crate::base_url::BaseUrl;
use crate::error::{Error, describe_network};
use crate::http::http_builder;
use crate::response_text::one_line;

pub use error::VaultError;
pub(super) use login::Login;

/// The timeout of a request to Vault, during which a request to DigitalOcean waits.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
/// An intermediate Vault agent may refuse requests without this header (Vault's documentation).
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");

/// The location of the secret, and the login.
pub(super) struct VaultSettings {
    /// `VAULT_ADDR`
    pub(super) address: String,
    /// `VAULT_NAMESPACE`, of Vault Enterprise and HCP.
    pub(super) namespace: Option<String>,
    /// `VAULT_CACERT`: trusted certificates in addition to those of the machine.
    pub(super) certificates: Option<PathBuf>,
    /// `ARCADIA_VAULT_PATH`: `mount/path`.
    pub(super) path: String,
    /// `ARCADIA_VAULT_MOUNT`: the mount at the start of the path, if it is more than the first
    /// segment.
    pub(super) mount: Option<String>,
    pub(super) login: Login,
}

/// One secret in Vault.
pub(super) struct Vault {
    http: reqwest::Client,
    /// The URL with `/v1`, with which every path starts.
    base: String,
    mount: String,
    path: String,
    login: Login,
    session: Mutex<Option<Session>>,
}

/// The result of a login.
#[derive(Clone)]
struct Session {
    token: SecretString,
    /// The time of the next login. None for a token that does not expire.
    renew_at: Option<Instant>,
}

impl Vault {
    /// Configures the client. Sends no request.
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
            _ => invalid("it is not a URL".to_owned()),
        })?;
        let (mount, path) =
            split_path(&path, mount.as_deref()).ok_or(TokenSettingsError::InvalidVaultPath)?;

        let mut headers = HeaderMap::from_iter([(REQUEST, HeaderValue::from_static("true"))]);
        if let Some(namespace) = namespace {
            let namespace = HeaderValue::from_str(namespace.trim())
                .map_err(|_| invalid("VAULT_NAMESPACE is not a valid header value".to_owned()))?;
            headers.insert(NAMESPACE, namespace);
        }
        let mut http = http_builder(&base, headers, RESPONSE_TIMEOUT);
        if let Some(file) = certificates {
            let problem = |problem: String| TokenSettingsError::InvalidVaultCertificates {
                problem: format!("{}: {problem}", file.display()),
            };
            let pem = std::fs::read(&file).map_err(|error| problem(error.to_string()))?;
            let trusted = Certificate::from_pem_bundle(&pem)
                .ok()
                .filter(|certificates| !certificates.is_empty())
                .ok_or_else(|| problem("the file has no certificate".to_owned()))?;
            http = http.tls_certs_merge(trusted);
        }
        Ok(Self {
            http: http
                .build()
                .map_err(|error| invalid(crate::error::root_cause(&error)))?,
            base: format!("{}/v1", base.as_str()),
            mount,
            path,
            login,
            session: Mutex::default(),
        })
    }

    /// Returns the location of the secret, for texts.
    pub(super) fn location(&self) -> String {
        format!("{}/{} in Vault", self.mount, self.path)
    }

    /// Returns the value of the first of these keys that the secret has. If the login has expired,
    /// logs in again once.
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
                        origin: format!("key {key} of {}", self.location()),
                    });
            }
        }
        Err(VaultError::NoKey {
            location: self.location(),
            keys: keys.join(" or "),
        }
        .into())
    }

    async fn read_secret(
        &self,
        session: &Session,
    ) -> Result<serde_json::Map<String, serde_json::Value>, VaultError> {
        /// The envelope of a version: its data and metadata.
        #[derive(Deserialize)]
        struct Version {
            /// Null if the version was deleted.
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
                location: self.location(),
            })?;
        read.data.data.ok_or_else(|| VaultError::NoSecret {
            location: self.location(),
        })
    }

    /// Returns the current login, or logs in if there is none or it was refused.
    async fn session(&self, refused: Option<&Session>) -> Result<Session, TokenError> {
        let mut current = self.session.lock().await;
        if let Some(session) = &*current
            && session.renew_at.is_none_or(|at| Instant::now() < at)
            && refused.is_none_or(|refused| !refused.equals(session))
        {
            return Ok(session.clone());
        }
        let session = self.log_in().await?;
        *current = Some(session.clone());
        Ok(session)
    }

    /// Returns the body of a 2xx response, or none for a 404 from Vault itself.
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
            // The error of the parser may repeat a value.
            return serde_json::from_slice(&body)
                .map(Some)
                .map_err(|_| VaultError::UnexpectedBody { path });
        }
        let is_from_vault = serde_json::from_slice::<IgnoredAny>(&body).is_ok();
        let detail = serde_json::from_slice::<Errors>(&body).map_or_else(
            |_| String::new(),
            |body| {
                let detail = one_line(&body.errors.join("; "), secret);
                if detail.is_empty() {
                    detail
                } else {
                    format!(": {detail}")
                }
            },
        );
        let status_code = status.as_u16();
        match status {
            // A proxy in front of Vault has its own error pages, which are not evidence about the
            // secret.
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN if !is_from_vault => {
                Err(VaultError::UnexpectedBody { path })
            }
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::FORBIDDEN => Err(VaultError::Denied { path, detail }),
            // Sealed, standby, catching up or rate limited (Vault's documentation).
            StatusCode::PRECONDITION_FAILED | StatusCode::TOO_MANY_REQUESTS => {
                Err(VaultError::Unavailable {
                    path,
                    status: status_code,
                    detail,
                })
            }
            _ if status_code >= 472 => Err(VaultError::Unavailable {
                path,
                status: status_code,
                detail,
            }),
            _ => Err(VaultError::Refused {
                path,
                status: status_code,
                detail,
            }),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

impl Session {
    fn equals(&self, other: &Self) -> bool {
        self.token.expose_secret() == other.token.expose_secret()
    }
}

/// Splits a path into the mount and the rest. None if the path is invalid or does not start with
/// the mount.
fn split_path(path: &str, mount: Option<&str>) -> Option<(String, String)> {
    let path = path.trim().trim_matches('/');
    let (mount, path) = match mount.map(|mount| mount.trim().trim_matches('/')) {
        Some(mount) => (mount, path.strip_prefix(mount)?.strip_prefix('/')?),
        None => path.split_once('/')?,
    };
    let is_plain = |part: &str| {
        let mut segments = part.split('/');
        segments.all(|segment| !segment.is_empty() && segment.chars().all(is_path_character))
    };
    (is_plain(mount) && is_plain(path)).then(|| (mount.to_owned(), path.to_owned()))
}

/// Returns true for a character without a special meaning in a URL.
fn is_path_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_.~".contains(character)
}

/// Omits the secrets.
impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Vault({})", self.location())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_the_first_segment_unless_set_explicitly() {
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
