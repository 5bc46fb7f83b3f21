//! Implements the request budget of the DigitalOcean client with the one in the database, which all
//! workers share: leases requests in batches and permits them one by one.

pub(crate) mod metrics;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use digitalocean::rate_limit::{BudgetExhausted, RequestBudget, TokenKey};
use digitalocean::{Purpose, RateLimit};
use futures::future::{BoxFuture, FutureExt as _};
use store::rate_limit::{Lease, LimitReport, Limits, Share};
use store::{Store, StoreError, Unfinished};
use uuid::Uuid;

/// The largest lease: enough requests to be worth one round trip to the database.
const MAX_BATCH: u32 = 10;
/// A pending query of this age is abandoned, and repeated on another connection.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(10);
/// The shortest pause after a refusal: the requests regained in it make a new start worthwhile.
const MIN_PAUSE: Duration = Duration::from_secs(15);

/// Returns the share of a token's budget that a purpose may use: a part is reserved for the fast
/// lane.
pub fn share_of(purpose: &str) -> Share {
    if purpose == Purpose::CloudSyncFast.name() {
        Share::All
    } else {
        Share::AllButReserve
    }
}

/// The budget as one purpose of one process uses it.
///
/// Waiting requests form a queue, and the first one leases from the database. A lease is for more
/// than one request only if the previous lease was used up in time, since requests expire within
/// seconds.
pub struct SharedBudget {
    store: Store,
    limits: Limits,
    purpose: Purpose,
    lease: tokio::sync::Mutex<CurrentLease>,
    /// The latest report of each token and the time of its receipt, until the next lease.
    reports: Mutex<HashMap<TokenKey, (RateLimit, Instant)>>,
    /// The number of 429s so far: requests that were leased before the latest are not sent.
    rejections: Arc<AtomicU64>,
}

/// The lease of the token in use.
#[derive(Default)]
struct CurrentLease {
    token: Option<TokenKey>,
    remaining: u32,
    expires_at: Option<Instant>,
    /// The number of requests that were requested last.
    batch: u32,
    /// The number of 429s when it was requested.
    rejections: u64,
    /// True if the database has recorded that the purpose uses the token.
    is_open: bool,
    /// The query in progress. If the request that started it stops waiting, the next one takes the
    /// result.
    pending: Option<PendingLease>,
}

/// A query for a lease that is in progress.
struct PendingLease {
    requested_at: Instant,
    rejections: u64,
    result: BoxFuture<'static, Result<Lease, StoreError>>,
}

impl CurrentLease {
    fn is_valid(&self) -> bool {
        self.expires_at.is_some_and(|at| Instant::now() < at)
    }

    /// Takes one request if any may still be sent.
    fn take(&mut self) -> bool {
        let may_send = self.remaining > 0 && self.is_valid();
        if may_send {
            self.remaining -= 1;
        }
        may_send
    }

    /// Returns the size of the next lease: twice the previous one if that was used up in time, else
    /// one.
    fn next_batch(&mut self) -> u32 {
        self.batch = if self.remaining == 0 && self.is_valid() {
            (self.batch * 2).clamp(1, MAX_BATCH)
        } else {
            1
        };
        self.batch
    }
}

impl SharedBudget {
    pub fn new(store: Store, limits: Limits, purpose: Purpose) -> Self {
        Self {
            store,
            limits,
            purpose,
            lease: tokio::sync::Mutex::default(),
            reports: Mutex::default(),
            rejections: Arc::default(),
        }
    }

    /// Returns the budget for another purpose of the same process. A 429 of one pauses the other at
    /// once.
    #[must_use]
    pub fn for_purpose(&self, purpose: Purpose) -> Self {
        Self {
            rejections: self.rejections.clone(),
            ..Self::new(self.store.clone(), self.limits, purpose)
        }
    }

    async fn take_within(
        &self,
        token: TokenKey,
        max_wait: Duration,
    ) -> Result<(), BudgetExhausted> {
        let deadline = Instant::now() + max_wait;
        let Ok(mut lease) = tokio::time::timeout(max_wait, self.lease.lock()).await else {
            return Err(exhausted(
                Duration::ZERO,
                "other requests are waiting for the same budget",
            ));
        };
        // The token was replaced.
        if lease.token != Some(token) {
            *lease = CurrentLease {
                token: Some(token),
                ..CurrentLease::default()
            };
        }
        loop {
            let rejections = self.rejections.load(Ordering::Acquire);
            if lease.rejections != rejections {
                lease.remaining = 0;
            }
            if lease.take() {
                return Ok(());
            }
            let pending = match lease.pending.take() {
                Some(pending) if pending.requested_at.elapsed() <= DATABASE_TIMEOUT => pending,
                _ => {
                    let batch = lease.next_batch();
                    PendingLease {
                        requested_at: Instant::now(),
                        rejections,
                        result: self.request_lease(token, batch, lease.is_open),
                    }
                }
            };
            let pending = lease.pending.insert(pending);
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(result) = tokio::time::timeout(left, &mut pending.result).await else {
                return Err(exhausted(
                    Duration::ZERO,
                    "the database did not respond in time",
                ));
            };
            let (requested_at, rejections) = (pending.requested_at, pending.rejections);
            lease.pending = None;
            match result {
                Ok(Lease::Granted {
                    requests,
                    valid_for,
                }) => {
                    lease.is_open = true;
                    lease.rejections = rejections;
                    lease.remaining = requests;
                    // If the response of the database took longer, the loop leases again.
                    lease.expires_at = Some(requested_at + valid_for);
                }
                Ok(Lease::Refused {
                    retry_after,
                    reason,
                }) => {
                    if Instant::now() + retry_after > deadline {
                        return Err(exhausted(retry_after, reason.reason()));
                    }
                    tokio::time::sleep(retry_after).await;
                }
                Ok(Lease::Unknown) => {
                    return Err(exhausted(Duration::ZERO, "no budget is open for the token"));
                }
                Err(error) => {
                    tracing::warn!(
                        purpose = self.purpose.name(),
                        "could not lease requests from the budget: {error}"
                    );
                    return Err(exhausted(Duration::ZERO, "the database returned an error"));
                }
            }
        }
    }

    /// Requests a lease from the database, to completion even if the future is dropped.
    fn request_lease(
        &self,
        token: TokenKey,
        batch: u32,
        is_open: bool,
    ) -> BoxFuture<'static, Result<Lease, StoreError>> {
        let (store, limits, purpose) = (self.store.clone(), self.limits, self.purpose.name());
        let report = self.take_report(token);
        let query = self.store.run_to_completion(async move {
            let hash = token.as_bytes();
            let share = share_of(purpose);
            if is_open {
                let lease = store.lease_requests(hash, &limits, share, batch, report);
                match lease.await? {
                    Lease::Unknown => {}
                    lease => return Ok(lease),
                }
            }
            store.open_budget(hash, purpose).await?;
            store
                .lease_requests(hash, &limits, share, batch, report)
                .await
        });
        async move {
            match query.await {
                Ok(lease) => lease,
                Err(Unfinished::Stalled(error)) => Err(error),
                Err(Unfinished::Panic(_)) => Ok(Lease::Unknown),
            }
        }
        .boxed()
    }

    fn take_report(&self, token: TokenKey) -> Option<LimitReport> {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let (rate_limit, received_at) = reports.remove(&token)?;
        Some(LimitReport {
            limit: rate_limit.limit,
            remaining: rate_limit.remaining,
            resets_in: rate_limit.resets_in(),
            age: received_at.elapsed(),
        })
    }
}

impl RequestBudget for SharedBudget {
    fn take(
        &self,
        token: TokenKey,
        max_wait: Duration,
    ) -> BoxFuture<'_, Result<(), BudgetExhausted>> {
        self.take_within(token, max_wait).boxed()
    }

    fn record_reported(&self, token: TokenKey, rate_limit: RateLimit) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.insert(token, (rate_limit, Instant::now()));
    }

    fn close(&self, token: TokenKey, retry_after: Duration) -> BoxFuture<'_, ()> {
        let (store, limits, purpose) = (self.store.clone(), self.limits, self.purpose.name());
        let seconds = retry_after.as_secs();
        tracing::warn!(
            purpose,
            seconds,
            "rate limited by DigitalOcean (429): pausing requests with this token for {seconds} s"
        );
        async move {
            self.rejections.fetch_add(1, Ordering::AcqRel);
            let closing = self.store.run_to_completion(async move {
                let closed = store.close_budget(token.as_bytes(), &limits, retry_after);
                if let Err(error) = closed.await {
                    tracing::warn!(purpose, "could not close the request budget: {error}");
                }
            });
            // The query completes after a timeout as well.
            let _ = tokio::time::timeout(DATABASE_TIMEOUT, closing).await;
        }
        .boxed()
    }
}

/// Adds up to half of the wait at random, so that activities refused together do not retry
/// together.
fn exhausted(wait: Duration, reason: &str) -> BudgetExhausted {
    let wait = wait.max(MIN_PAUSE);
    let [random, ..] = Uuid::new_v4().into_bytes();
    BudgetExhausted {
        retry_after: wait + wait * u32::from(random) / 512,
        reason: reason.to_owned(),
    }
}
