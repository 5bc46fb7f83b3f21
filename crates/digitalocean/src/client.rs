//! One request and its answer.

mod admission;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::admission::Admission;
use crate::answer_text::{describe_failure, describe_foreign_body, one_line};
use crate::base_url::BaseUrl;
use crate::budget::{self, RequestBudget, UsedUp};
use crate::error::{Answer, Call, Error};
use crate::http::{ANSWER_LIMIT, http_client};
use crate::observer::{Exchange, Observer, path_template};
use crate::rate_limit::{self, RateLimit};
use crate::tokens::{Token, TokenSource};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The API as one token sees it. Cheap to clone; the clones share their connections.
///
/// It asks for the token at every request, and sends it to the base URL and nowhere else: redirects and the links in answers are not
/// followed.
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

/// Without the token.
impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("base_url", &self.inner.base.as_str())
            .finish_non_exhaustive()
    }
}

/// What a 2xx answer holds.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) content_type: Option<String>,
    /// What it was asked for with, to strike from texts about it.
    token: Arc<Token>,
}

impl Client {
    /// A client for the API at `base_url`, which may end in a slash or in `/v2`. Nothing is sent yet.
    pub fn new(base_url: &str, token: TokenSource) -> Result<Self, Error> {
        Self::waiting_at_most(ANSWER_LIMIT, base_url, token)
    }

    /// The same that waits no longer than so for the last byte of an answer; a minute is usual.
    pub fn waiting_at_most(
        limit: Duration,
        base_url: &str,
        token: TokenSource,
    ) -> Result<Self, Error> {
        let base = BaseUrl::parse(base_url)?;
        token.check_fixed()?;
        let http = http_client(&base, HeaderMap::new(), limit).map_err(Error::Setup)?;
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

    /// The same client, and clones of it, with somebody more told of each request.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// The same client, and clones of it, which asks before each request whether it may send it.
    #[must_use]
    pub fn limited_by(mut self, budget: Arc<dyn RequestBudget>) -> Self {
        self.budget = Some(budget);
        self
    }

    /// The token's hourly limit as the latest answer told it.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        *self
            .inner
            .rate_limit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of a 2xx answer.
    pub(crate) async fn get(&self, call: &Call) -> Result<Body, Error> {
        let request = self.request(Method::GET, call);
        self.send(call, request.header(ACCEPT, "application/json"))
            .await
    }

    /// The body of a 2xx answer of another type.
    pub(crate) async fn get_as(&self, call: &Call, media_type: &str) -> Result<Body, Error> {
        let request = self.request(Method::GET, call);
        self.send(call, request.header(ACCEPT, media_type)).await
    }

    /// The body of a 2xx answer to a JSON body, as JSON.
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
        let body = self.send(&call, request.json(body)).await?;
        Self::decode(&call, &body)
    }

    /// An error about a 2xx answer that holds something else than it should.
    pub(crate) fn foreign(call: &Call, body: &Body) -> Error {
        let problem = describe_foreign_body(&body.bytes, body.token.secret());
        Error::unexpected(call, problem)
    }

    /// The error that a 2xx answer holds.
    pub(crate) fn stated_error(body: &Body) -> String {
        describe_failure(&body.bytes, body.token.secret()).unwrap_or_default()
    }

    /// A 2xx answer's body as JSON.
    pub(crate) fn decode<'a, T: Deserialize<'a>>(call: &Call, body: &'a Body) -> Result<T, Error> {
        serde_json::from_slice(&body.bytes).map_err(|error| {
            if error.is_data() {
                let problem = one_line(&error.to_string(), body.token.secret());
                Error::unexpected(call, format!("JSON of another form: {problem}"))
            } else {
                Self::foreign(call, body)
            }
        })
    }

    fn request(&self, method: Method, call: &Call) -> RequestBuilder {
        let url = format!("{}{}", self.inner.base.as_str(), call.path);
        self.inner.http.request(method, url)
    }

    /// Sends a request. One whose token is refused is sent once more if its source has another by now: a refused request did nothing.
    async fn send(&self, call: &Call, request: RequestBuilder) -> Result<Body, Error> {
        let again = request.try_clone();
        let token = self.inner.token.token().await?;
        let refused = match self.send_with(&token, call, request).await {
            Err(error @ Error::Unauthorized { .. }) => error,
            outcome => return outcome,
        };
        let Some(again) = again else {
            return Err(refused);
        };
        match self.inner.token.instead_of(&token).await? {
            Some(token) => self.send_with(&token, call, again).await,
            None => Err(refused),
        }
    }

    /// Sends nothing with a token of another team.
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
        let begun = Instant::now();
        let response = request.send().await;
        self.tell(call, begun, response.as_ref().ok());
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
        // Before the rest of the answer, which may take its time while others still send.
        if let (Some(budget), StatusCode::TOO_MANY_REQUESTS) = (&self.budget, status) {
            let retry_after = rate_limit::retry_after(&headers);
            budget.refused(token.key(), retry_after).await;
        }
        let request_id = text_header(&headers, &REQUEST_ID);
        let detail = if status.is_redirection() {
            Some("redirects are not followed, since the token would go along".to_owned())
        } else {
            // The status tells enough if the rest is cut off.
            let body = response.bytes().await.unwrap_or_default();
            describe_failure(&body, token.secret())
        };
        let answer = Answer {
            call: call.clone(),
            status: status.as_u16(),
            detail,
            request_id: request_id.map(|id| one_line(&id, token.secret())),
        };
        Error::of_answer(answer, &headers, self.inner.token.name())
    }

    fn tell(&self, call: &Call, begun: Instant, response: Option<&Response>) {
        if self.observers.is_empty() {
            return;
        }
        let exchange = Exchange {
            method: call.method,
            path: path_template(&call.path),
            status: response.map(|response| response.status().as_u16()),
            took: begun.elapsed(),
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
        let outcome = budget::take(&**budget, token.key()).await;
        outcome.map_err(
            |UsedUp {
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
        // A refusal tells that nothing is left, also where only the minute is used up.
        if let Some(budget) = &self.budget
            && response.status() != StatusCode::TOO_MANY_REQUESTS
        {
            budget.told(token.key(), seen);
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
