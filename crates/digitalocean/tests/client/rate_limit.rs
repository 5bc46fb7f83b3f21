//! The calls of a client to the request budget.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use digitalocean::rate_limit::{BudgetExhausted, RequestBudget, TokenKey};
use digitalocean::{Error, RateLimit};
use futures::future::BoxFuture;
use futures::stream;
use simulator::{Account, Fault, FaultKind};

use crate::scripted::Scripted;
use crate::simulated;

/// Records the calls, and permits no request while it is closed.
#[derive(Default)]
struct RecordingBudget {
    is_closed: Mutex<bool>,
    taken: Mutex<Vec<TokenKey>>,
    reported: Mutex<Vec<u32>>,
    closed_for: Mutex<Vec<Duration>>,
}

impl RequestBudget for RecordingBudget {
    fn take(&self, token: TokenKey, _: Duration) -> BoxFuture<'_, Result<(), BudgetExhausted>> {
        self.taken.lock().unwrap().push(token);
        let exhausted = self.is_closed.lock().unwrap().then(|| BudgetExhausted {
            retry_after: Duration::from_secs(42),
            reason: "REASON".to_owned(),
        });
        Box::pin(async move { exhausted.map_or(Ok(()), Err) })
    }

    fn record_reported(&self, _: TokenKey, rate_limit: RateLimit) {
        self.reported.lock().unwrap().push(rate_limit.remaining);
    }

    fn close(&self, _: TokenKey, retry_after: Duration) -> BoxFuture<'_, ()> {
        self.closed_for.lock().unwrap().push(retry_after);
        Box::pin(async {})
    }
}

#[tokio::test]
async fn no_request_is_sent_when_the_budget_is_exhausted() {
    let (simulator, client) = simulated(Account::demo()).await;
    let budget = Arc::new(RecordingBudget::default());
    let client = client.limited_by(budget.clone());
    client.get_balance().await.unwrap();
    *budget.is_closed.lock().unwrap() = true;
    let error = client.get_balance().await.unwrap_err();
    assert!(error.is_retryable());
    let text = error.to_string();
    assert!(text.contains("REASON") && text.contains("42 s"), "{text}");
    let Error::BudgetUsedUp { retry_after, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(retry_after, Duration::from_secs(42));
    assert_eq!(simulator.requests().len(), 1);
    assert_eq!(budget.taken.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn the_budget_receives_reported_limits_and_429s() {
    let (simulator, client) = simulated(Account::demo()).await;
    let budget = Arc::new(RecordingBudget::default());
    let client = client.limited_by(budget.clone());
    client.get_balance().await.unwrap();
    let fault = FaultKind::RateLimited { retry_after: 17 };
    simulator.fail(Fault::new(fault, "/v2/customers/my/balance").times(1));
    client.get_balance().await.unwrap_err();
    client.get_balance().await.unwrap();
    // The headers of the 429 are not recorded: they do not describe the hour.
    assert_eq!(*budget.reported.lock().unwrap(), [999_999, 999_997]);
    let closed_for = budget.closed_for.lock().unwrap().clone();
    assert_eq!(closed_for, [Duration::from_secs(17)]);
}

#[tokio::test]
async fn a_429_closes_the_budget_before_its_body_arrives() {
    let server = Scripted::start(|_, _| {
        let never: stream::Pending<Result<Vec<u8>, std::io::Error>> = stream::pending();
        let headers = [("retry-after", "17")];
        let body = Body::from_stream(never);
        (StatusCode::TOO_MANY_REQUESTS, headers, body).into_response()
    })
    .await;
    let budget = Arc::new(RecordingBudget::default());
    let client = server.client().limited_by(budget.clone());
    let request = tokio::spawn(async move { client.get_balance().await });
    let closed = async {
        while budget.closed_for.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let closed = tokio::time::timeout(Duration::from_secs(10), closed).await;
    closed.expect("the budget is not closed before the body arrives");
    assert!(!request.is_finished());
    request.abort();
}
