//! Connects DigitalOcean's client with the budget in the database: the tokens' requests, shared by all workers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use digitalocean::budget::{RequestBudget, TokenKey, UsedUp};
use digitalocean::{Purpose, RateLimit};
use futures::future::{BoxFuture, FutureExt as _};
use store::budget::{Hint, Lease, Limits, Share};
use store::{Store, StoreError, Unfinished};
use uuid::Uuid;

/// The most that is asked for at once: what one round trip to the database is good for.
const BATCH: u32 = 10;
/// A database that has not answered for so long is asked anew, on another connection.
const ASKED_ANEW_AFTER: Duration = Duration::from_secs(10);
/// Who was refused stays away for so long at least: what is regained until then is worth beginning for.
const SHORTEST_PAUSE: Duration = Duration::from_secs(15);

/// What a purpose may use of a token's allowance: a share of it is the fast lane's.
pub fn share_of(purpose: &str) -> Share {
    if purpose == Purpose::CloudSyncFast.name() {
        Share::All
    } else {
        Share::AllButTheFastLanes
    }
}

/// The budget as one purpose of one process draws on it.
///
/// Those who wait do so in a row, and the first of them asks the database. It asks for more than one request once it has seen that
/// they are used, since what is not sent within seconds is lost.
pub struct SharedBudget {
    store: Store,
    limits: Limits,
    purpose: Purpose,
    drawn: tokio::sync::Mutex<HashMap<TokenKey, Leased>>,
    hints: Mutex<HashMap<TokenKey, (RateLimit, Instant)>>,
    /// How many 429s there were: what was drawn before the latest is not sent.
    refusals: Arc<AtomicU64>,
}

/// What has been drawn from one budget.
#[derive(Default)]
struct Leased {
    left: u32,
    until: Option<Instant>,
    /// How much was asked for last.
    batch: u32,
    /// The 429s until then.
    refusals: u64,
    /// The database knows that this purpose uses the token.
    is_open: bool,
    /// What was asked for last, until it is answered. Somebody else takes the answer, where its asker waits no longer.
    asked: Option<Asked>,
}

/// A question to the database that is under way.
struct Asked {
    at: Instant,
    /// The 429s until then.
    refusals: u64,
    answer: BoxFuture<'static, Result<Lease, StoreError>>,
}

impl Leased {
    /// One that may still be sent.
    fn next(&mut self) -> bool {
        let may_send = self.left > 0 && self.until.is_some_and(|until| Instant::now() < until);
        if may_send {
            self.left -= 1;
        }
        may_send
    }

    /// How much to ask for: twice as much as before if all of that was used in time, else one.
    fn wanted(&mut self) -> u32 {
        let is_busy = self.left == 0 && self.until.is_some_and(|until| Instant::now() < until);
        self.batch = if is_busy {
            (self.batch * 2).clamp(1, BATCH)
        } else {
            1
        };
        self.batch
    }
}

impl Asked {
    fn is_given_up(&self) -> bool {
        self.at.elapsed() > ASKED_ANEW_AFTER
    }
}

impl SharedBudget {
    /// As this purpose draws on it.
    pub fn new(store: Store, limits: Limits, purpose: Purpose) -> Self {
        Self {
            store,
            limits,
            purpose,
            drawn: tokio::sync::Mutex::default(),
            hints: Mutex::default(),
            refusals: Arc::default(),
        }
    }

    /// As another purpose of the same process draws on it: a 429 of the one holds up the other at once.
    #[must_use]
    pub fn for_purpose(&self, purpose: Purpose) -> Self {
        Self {
            refusals: self.refusals.clone(),
            ..Self::new(self.store.clone(), self.limits, purpose)
        }
    }

    async fn take_within(&self, token: TokenKey, patience: Duration) -> Result<(), UsedUp> {
        let give_up_at = Instant::now() + patience;
        let Ok(mut drawn) = tokio::time::timeout(patience, self.drawn.lock()).await else {
            return Err(used_up(Duration::ZERO, "others are waiting for requests"));
        };
        // A replaced token's is not drawn on again.
        if !drawn.contains_key(&token) {
            drawn.clear();
        }
        let drawn = drawn.entry(token).or_default();
        loop {
            let refusals = self.refusals.load(Ordering::Acquire);
            if drawn.refusals != refusals {
                drawn.left = 0;
            }
            if drawn.next() {
                return Ok(());
            }
            if drawn.asked.as_ref().is_none_or(Asked::is_given_up) {
                let wanted = drawn.wanted();
                drawn.asked = Some(Asked {
                    at: Instant::now(),
                    refusals,
                    answer: self.draw(token, wanted, drawn.is_open),
                });
            }
            let Some(asked) = &mut drawn.asked else {
                continue;
            };
            let left = give_up_at.saturating_duration_since(Instant::now());
            let Ok(answer) = tokio::time::timeout(left, &mut asked.answer).await else {
                return Err(used_up(Duration::ZERO, "its budget has not answered"));
            };
            let (asked_at, refusals) = (asked.at, asked.refusals);
            drawn.asked = None;
            match answer {
                Ok(Lease::Granted { requests, lasts }) => {
                    drawn.is_open = true;
                    drawn.refusals = refusals;
                    drawn.left = requests;
                    // The database's answer took some of it. Where that is all, another is asked for.
                    drawn.until = Some(asked_at + lasts);
                }
                Ok(Lease::Refused { wait, why }) => {
                    if Instant::now() + wait > give_up_at {
                        return Err(used_up(wait, why.reason()));
                    }
                    tokio::time::sleep(wait).await;
                }
                Ok(Lease::Unknown) => return Err(used_up(Duration::ZERO, "its budget is unknown")),
                Err(error) => {
                    tracing::warn!(
                        purpose = self.purpose.name(),
                        "the request budget could not be asked: {error}"
                    );
                    return Err(used_up(Duration::ZERO, "its budget could not be asked"));
                }
            }
        }
    }

    /// Asks the database, which happens whether or not the answer is waited for.
    fn draw(
        &self,
        token: TokenKey,
        wanted: u32,
        is_open: bool,
    ) -> BoxFuture<'static, Result<Lease, StoreError>> {
        let (store, limits, purpose) = (self.store.clone(), self.limits, self.purpose.name());
        let hint = self.take_hint(token);
        let drawing = self.store.run_to_completion(async move {
            let hash = token.as_bytes();
            let share = share_of(purpose);
            if is_open {
                let lease = store.take_requests(hash, &limits, share, wanted, hint);
                match lease.await? {
                    Lease::Unknown => {}
                    lease => return Ok(lease),
                }
            }
            store.open_budget(hash, purpose).await?;
            store
                .take_requests(hash, &limits, share, wanted, hint)
                .await
        });
        async move {
            match drawing.await {
                Ok(lease) => lease,
                Err(Unfinished::Stalled(error)) => Err(error),
                Err(Unfinished::Panic(_)) => Ok(Lease::Unknown),
            }
        }
        .boxed()
    }

    fn take_hint(&self, token: TokenKey) -> Option<Hint> {
        let mut hints = self.hints.lock().unwrap_or_else(PoisonError::into_inner);
        let (rate_limit, heard_at) = hints.remove(&token)?;
        Some(Hint {
            limit: rate_limit.limit,
            remaining: rate_limit.remaining,
            resets_in: rate_limit.resets_in(),
            age: heard_at.elapsed(),
        })
    }
}

impl RequestBudget for SharedBudget {
    fn take(&self, token: TokenKey, patience: Duration) -> BoxFuture<'_, Result<(), UsedUp>> {
        self.take_within(token, patience).boxed()
    }

    fn told(&self, token: TokenKey, rate_limit: RateLimit) {
        let mut hints = self.hints.lock().unwrap_or_else(PoisonError::into_inner);
        hints.insert(token, (rate_limit, Instant::now()));
    }

    fn refused(&self, token: TokenKey, retry_after: Duration) -> BoxFuture<'_, ()> {
        let (store, limits, purpose) = (self.store.clone(), self.limits, self.purpose.name());
        tracing::warn!(
            purpose,
            seconds = retry_after.as_secs(),
            "DigitalOcean answered 429: nobody uses this token for a while"
        );
        async move {
            self.refusals.fetch_add(1, Ordering::AcqRel);
            let closing = self.store.run_to_completion(async move {
                let closed = store.close_budget(token.as_bytes(), &limits, retry_after);
                if let Err(error) = closed.await {
                    tracing::warn!(purpose, "the request budget could not be closed: {error}");
                }
            });
            // It is closed also where nobody waits for the answer any more.
            let _ = tokio::time::timeout(ASKED_ANEW_AFTER, closing).await;
        }
        .boxed()
    }
}

/// Up to half as long again, so that those who are refused together do not come back together.
fn used_up(wait: Duration, reason: &str) -> UsedUp {
    let wait = wait.max(SHORTEST_PAUSE);
    let [random, ..] = Uuid::new_v4().into_bytes();
    UsedUp {
        retry_after: wait + wait * u32::from(random) / 512,
        reason: reason.to_owned(),
    }
}
