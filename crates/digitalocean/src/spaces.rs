//! Spaces buckets, by S3's `ListBuckets`: the API of DigitalOcean has no list of them.

mod answer;
mod error;
mod keys;

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
use crate::http::{ANSWER_LIMIT, http_client};
use crate::rate_limit;

pub use error::{SpacesAnswer, SpacesError};
pub use keys::{IncompleteSpacesKeys, SpacesKeys};

/// Where Spaces is (docs.digitalocean.com/products/spaces/details/availability, as of 23 March 2026). A region that opens later is
/// missing here; its buckets are then known from projects and grants alone, as all are without keys.
pub const REGIONS: [&str; 11] = [
    "ams3", "atl1", "blr1", "fra1", "lon1", "nyc3", "sfo2", "sfo3", "sgp1", "syd1", "tor1",
];

/// Where a region answers, in place of [`REGION`].
pub const DEFAULT_ENDPOINT: &str = "https://{region}.digitaloceanspaces.com";

const REGION: &str = "{region}";
/// The same as Terraform's provider writes it in the variable of the same name.
const REGION_IN_GO: &str = "{{.Region}}";

/// Regions asked at a time.
const AT_A_TIME: usize = 4;
/// An account has a hundred buckets unless it asks for more (docs), and S3 gives up to ten thousand a page.
const MOST_PAGES: usize = 100;
/// For how long a signature holds. A clock that is wrong by more is refused.
const SIGNED_FOR_SECONDS: u64 = 15 * 60;

/// Spaces as one pair of keys sees it. Cheap to clone; the clones share their connections.
///
/// The keys sign each request, which goes to the region's endpoint and nowhere else; the secret itself is never sent.
#[derive(Clone)]
pub struct SpacesClient {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    endpoint: String,
    keys: SpacesKeys,
}

/// Without the keys.
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
    /// The one whose endpoint listed it; none if several did.
    pub region: Option<String>,
    /// None if several regions listed one of this name, with different times.
    pub created_at: Option<DateTime<Utc>>,
}

impl SpacesClient {
    /// A client for the endpoints of a template like [`DEFAULT_ENDPOINT`]. Nothing is sent yet.
    pub fn new(endpoint: &str, keys: SpacesKeys) -> Result<Self, SpacesError> {
        let endpoint = endpoint.trim().replace(REGION_IN_GO, REGION);
        if !endpoint.contains(REGION) {
            let problem = "it does not say where the region goes";
            return Err(SpacesError::InvalidEndpoint { problem });
        }
        let base = base_of(&endpoint, REGIONS[0])?;
        let http =
            http_client(&base, HeaderMap::new(), ANSWER_LIMIT).map_err(SpacesError::Setup)?;
        Ok(Self {
            inner: Arc::new(Inner {
                http,
                endpoint,
                keys,
            }),
        })
    }

    /// The buckets of every region that the keys may see, by name. All or nothing: whether a name is in one region only is known
    /// when all have answered.
    pub async fn list_buckets(&self) -> Result<Vec<Bucket>, SpacesError> {
        let lists: Vec<_> = REGIONS.map(|region| self.list_region(region)).into();
        let lists: Vec<Vec<Bucket>> = stream::iter(lists)
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        let mut buckets: BTreeMap<String, Bucket> = BTreeMap::new();
        for bucket in lists.into_iter().flatten() {
            match buckets.entry(bucket.name.clone()) {
                Entry::Vacant(place) => drop(place.insert(bucket)),
                Entry::Occupied(mut place) => place.get_mut().merge(&bucket),
            }
        }
        Ok(buckets.into_values().collect())
    }

    async fn list_region(&self, region: &'static str) -> Result<Vec<Bucket>, SpacesError> {
        let base = base_of(&self.inner.endpoint, region)?;
        let mut buckets = Vec::new();
        let mut continuation = None;
        for _ in 0..MOST_PAGES {
            let page = self.page(&base, region, continuation.as_deref()).await?;
            buckets.extend(page.buckets(region));
            match page.continuation {
                None => return Ok(buckets),
                next if next == continuation => {
                    let problem = "a continuation token that it had given before";
                    return Err(SpacesError::unexpected(region, problem));
                }
                next => continuation = next,
            }
        }
        let problem = format!("more than {MOST_PAGES} pages");
        Err(SpacesError::unexpected(region, problem))
    }

    async fn page(
        &self,
        base: &BaseUrl,
        region: &'static str,
        continuation: Option<&str>,
    ) -> Result<answer::Page, SpacesError> {
        let url = self.signed_url(base, region, continuation)?;
        let network = |error| SpacesError::network(region, base.as_str(), error);
        let response = self.inner.http.get(url).send().await.map_err(network)?;
        if !response.status().is_success() {
            return Err(failure(region, response).await);
        }
        let body = response.bytes().await.map_err(network)?;
        let page = answer::Page::read(&body);
        page.map_err(|problem| SpacesError::unexpected(region, problem))
    }

    /// Whoever has it may list the buckets until it expires, so it goes into no error and no log.
    fn signed_url(
        &self,
        base: &BaseUrl,
        region: &str,
        continuation: Option<&str>,
    ) -> Result<Url, SpacesError> {
        let invalid = |problem| SpacesError::InvalidEndpoint { problem };
        let url = Url::parse(&format!("{}/", base.as_str()))
            .map_err(|_| invalid("it is no URL once the region is in it"))?;
        let now = Timestamp::from_second(Utc::now().timestamp())
            .map_err(|_| invalid("the machine's clock is centuries off"))?;
        let query = continuation.map(|token| ("continuation-token", token));
        Ok(rusty_s3::signing::sign(
            &now,
            Method::Get,
            url,
            self.inner.keys.access_key_id(),
            self.inner.keys.secret().expose_secret(),
            None,
            region,
            SIGNED_FOR_SECONDS,
            query.into_iter(),
            std::iter::empty(),
        ))
    }
}

impl Bucket {
    /// Another region lists one of this name too: whether it is the same, nothing tells.
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
    BaseUrl::parse(&endpoint.replace(REGION, region)).map_err(|error| {
        let problem = match error {
            crate::Error::InvalidBaseUrl { problem } => problem,
            _ => "it is no URL",
        };
        SpacesError::InvalidEndpoint { problem }
    })
}

async fn failure(region: &'static str, response: Response) -> SpacesError {
    let status = response.status().as_u16();
    let retry_after = rate_limit::retry_after_outage(response.headers());
    // The status tells enough if the rest is cut off.
    let body = response.bytes().await.unwrap_or_default();
    let (code, request_id) = answer::read_refusal(&body);
    let answer = SpacesAnswer {
        region,
        status,
        code,
        request_id,
    };
    SpacesError::of_answer(answer, retry_after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(endpoint: &str) -> Result<SpacesClient, SpacesError> {
        let keys = SpacesKeys::new(Some("id".to_owned()), Some("hidden".into()));
        SpacesClient::new(endpoint, keys.unwrap().unwrap())
    }

    #[test]
    fn a_template_may_be_terraforms() {
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
    fn a_template_that_is_no_url_or_has_no_place_for_the_region_is_refused() {
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
