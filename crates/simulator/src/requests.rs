//! The log of received requests, for tests that count them.

use std::collections::VecDeque;

use serde::Serialize;

/// The maximum number of logged requests, which limits the memory of a long-running simulator.
const MAX_LOGGED: usize = 100_000;

/// A request under `/v2` and the status of its response. Headers, which contain the token, are not
/// logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceivedRequest {
    /// `GET` or `POST`.
    pub method: String,
    /// The path, without the query: `/v2/droplets`.
    pub path: String,
    /// The query as sent, without the question mark; empty if there is none.
    pub query: String,
    /// The status of the response.
    pub status: u16,
}

/// The latest requests, oldest first.
#[derive(Default)]
pub(crate) struct RequestLog(VecDeque<ReceivedRequest>);

impl RequestLog {
    pub(crate) fn record(&mut self, request: ReceivedRequest) {
        if self.0.len() == MAX_LOGGED {
            self.0.pop_front();
        }
        self.0.push_back(request);
    }

    pub(crate) fn all(&self) -> Vec<ReceivedRequest> {
        self.0.iter().cloned().collect()
    }
}
