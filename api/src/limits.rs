//! Rate limits of the API: requests and concurrent requests per token, and unknown tokens per
//! address.
//!
//! Each process counts on its own: several processes behind one address multiply the limits.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::problem::Problem;

/// A rate with a burst.
#[derive(Debug, Clone, Copy)]
pub struct Rate(Quota);

impl Rate {
    /// Returns a rate per second; the burst is the same number.
    pub fn per_second(count: NonZeroU32) -> Self {
        Self(Quota::per_second(count))
    }

    /// Returns a rate per minute; the burst is the same number.
    pub fn per_minute(count: NonZeroU32) -> Self {
        Self(Quota::per_minute(count))
    }

    /// Returns the same rate with another burst.
    #[must_use]
    pub fn with_burst(self, burst: NonZeroU32) -> Self {
        Self(self.0.allow_burst(burst))
    }
}

/// Limits for callers of the API.
#[derive(Debug, Clone, Copy)]
pub struct RateLimits {
    /// Requests per valid token.
    pub requests: Rate,
    /// Concurrent requests per valid token. Lower than the number of database connections, so that
    /// one token cannot occupy all of them.
    pub at_once: NonZeroU32,
    /// Requests per address with unknown or revoked tokens.
    pub failures: Rate,
}

const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("not zero");
const REQUEST_BURST: NonZeroU32 = NonZeroU32::new(200).expect("not zero");
const CONCURRENT_REQUESTS: NonZeroU32 = NonZeroU32::new(4).expect("not zero");
const FAILURES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(20).expect("not zero");

const LOCAL_PER_SECOND: NonZeroU32 = NonZeroU32::new(1000).expect("not 0");

impl RateLimits {
    /// The limits of an instance with all clients on the same machine: high enough for tools
    /// that try every operation, such as a fuzzer.
    pub fn local() -> Self {
        Self {
            requests: Rate::per_second(LOCAL_PER_SECOND),
            failures: Rate::per_second(LOCAL_PER_SECOND),
            ..Self::default()
        }
    }
}

impl Default for RateLimits {
    /// Per token 50 requests a second with a burst of 200, and 4 concurrent requests; per address
    /// 20 unknown tokens a minute.
    fn default() -> Self {
        Self {
            requests: Rate::per_second(REQUESTS_PER_SECOND).with_burst(REQUEST_BURST),
            at_once: CONCURRENT_REQUESTS,
            failures: Rate::per_minute(FAILURES_PER_MINUTE),
        }
    }
}

/// Maximum wait of a request for concurrent ones with its token: long enough for bursts, and short
/// enough that no queue grows behind slow requests.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Permit for one of the concurrent requests of a token; held until the response.
pub(crate) type Permit = OwnedSemaphorePermit;

type Keyed<Key> = RateLimiter<Key, HashMapStateStore<Key>, MonotonicClock>;

/// Hash of a token with a random key of this process, so that it is meaningless to other processes.
type TokenHash = u64;

/// One of 65,536 slots for addresses, by a hash with a random key: memory is bounded for any number
/// of addresses, and callers cannot choose their slot.
type Slot = u16;

/// The counters of one router. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Limiter(Arc<Counts>);

struct Counts {
    clock: MonotonicClock,
    hasher: RandomState,
    /// By valid token: bounded by the number of tokens ever created.
    requests: Keyed<TokenHash>,
    failures: Keyed<Slot>,
    at_once: usize,
    /// Tokens that were valid at their last lookup, with the permits of their concurrent requests.
    known: Mutex<HashMap<TokenHash, Arc<Semaphore>>>,
    /// Slots of which unknown tokens are refused without a lookup, and the end of the refusal.
    refused: Mutex<HashMap<Slot, Instant>>,
}

/// A request that may look up its token in the database, and then reports the result here.
pub(crate) struct Attempt<'a> {
    counts: &'a Counts,
    token: TokenHash,
    was_known: bool,
    address: Option<IpAddr>,
}

impl Limiter {
    pub(crate) fn new(limits: &RateLimits) -> Self {
        Self(Arc::new(Counts {
            clock: MonotonicClock,
            hasher: RandomState::new(),
            requests: RateLimiter::hashmap_with_clock(limits.requests.0, MonotonicClock),
            failures: RateLimiter::hashmap_with_clock(limits.failures.0, MonotonicClock),
            at_once: limits.at_once.get().try_into().unwrap_or(usize::MAX),
            known: Mutex::default(),
            refused: Mutex::default(),
        }))
    }

    /// Counts a request with a token before the lookup of the token, so that refused requests do
    /// not load the database.
    ///
    /// A token that was valid at its last lookup is not refused because of unknown tokens from the
    /// same address, which can be the address of a proxy. Without an address only valid tokens are
    /// counted.
    pub(crate) fn attempt(
        &self,
        token: &str,
        address: Option<IpAddr>,
    ) -> Result<Attempt<'_>, Problem> {
        let counts = &*self.0;
        let hash = counts.hasher.hash_one(token);
        let was_known = locked(&counts.known).contains_key(&hash);
        if was_known {
            counts.count_request(hash)?;
        } else if let Some(wait) = address.and_then(|address| counts.refusal(address)) {
            return Err(Problem::TooManyRequests {
                detail: "too many unknown tokens from this address: wait for the seconds in the \
                         retry-after header",
                wait,
            });
        }
        Ok(Attempt {
            counts,
            token: hash,
            was_known,
            address,
        })
    }
}

impl Attempt<'_> {
    /// Records that the token is valid, and waits for a permit.
    pub(crate) async fn succeeded(self) -> Result<Permit, Problem> {
        if !self.was_known {
            self.counts.count_request(self.token)?;
        }
        let permits = Arc::clone(
            locked(&self.counts.known)
                .entry(self.token)
                .or_insert_with(|| Arc::new(Semaphore::new(self.counts.at_once))),
        );
        match timeout(PERMIT_TIMEOUT, permits.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Problem::TooManyRequests {
                detail: "too many concurrent requests with this token: wait for their responses \
                         before sending more",
                wait: PERMIT_TIMEOUT,
            }),
        }
    }

    /// Records that the token is unknown or revoked.
    pub(crate) fn failed(self) {
        locked(&self.counts.known).remove(&self.token);
        if let Some(address) = self.address {
            self.counts.count_failure(address);
        }
    }
}

impl Counts {
    fn count_request(&self, token: TokenHash) -> Result<(), Problem> {
        self.requests
            .check_key(&token)
            .map_err(|not_until| Problem::TooManyRequests {
                detail: "rate limit of this token exceeded: wait for the seconds in the \
                         retry-after header",
                wait: not_until.wait_time_from(self.clock.now()),
            })
    }

    fn count_failure(&self, address: IpAddr) {
        let slot = self.slot(address);
        if let Err(not_until) = self.failures.check_key(&slot) {
            let now = self.clock.now();
            locked(&self.refused).insert(slot, now + not_until.wait_time_from(now));
            tracing::warn!(%address, "too many unknown tokens from one address: refusing further ones temporarily");
        }
    }

    /// Returns the time for which unknown tokens from the address are refused, if they are.
    fn refusal(&self, address: IpAddr) -> Option<Duration> {
        let until = locked(&self.refused).get(&self.slot(address)).copied()?;
        let wait = until.saturating_duration_since(self.clock.now());
        (!wait.is_zero()).then_some(wait)
    }

    fn slot(&self, address: IpAddr) -> Slot {
        let [first, second, ..] = self.hasher.hash_one(subscriber(address)).to_ne_bytes();
        Slot::from_ne_bytes([first, second])
    }
}

/// Returns the network of one subscriber: an IPv4 address, or the /64 network of an IPv6 address,
/// which one subscriber usually has as a whole.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

/// Locks a mutex even if it is poisoned: no update here is left incomplete by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(requests: u32, failures: u32) -> Limiter {
        // A minute is longer than any of these tests, so that no limit is replenished during a
        // test.
        let rate = |count| Rate::per_minute(NonZeroU32::new(count).unwrap());
        Limiter::new(&RateLimits {
            requests: rate(requests),
            at_once: NonZeroU32::new(2).unwrap(),
            failures: rate(failures),
        })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn fail(limiter: &Limiter, token: &str, address: IpAddr) -> bool {
        let attempt = limiter.attempt(token, Some(address));
        let is_admitted = attempt.is_ok();
        if let Ok(attempt) = attempt {
            attempt.failed();
        }
        is_admitted
    }

    fn exhaust(limiter: &Limiter, at: IpAddr) {
        for number in 0..10 {
            fail(limiter, &format!("guess {number}"), at);
        }
        assert!(!fail(limiter, "one more", at));
    }

    #[tokio::test]
    async fn each_token_has_its_own_rate_limit() {
        let limiter = limiter(2, 1);
        for token in ["one", "two"] {
            for _ in 0..2 {
                let attempt = limiter.attempt(token, None).ok().unwrap();
                drop(attempt.succeeded().await.unwrap());
            }
            let Err(problem) = limiter.attempt(token, None) else {
                panic!("a third request is admitted");
            };
            let Problem::TooManyRequests { wait, .. } = problem else {
                panic!("{problem}");
            };
            assert!(wait <= Duration::from_secs(30), "{wait:?}");
        }
    }

    #[tokio::test]
    async fn unknown_tokens_are_refused_by_address_and_known_ones_are_not() {
        let limiter = limiter(5, 3);
        let (here, elsewhere) = (address("192.0.2.1"), address("198.51.100.1"));
        let attempt = limiter.attempt("good", Some(here)).ok().unwrap();
        drop(attempt.succeeded().await.unwrap());
        exhaust(&limiter, here);
        assert!(limiter.attempt("good", Some(here)).is_ok());
        assert!(limiter.attempt("new", Some(here)).is_err());
        assert!(limiter.attempt("new", Some(elsewhere)).is_ok());
    }

    #[tokio::test]
    async fn a_revoked_token_is_unknown() {
        let limiter = limiter(5, 3);
        let here = address("192.0.2.1");
        let attempt = limiter.attempt("good", Some(here)).ok().unwrap();
        drop(attempt.succeeded().await.unwrap());
        fail(&limiter, "good", here);
        exhaust(&limiter, here);
        assert!(limiter.attempt("good", Some(here)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_requests_of_a_token_are_limited() {
        let limiter = limiter(9, 1);
        let permit = |token| limiter.attempt(token, None).ok().unwrap().succeeded();
        let (first, _second) = (permit("one").await.unwrap(), permit("one").await.unwrap());
        let refused = permit("one").await;
        assert!(matches!(refused, Err(Problem::TooManyRequests { .. })));
        assert!(permit("two").await.is_ok());
        let (third, ()) = tokio::join!(permit("one"), async { drop(first) });
        assert!(third.is_ok());
    }

    #[test]
    fn addresses_of_one_subscriber_count_as_one() {
        for (one, other, is_same) in [
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ] {
            let [one, other] = [one, other].map(|text| subscriber(text.parse().unwrap()));
            assert_eq!(one == other, is_same, "{one} {other}");
        }
    }
}
