//! The state that the routes and the owner of the server share.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU64, Ordering},
};

use uuid::Uuid;

use crate::{
    Account, ReceivedRequest,
    faults::Faults,
    holds::{Holds, Suspended},
    identifiers::identifier,
    rate_limit::Accounting,
    requests::RequestLog,
};

/// A handle of the state; clones share it.
#[derive(Clone)]
pub(crate) struct Shared(Arc<State>);

struct State {
    account: RwLock<Account>,
    faults: Mutex<Faults>,
    holds: Mutex<Holds>,
    suspended: Mutex<Option<Suspended>>,
    accounting: Mutex<Accounting>,
    requests: Mutex<RequestLog>,
    request_number: AtomicU64,
}

/// Locks a mutex after a panic in a test's closure too, so that later assertions can still use the
/// server.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(account: Account) -> Self {
        Self(Arc::new(State {
            account: RwLock::new(account),
            faults: Mutex::default(),
            holds: Mutex::default(),
            suspended: Mutex::default(),
            accounting: Mutex::default(),
            requests: Mutex::default(),
            request_number: AtomicU64::new(0),
        }))
    }

    pub(crate) fn account(&self) -> RwLockReadGuard<'_, Account> {
        self.0
            .account
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn account_mut(&self) -> RwLockWriteGuard<'_, Account> {
        self.0
            .account
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        unpoisoned(&self.0.faults)
    }

    pub(crate) fn holds(&self) -> MutexGuard<'_, Holds> {
        unpoisoned(&self.0.holds)
    }

    pub(crate) fn suspended(&self) -> Option<Suspended> {
        unpoisoned(&self.0.suspended).clone()
    }

    pub(crate) fn suspend(&self, suspended: Suspended) {
        *unpoisoned(&self.0.suspended) = Some(suspended);
    }

    pub(crate) fn accounting(&self) -> MutexGuard<'_, Accounting> {
        unpoisoned(&self.0.accounting)
    }

    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        unpoisoned(&self.0.requests).all()
    }

    pub(crate) fn record(&self, request: ReceivedRequest) {
        unpoisoned(&self.0.requests).record(request);
    }

    pub(crate) fn next_request_id(&self) -> Uuid {
        let number = self.0.request_number.fetch_add(1, Ordering::Relaxed);
        identifier("request", number)
    }
}
