//! Objects of a bucket of Spaces, or of another storage with the interface of S3.

use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use jiff::Timestamp;
use reqwest::header::{CONTENT_LENGTH, HeaderMap};
use reqwest::{Body, Response, StatusCode, Url};
use rusty_s3::Method;
use secrecy::ExposeSecret as _;
use tokio::fs::File;

use super::{SIGNATURE_SECONDS, SpacesKeys, response};
use crate::base_url::BaseUrl;
use crate::error::describe_network;
use crate::http::http_client;

/// The timeout of a request with a file: a gigabyte at 1 MB/s.
const FILE_TIMEOUT: Duration = Duration::from_mins(20);

/// The host names of Spaces end with this; the label before it is the region.
const SPACES_HOST: &str = ".digitaloceanspaces.com";

/// A place in a bucket, such as `https://nyc3.digitaloceanspaces.com/BUCKET/PREFIX`.
#[derive(Debug, Clone)]
pub struct ObjectStore {
    http: reqwest::Client,
    /// With the bucket and the prefix as its path.
    base: Url,
    region: String,
    keys: SpacesKeys,
}

/// Why an object could not be written or read. No text of it contains a key or a signature.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error(
        "invalid address {address:?}: {problem}; expected https://ENDPOINT/BUCKET or https://ENDPOINT/BUCKET/PREFIX, e.g. \
         https://nyc3.digitaloceanspaces.com/acme-costs/focus"
    )]
    InvalidAddress { address: String, problem: String },
    #[error(
        "cannot set up TLS connections: check that the machine's CA certificates are installed"
    )]
    Setup(#[source] reqwest::Error),
    #[error("{method} {object} returned {status}{}{}", code.as_deref().map(|code| format!(" {code}")).unwrap_or_default(), hint(*status))]
    Refused {
        method: &'static str,
        object: String,
        status: StatusCode,
        /// The error code of S3, such as `NoSuchBucket`.
        code: Option<String>,
    },
    #[error("{method} {object}: {problem}")]
    Network {
        method: &'static str,
        object: String,
        problem: String,
    },
    #[error("cannot read {path}")]
    File {
        path: String,
        #[source]
        source: std::io::Error,
    },
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::FORBIDDEN => {
            "; set SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY of a key that may read and write the bucket"
        }
        StatusCode::NOT_FOUND => "; create the bucket, or correct its name",
        _ => "",
    }
}

impl ObjectStore {
    /// Creates a client for an address in the path style. The region is that of a Spaces endpoint,
    /// or the one that is passed. Sends no request.
    pub fn new(address: &str, region: Option<&str>, keys: SpacesKeys) -> Result<Self, ObjectError> {
        let invalid = |problem: &str| ObjectError::InvalidAddress {
            address: address.to_owned(),
            problem: problem.to_owned(),
        };
        let server = BaseUrl::parse(address).map_err(|error| invalid(&error.to_string()))?;
        let base = Url::parse(server.as_str()).map_err(|error| invalid(&error.to_string()))?;
        if base.path().trim_matches('/').is_empty() {
            return Err(invalid("the bucket is missing"));
        }
        let of_spaces = base
            .host_str()
            .and_then(|host| host.strip_suffix(SPACES_HOST));
        let region = region.or(of_spaces).unwrap_or("us-east-1").to_owned();
        let http = http_client(&server, HeaderMap::new(), FILE_TIMEOUT);
        Ok(Self {
            http: http.map_err(ObjectError::Setup)?,
            base,
            region,
            keys,
        })
    }

    /// Returns the address, without the keys.
    pub fn address(&self) -> &str {
        self.base.as_str()
    }

    /// Writes a file as an object.
    pub async fn put_file(&self, name: &str, path: &Path) -> Result<(), ObjectError> {
        let unreadable = |source| ObjectError::File {
            path: path.display().to_string(),
            source,
        };
        let file = File::open(path).await.map_err(unreadable)?;
        let size = file.metadata().await.map_err(unreadable)?.len();
        let request = self
            .http
            .put(self.signed(Method::Put, name)?)
            .header(CONTENT_LENGTH, size)
            .body(Body::from(file));
        self.send("PUT", name, request).await.map(drop)
    }

    /// Returns the content of a short object; `None` if it does not exist.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ObjectError> {
        let request = self.http.get(self.signed(Method::Get, name)?);
        match self.send("GET", name, request).await {
            Ok(response) => {
                let body = response.bytes().await;
                let body = body.map_err(|error| self.network("GET", name, &error))?;
                Ok(Some(body.to_vec()))
            }
            Err(ObjectError::Refused { status, code, .. })
                if status == StatusCode::NOT_FOUND && code.as_deref() != Some("NoSuchBucket") =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes an object if it exists.
    pub async fn delete(&self, name: &str) -> Result<(), ObjectError> {
        let request = self.http.delete(self.signed(Method::Delete, name)?);
        self.send("DELETE", name, request).await.map(drop)
    }

    async fn send(
        &self,
        method: &'static str,
        name: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<Response, ObjectError> {
        let response = request.send().await;
        let response = response.map_err(|error| self.network(method, name, &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        // The status is sufficient if the body is truncated.
        let body = response.bytes().await.unwrap_or_default();
        let (code, _) = response::read_error(&body);
        Err(ObjectError::Refused {
            method,
            object: self.object(name),
            status,
            code,
        })
    }

    fn network(&self, method: &'static str, name: &str, error: &reqwest::Error) -> ObjectError {
        ObjectError::Network {
            method,
            object: self.object(name),
            problem: describe_network(self.base.as_str(), error),
        }
    }

    fn object(&self, name: &str) -> String {
        format!("{}/{name}", self.base.as_str().trim_end_matches('/'))
    }

    /// Returns the signed URL of an object. It permits the request until it expires, so it must not
    /// appear in errors and logs.
    fn signed(&self, method: Method, name: &str) -> Result<Url, ObjectError> {
        let invalid = |problem: &str| ObjectError::InvalidAddress {
            address: self.object(name),
            problem: problem.to_owned(),
        };
        let url = Url::parse(&self.object(name)).map_err(|error| invalid(&error.to_string()))?;
        let now = Timestamp::from_second(Utc::now().timestamp())
            .map_err(|_| invalid("the machine's clock is wrong by centuries"))?;
        Ok(rusty_s3::signing::sign(
            &now,
            method,
            url,
            self.keys.access_key_id(),
            self.keys.secret().expose_secret(),
            None,
            &self.region,
            SIGNATURE_SECONDS,
            std::iter::empty(),
            std::iter::empty(),
        ))
    }
}
