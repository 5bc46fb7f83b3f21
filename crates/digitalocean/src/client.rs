//! The API client: sends one request with the current token and returns the response.

mod admission;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::admission::Admission;
use crate::base_url::BaseUrl;
use crate::error::{Call, Error, ErrorResponse};
use crate::http::{RESPONSE_TIMEOUT, http_client};
use crate::nul::without_nul;
use crate::observer::{Exchange, Observer, path_template};
use crate::rate_limit::{self, BudgetExhausted, RateLimit, RequestBudget};
use crate::response_text::{describe_failure, describe_unexpected_body, one_line};
use crate::tokens::{Token, TokenSource};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Client for the API with one token. Cheap to clone; clones share their connections.
///
/// The token is fetched from its source for every request. It is sent to the base URL only:
/// redirects and links in responses are not followed.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    observers: Vec<Arc<dyn Observer>>,
    budget: Option<Arc<dyn RequestBudget>>,
    admission: Option<Arc<Admission>>,
}

struct Inner {
    http: reqwest::Client,
    base: BaseUrl,
    token: TokenSource,
    rate_limit: Mutex<Option<RateLimit>>,
}

/// Omits the token.
impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("base_url", &self.inner.base.as_str())
            .finish_non_exhaustive()
    }
}

/// The body of a 2xx response.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) content_type: Option<String>,
    /// The token of the request, removed from error texts about the body.
    token: Arc<Token>,
}

impl Body {
    fn without_nul(mut self) -> Self {
        self.bytes = without_nul(self.bytes);
        self
    }
}

impl Client {
    /// Creates a client for the API at `base_url`, which may end in a slash or in `/v2`. Sends no
    /// request.
    pub fn new(base_url: &str, token: TokenSource) -> Result<Self, Error> {
        Self::with_timeout(RESPONSE_TIMEOUT, base_url, token)
    }

    /// Like [`Client::new`], with a timeout from the request to the last byte of the response. The
    /// default is one minute.
    pub fn with_timeout(
        timeout: Duration,
        base_url: &str,
        token: TokenSource,
    ) -> Result<Self, Error> {
        let base = BaseUrl::parse(base_url)?;
        token.check_fixed()?;
        let http = http_client(&base, HeaderMap::new(), timeout).map_err(Error::Setup)?;
        let rate_limit = Mutex::default();
        Ok(Self {
            inner: Arc::new(Inner {
                http,
                base,
                token,
                rate_limit,
            }),
            observers: Vec::new(),
            budget: None,
            admission: None,
        })
    }

    /// Adds an observer of every request to this client and its clones.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Makes this client and its clones request permission from the budget before each request.
    #[must_use]
    pub fn limited_by(mut self, budget: Arc<dyn RequestBudget>) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Returns the hourly limit of the token, as the latest response reported it.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        *self
            .inner
            .rate_limit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a GET request and returns the JSON of the 2xx response, without U+0000.
    pub(crate) async fn get(&self, call: &Call) -> Result<Body, Error> {
        let request = self.request(Method::GET, call);
        let request = request.header(ACCEPT, "application/json");
        Ok(self.send(call, request).await?.without_nul())
    }

    /// Like [`Client::get`], with another `accept` header than JSON. Returns the body unchanged.
    pub(crate) async fn get_as(&self, call: &Call, media_type: &str) -> Result<Body, Error> {
        let request = self.request(Method::GET, call);
        self.send(call, request.header(ACCEPT, media_type)).await
    }

    /// Sends a POST request with a JSON body and decodes the JSON of the 2xx response.
    pub(crate) async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Error> {
        let call = Call {
            method: "POST",
            path: path.to_owned(),
        };
        let request = self.request(Method::POST, &call);
        let body = self.send(&call, request.json(body)).await?.without_nul();
        Self::decode(&call, &body)
    }

    /// Returns the error for a 2xx response with an unexpected body.
    pub(crate) fn unexpected_body(call: &Call, body: &Body) -> Error {
        let problem = describe_unexpected_body(&body.bytes, body.token.secret());
        Error::unexpected(call, problem)
    }

    /// Returns the text of an error body that was sent with a 2xx status.
    pub(crate) fn error_text(body: &Body) -> String {
        describe_failure(&body.bytes, body.token.secret()).unwrap_or_default()
    }

    /// Decodes the body of a 2xx response as JSON.
    pub(crate) fn decode<'a, T: Deserialize<'a>>(call: &Call, body: &'a Body) -> Result<T, Error> {
        serde_json::from_slice(&body.bytes).map_err(|error| {
            if error.is_data() {
                let problem = one_line(&error.to_string(), body.token.secret());
                Error::unexpected(call, format!("unexpected JSON: {problem}"))
            } else {
                Self::unexpected_body(call, body)
            }
        })
    }

    fn request(&self, method: Method, call: &Call) -> RequestBuilder {
        let url = format!("{}{}", self.inner.base.as_str(), call.path);
        self.inner.http.request(method, url)
    }

    /// Sends a request. After a 401, sends it once more if the token source has a different token
    /// by now. This is safe for any method: a refused request had no effect.
    async fn send(&self, call: &Call, request: RequestBuilder) -> Result<Body, Error> {
        let retry = request.try_clone();
        let token = self.inner.token.token().await?;
        let refused = match self.send_with(&token, call, request).await {
            Err(error @ Error::Unauthorized { .. }) => error,
            outcome => return outcome,
        };
        let Some(retry) = retry else {
            return Err(refused);
        };
        match self.inner.token.replacement_for(&token).await? {
            Some(token) => self.send_with(&token, call, retry).await,
            None => Err(refused),
        }
    }

    /// Sends a request after the team of the token is admitted.
    async fn send_with(
        &self,
        token: &Arc<Token>,
        call: &Call,
        request: RequestBuilder,
    ) -> Result<Body, Error> {
        self.admit(token).await?;
        self.exchange(token, call, request).await
    }

    async fn exchange(
        &self,
        token: &Arc<Token>,
        call: &Call,
        request: RequestBuilder,
    ) -> Result<Body, Error> {
        let network = |error| Error::network(call, self.inner.base.as_str(), error);
        self.wait_for_budget(token, call).await?;
        let request = request.header(AUTHORIZATION, token.bearer());
        let started_at = Instant::now();
        let response = request.send().await;
        self.notify_observers(call, started_at, response.as_ref().ok());
        let response = response.map_err(network)?;
        self.note_rate_limit(token, call, &response);
        if !response.status().is_success() {
            return Err(self.failure(token, call, response).await);
        }
        let content_type = text_header(response.headers(), &reqwest::header::CONTENT_TYPE);
        let bytes = response.bytes().await.map_err(network)?.into();
        Ok(Body {
            bytes,
            content_type,
            token: token.clone(),
        })
    }

    async fn failure(&self, token: &Token, call: &Call, response: Response) -> Error {
        let status = response.status();
        let headers = response.headers().clone();
        // Before the body is read, which may take long while concurrent requests are sent.
        if let (Some(budget), StatusCode::TOO_MANY_REQUESTS) = (&self.budget, status) {
            let retry_after = rate_limit::retry_after(&headers);
            budget.close(token.key(), retry_after).await;
        }
        let request_id = text_header(&headers, &REQUEST_ID);
        let detail = if status.is_redirection() {
            Some("redirects are not followed, because they would receive the token".to_owned())
        } else {
            // The status is sufficient if the body is truncated.
            let body = response.bytes().await.unwrap_or_default();
            describe_failure(&body, token.secret())
        };
        let response = ErrorResponse {
            call: call.clone(),
            status: status.as_u16(),
            detail,
            request_id: request_id.map(|id| one_line(&id, token.secret())),
        };
        Error::from_response(response, &headers, self.inner.token.name())
    }

    fn notify_observers(&self, call: &Call, started_at: Instant, response: Option<&Response>) {
        if self.observers.is_empty() {
            return;
        }
        let exchange = Exchange {
            method: call.method,
            path: path_template(&call.path),
            status: response.map(|response| response.status().as_u16()),
            duration: started_at.elapsed(),
            rate_limit: response.and_then(|response| RateLimit::read(response.headers())),
        };
        for observer in &self.observers {
            observer.exchanged(&exchange);
        }
    }

    async fn wait_for_budget(&self, token: &Token, call: &Call) -> Result<(), Error> {
        let Some(budget) = &self.budget else {
            return Ok(());
        };
        let outcome = rate_limit::take(&**budget, token.key()).await;
        outcome.map_err(
            |BudgetExhausted {
                 retry_after,
                 reason,
             }| Error::BudgetUsedUp {
                call: call.clone(),
                reason,
                retry_after,
            },
        )
    }

    fn note_rate_limit(&self, token: &Token, call: &Call, response: &Response) {
        let Some(seen) = RateLimit::read(response.headers()) else {
            return;
        };
        // A 429 reports 0 remaining requests even if only the limit per minute is used up.
        if let Some(budget) = &self.budget
            && response.status() != StatusCode::TOO_MANY_REQUESTS
        {
            budget.record_reported(token.key(), seen);
        }
        tracing::debug!(%call, limit = seen.limit, remaining = seen.remaining, reset_at = %seen.reset_at, "rate limit");
        let mut latest = self
            .inner
            .rate_limit
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *latest = Some(seen);
    }
}

pub(crate) fn text_header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}
