//! How often the API may be called, and how much of it at a time: with one token, and by those whose tokens are unknown.
//!
//! Each process counts for itself: of several behind one address, each grants as much.

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

/// So many in a time, and so many at once after a pause.
#[derive(Debug, Clone, Copy)]
pub struct Rate(Quota);

impl Rate {
    /// So many a second, and as many at once.
    pub fn per_second(most: NonZeroU32) -> Self {
        Self(Quota::per_second(most))
    }

    /// So many a minute, and as many at once.
    pub fn per_minute(most: NonZeroU32) -> Self {
        Self(Quota::per_minute(most))
    }

    /// The same in the long run, with so many at once.
    #[must_use]
    pub fn with_burst(self, burst: NonZeroU32) -> Self {
        Self(self.0.allow_burst(burst))
    }
}

/// How often callers may call.
#[derive(Debug, Clone, Copy)]
pub struct RateLimits {
    /// Requests with one valid token.
    pub requests: Rate,
    /// Requests with one valid token that are worked on at a time: fewer than there are connections to the database, so that nobody
    /// holds all of them, whatever he asks for.
    pub at_once: NonZeroU32,
    /// Requests from one address with tokens that are unknown or revoked.
    pub failures: Rate,
}

const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("it is not 0");
const REQUESTS_AT_ONCE: NonZeroU32 = NonZeroU32::new(200).expect("it is not 0");
const WORKED_ON_AT_ONCE: NonZeroU32 = NonZeroU32::new(4).expect("it is not 0");
const FAILURES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(20).expect("it is not 0");

impl Default for RateLimits {
    /// 50 requests a second with a token, 200 at once, of which 4 are worked on at a time; 20 unknown tokens a minute from an address.
    fn default() -> Self {
        Self {
            requests: Rate::per_second(REQUESTS_PER_SECOND).with_burst(REQUESTS_AT_ONCE),
            at_once: WORKED_ON_AT_ONCE,
            failures: Rate::per_minute(FAILURES_PER_MINUTE),
        }
    }
}

/// How long a request waits for others with its token to end: bursts pass, and nothing piles up behind what takes long.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// Held by a request while it is worked on.
pub(crate) type Turn = OwnedSemaphorePermit;

type Keyed<Key> = RateLimiter<Key, HashMapStateStore<Key>, MonotonicClock>;

/// What of a token is remembered: a hash of which only this process has the key, so that it says nothing to anybody else.
type TokenMark = u64;

/// One of 65,536 places that addresses are spread over by a hash that nobody outside can foresee: what is remembered stays small,
/// from however many addresses somebody tries.
type Slot = u16;

/// The counts of one router. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Limiter(Arc<Counts>);

struct Counts {
    clock: MonotonicClock,
    hasher: RandomState,
    /// By tokens that were valid: there are as many as were ever made.
    requests: Keyed<TokenMark>,
    failures: Keyed<Slot>,
    at_once: usize,
    /// The tokens that were valid when they were last looked up, and the turns of their requests.
    known: Mutex<HashMap<TokenMark, Arc<Semaphore>>>,
    /// From where no unknown token is looked up, and until when.
    refused: Mutex<HashMap<Slot, Instant>>,
}

/// A request that may ask the database whether its token is valid, and then says what came of it.
pub(crate) struct Attempt<'a> {
    counts: &'a Counts,
    mark: TokenMark,
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

    /// Counts a request with a token, before the token is looked up: one that is refused costs the database nothing.
    ///
    /// A token that was valid a moment ago is not refused for what others do at the same address, which may be a proxy's.
    /// Without an address only valid tokens are counted.
    pub(crate) fn attempt(
        &self,
        token: &str,
        address: Option<IpAddr>,
    ) -> Result<Attempt<'_>, Problem> {
        let counts = &*self.0;
        let mark = counts.hasher.hash_one(token);
        let was_known = locked(&counts.known).contains_key(&mark);
        if was_known {
            counts.count_request(mark)?;
        } else if let Some(wait) = address.and_then(|address| counts.refusal(address)) {
            return Err(Problem::TooManyRequests {
                detail: "too many requests from this address had an unknown token: wait as the retry-after header says",
                wait,
            });
        }
        Ok(Attempt {
            counts,
            mark,
            was_known,
            address,
        })
    }
}

impl Attempt<'_> {
    /// The token is valid, and it is its request's turn.
    pub(crate) async fn succeeded(self) -> Result<Turn, Problem> {
        if !self.was_known {
            self.counts.count_request(self.mark)?;
        }
        let turns = Arc::clone(
            locked(&self.counts.known)
                .entry(self.mark)
                .or_insert_with(|| Arc::new(Semaphore::new(self.counts.at_once))),
        );
        match timeout(TURN_PATIENCE, turns.acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Problem::TooManyRequests {
                detail: "earlier requests with this token are still being worked on: wait for their answers, or ask for less at once",
                wait: TURN_PATIENCE,
            }),
        }
    }

    /// The token is unknown or revoked.
    pub(crate) fn failed(self) {
        locked(&self.counts.known).remove(&self.mark);
        if let Some(address) = self.address {
            self.counts.count_failure(address);
        }
    }
}

impl Counts {
    fn count_request(&self, mark: TokenMark) -> Result<(), Problem> {
        self.requests
            .check_key(&mark)
            .map_err(|not_until| Problem::TooManyRequests {
                detail: "this token asks too often: wait as the retry-after header says",
                wait: not_until.wait_time_from(self.clock.now()),
            })
    }

    fn count_failure(&self, address: IpAddr) {
        let slot = self.slot(address);
        if let Err(not_until) = self.failures.check_key(&slot) {
            let now = self.clock.now();
            locked(&self.refused).insert(slot, now + not_until.wait_time_from(now));
            tracing::warn!(%address, "many unknown tokens come from one address: those that follow are refused for a while");
        }
    }

    /// How long no unknown token from there is looked up.
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

/// What one subscriber has of addresses: an IPv4 address, or the 64 bits of an IPv6 network, in which anybody has all addresses.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

/// Nothing here is left half-done by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(requests: u32, failures: u32) -> Limiter {
        // A minute is longer than any of these tests: nothing comes back meanwhile.
        let rate = |most| Rate::per_minute(NonZeroU32::new(most).unwrap());
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
    async fn each_token_has_an_allowance_of_its_own() {
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
    async fn a_token_that_is_revoked_is_known_no_more() {
        let limiter = limiter(5, 3);
        let here = address("192.0.2.1");
        let attempt = limiter.attempt("good", Some(here)).ok().unwrap();
        drop(attempt.succeeded().await.unwrap());
        fail(&limiter, "good", here);
        exhaust(&limiter, here);
        assert!(limiter.attempt("good", Some(here)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_has_so_many_turns_at_a_time_and_the_next_when_one_ends() {
        let limiter = limiter(9, 1);
        let turn = |token| limiter.attempt(token, None).ok().unwrap().succeeded();
        let (first, _second) = (turn("one").await.unwrap(), turn("one").await.unwrap());
        let refused = turn("one").await;
        assert!(matches!(refused, Err(Problem::TooManyRequests { .. })));
        assert!(turn("two").await.is_ok());
        let (third, ()) = tokio::join!(turn("one"), async { drop(first) });
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
