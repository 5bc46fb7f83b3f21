//! Lists Spaces buckets by S3's `ListBuckets`: the DigitalOcean API has no list of them. Writes
//! objects of a bucket.

mod error;
mod keys;
mod objects;
mod response;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::ResourceKind;
use domain::inventory::{Attrs, ObservedResource};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use reqwest::{Response, Url};
use rusty_s3::Method;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::base_url::BaseUrl;
use crate::http::{RESPONSE_TIMEOUT, http_client};
use crate::rate_limit;

pub use error::{SpacesError, SpacesErrorResponse};
pub use keys::{IncompleteSpacesKeys, SpacesKeys};
pub use objects::{ObjectError, ObjectStore};

/// The regions with Spaces (docs.digitalocean.com/products/spaces/details/availability, as of 23
/// March 2026). The buckets of a later region are missing here. They are then known only from
/// projects and grants, as all buckets are without keys.
pub const REGIONS: [&str; 11] = [
    "ams3", "atl1", "blr1", "fra1", "lon1", "nyc3", "sfo2", "sfo3", "sgp1", "syd1", "tor1",
];

/// The default endpoint template, with the placeholder `{region}`.
pub const DEFAULT_ENDPOINT: &str = "https://{region}.digitaloceanspaces.com";

const REGION_PLACEHOLDER: &str = "{region}";
/// The placeholder that Terraform's provider uses in the variable of the same name.
const GO_REGION_PLACEHOLDER: &str = "{{.Region}}";

/// The number of regions listed concurrently.
const CONCURRENT_REGIONS: usize = 4;
/// An account has at most a hundred buckets by default (docs), and S3 returns up to ten thousand
/// per page.
const MAX_PAGES: usize = 100;
/// The validity of a signature. A larger error of the machine's clock makes it invalid.
const SIGNATURE_SECONDS: u64 = 15 * 60;

/// Client for Spaces with one key pair. Cheap to clone; clones share their connections.
///
/// The keys sign each request, which is sent to the endpoint of the region only. The secret key
/// itself is never sent.
#[derive(Clone)]
pub struct SpacesClient {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    endpoint: String,
    keys: SpacesKeys,
}

/// Omits the keys.
impl fmt::Debug for SpacesClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SpacesClient")
            .field("endpoint", &self.inner.endpoint)
            .finish_non_exhaustive()
    }
}

/// A bucket as its region lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    pub name: String,
    /// The region that lists the bucket. None if several do.
    pub region: Option<String>,
    /// None if several regions list this name with different times.
    pub created_at: Option<DateTime<Utc>>,
}

impl SpacesClient {
    /// Creates a client for the endpoints of a template such as [`DEFAULT_ENDPOINT`]. Sends no
    /// request.
    pub fn new(endpoint: &str, keys: SpacesKeys) -> Result<Self, SpacesError> {
        let endpoint = endpoint
            .trim()
            .replace(GO_REGION_PLACEHOLDER, REGION_PLACEHOLDER);
        if !endpoint.contains(REGION_PLACEHOLDER) {
            let problem = "the placeholder {region} is missing";
            return Err(SpacesError::InvalidEndpoint { problem });
        }
        let base = base_of(&endpoint, REGIONS[0])?;
        let http =
            http_client(&base, HeaderMap::new(), RESPONSE_TIMEOUT).map_err(SpacesError::Setup)?;
        Ok(Self {
            inner: Arc::new(Inner {
                http,
                endpoint,
                keys,
            }),
        })
    }

    /// Lists the buckets of every region that the keys may read, by name. Fails if one region
    /// fails: whether a name is unique is known only after all regions have responded.
    pub async fn list_buckets(&self) -> Result<Vec<Bucket>, SpacesError> {
        let lists: Vec<_> = REGIONS.map(|region| self.list_region(region)).into();
        let lists: Vec<Vec<Bucket>> = stream::iter(lists)
            .buffered(CONCURRENT_REGIONS)
            .try_collect()
            .await?;
        let mut buckets: BTreeMap<String, Bucket> = BTreeMap::new();
        for bucket in lists.into_iter().flatten() {
            match buckets.entry(bucket.name.clone()) {
                Entry::Vacant(entry) => drop(entry.insert(bucket)),
                Entry::Occupied(mut entry) => entry.get_mut().merge(&bucket),
            }
        }
        Ok(buckets.into_values().collect())
    }

    async fn list_region(&self, region: &'static str) -> Result<Vec<Bucket>, SpacesError> {
        let base = base_of(&self.inner.endpoint, region)?;
        let mut buckets = Vec::new();
        let mut continuation = None;
        for _ in 0..MAX_PAGES {
            let page = self.page(&base, region, continuation.as_deref()).await?;
            buckets.extend(page.buckets(region));
            match page.continuation {
                None => return Ok(buckets),
                next if next == continuation => {
                    let problem = "the same continuation token twice";
                    return Err(SpacesError::unexpected(region, problem));
                }
                next => continuation = next,
            }
        }
        let problem = format!("more than {MAX_PAGES} pages");
        Err(SpacesError::unexpected(region, problem))
    }

    async fn page(
        &self,
        base: &BaseUrl,
        region: &'static str,
        continuation: Option<&str>,
    ) -> Result<response::Page, SpacesError> {
        let url = self.signed_url(base, region, continuation)?;
        let network = |error| SpacesError::network(region, base.as_str(), error);
        let response = self.inner.http.get(url).send().await.map_err(network)?;
        if !response.status().is_success() {
            return Err(failure(region, response).await);
        }
        let body = response.bytes().await.map_err(network)?;
        let page = response::Page::read(&body);
        page.map_err(|problem| SpacesError::unexpected(region, problem))
    }

    /// Returns the signed URL of a page. The URL permits listing the buckets until it expires, so
    /// it must not appear in errors and logs.
    fn signed_url(
        &self,
        base: &BaseUrl,
        region: &str,
        continuation: Option<&str>,
    ) -> Result<Url, SpacesError> {
        let invalid = |problem| SpacesError::InvalidEndpoint { problem };
        let url = Url::parse(&format!("{}/", base.as_str()))
            .map_err(|_| invalid("it is not a URL after the region is inserted"))?;
        let now = Timestamp::from_second(Utc::now().timestamp())
            .map_err(|_| invalid("the machine's clock is wrong by centuries"))?;
        let query = continuation.map(|token| ("continuation-token", token));
        Ok(rusty_s3::signing::sign(
            &now,
            Method::Get,
            url,
            self.inner.keys.access_key_id(),
            self.inner.keys.secret().expose_secret(),
            None,
            region,
            SIGNATURE_SECONDS,
            query.into_iter(),
            std::iter::empty(),
        ))
    }
}

impl Bucket {
    /// Merges a bucket of the same name in another region, which may be the same bucket or another
    /// one.
    fn merge(&mut self, other: &Self) {
        if self.region != other.region {
            self.region = None;
        }
        if self.created_at != other.created_at {
            self.created_at = None;
        }
    }
}

impl From<Bucket> for ObservedResource {
    fn from(bucket: Bucket) -> Self {
        let attrs = match bucket.created_at {
            Some(created_at) => Attrs::from(json!({ "created_at": created_at })),
            None => Attrs::empty(),
        };
        Self {
            kind: ResourceKind::SPACES_BUCKET,
            provider_id: bucket.name.clone(),
            name: bucket.name,
            region: bucket.region,
            status: None,
            tags: Vec::new(),
            project_id: None,
            relations: Vec::new(),
            attrs,
        }
    }
}

fn base_of(endpoint: &str, region: &str) -> Result<BaseUrl, SpacesError> {
    BaseUrl::parse(&endpoint.replace(REGION_PLACEHOLDER, region)).map_err(|error| {
        let problem = match error {
            crate::Error::InvalidBaseUrl { problem } => problem,
            _ => "it is not a URL",
        };
        SpacesError::InvalidEndpoint { problem }
    })
}

async fn failure(region: &'static str, response: Response) -> SpacesError {
    let status = response.status().as_u16();
    let retry_after = rate_limit::retry_after_outage(response.headers());
    // The status is sufficient if the body is truncated.
    let body = response.bytes().await.unwrap_or_default();
    let (code, request_id) = response::read_error(&body);
    let error_response = SpacesErrorResponse {
        region,
        status,
        code,
        request_id,
    };
    SpacesError::from_response(error_response, retry_after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(endpoint: &str) -> Result<SpacesClient, SpacesError> {
        let keys = SpacesKeys::new(Some("id".to_owned()), Some("hidden".into()));
        SpacesClient::new(endpoint, keys.unwrap().unwrap())
    }

    #[test]
    fn a_template_of_terraform_is_accepted() {
        for endpoint in [
            DEFAULT_ENDPOINT,
            " https://{{.Region}}.digitaloceanspaces.com/ ",
        ] {
            let client = client(endpoint).unwrap();
            let base = base_of(&client.inner.endpoint, "syd1").unwrap();
            assert_eq!(base.as_str(), "https://syd1.digitaloceanspaces.com");
        }
    }

    #[test]
    fn a_template_without_a_region_or_a_valid_url_is_refused() {
        for endpoint in [
            "",
            "https://digitaloceanspaces.com",
            "{region}.digitaloceanspaces.com",
            "https://user:hunter2@{region}.example.com",
        ] {
            let error = client(endpoint).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains("SPACES_ENDPOINT_URL"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn debug_output_shows_no_keys() {
        let text = format!("{:?}", client(DEFAULT_ENDPOINT).unwrap());
        assert_eq!(
            text,
            format!("SpacesClient {{ endpoint: {DEFAULT_ENDPOINT:?}, .. }}")
        );
    }
}
