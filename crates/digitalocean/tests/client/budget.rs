//! What a client asks of a budget, and what it tells it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use digitalocean::budget::{RequestBudget, TokenKey, UsedUp};
use digitalocean::{Error, RateLimit};
use futures::future::BoxFuture;
use futures::stream;
use simulator::{Account, Fault, FaultKind};

use crate::scripted::Scripted;
use crate::simulated;

/// Notes what it is told, and lets nothing through once it is closed.
#[derive(Default)]
struct Noting {
    is_closed: Mutex<bool>,
    taken: Mutex<Vec<TokenKey>>,
    told: Mutex<Vec<u32>>,
    refused: Mutex<Vec<Duration>>,
}

impl RequestBudget for Noting {
    fn take(&self, token: TokenKey, _: Duration) -> BoxFuture<'_, Result<(), UsedUp>> {
        self.taken.lock().unwrap().push(token);
        let used_up = self.is_closed.lock().unwrap().then(|| UsedUp {
            retry_after: Duration::from_secs(42),
            reason: "the hour is used up".to_owned(),
        });
        Box::pin(async move { used_up.map_or(Ok(()), Err) })
    }

    fn told(&self, _: TokenKey, rate_limit: RateLimit) {
        self.told.lock().unwrap().push(rate_limit.remaining);
    }

    fn refused(&self, _: TokenKey, retry_after: Duration) -> BoxFuture<'_, ()> {
        self.refused.lock().unwrap().push(retry_after);
        Box::pin(async {})
    }
}

#[tokio::test]
async fn nothing_is_sent_when_the_budget_is_used_up() {
    let (simulator, client) = simulated(Account::demo()).await;
    let budget = Arc::new(Noting::default());
    let client = client.limited_by(budget.clone());
    client.get_balance().await.unwrap();
    *budget.is_closed.lock().unwrap() = true;
    let error = client.get_balance().await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(
        error.to_string(),
        "GET /v2/customers/my/balance has to wait: the hour is used up; may be tried again in 42 s"
    );
    let Error::BudgetUsedUp { retry_after, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(retry_after, Duration::from_secs(42));
    assert_eq!(simulator.requests().len(), 1);
    assert_eq!(budget.taken.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn the_budget_hears_what_answers_tell_and_of_each_429() {
    let (simulator, client) = simulated(Account::demo()).await;
    let budget = Arc::new(Noting::default());
    let client = client.limited_by(budget.clone());
    client.get_balance().await.unwrap();
    let fault = FaultKind::RateLimited { retry_after: 17 };
    simulator.fail(Fault::new(fault, "/v2/customers/my/balance").times(1));
    client.get_balance().await.unwrap_err();
    client.get_balance().await.unwrap();
    // Nothing of the refusal's own numbers, which say nothing about the hour.
    assert_eq!(*budget.told.lock().unwrap(), [999_999, 999_997]);
    let refused = budget.refused.lock().unwrap().clone();
    assert_eq!(refused, [Duration::from_secs(17)]);
}

#[tokio::test]
async fn the_budget_hears_of_a_429_before_the_rest_of_the_answer() {
    let server = Scripted::start(|_, _| {
        let never: stream::Pending<Result<Vec<u8>, std::io::Error>> = stream::pending();
        let headers = [("retry-after", "17")];
        let body = Body::from_stream(never);
        (StatusCode::TOO_MANY_REQUESTS, headers, body).into_response()
    })
    .await;
    let budget = Arc::new(Noting::default());
    let client = server.client().limited_by(budget.clone());
    let asking = tokio::spawn(async move { client.get_balance().await });
    let told = async {
        while budget.refused.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(10), told).await;
    told.expect("it waits for the end of the answer");
    assert!(!asking.is_finished());
    asking.abort();
}
