//! What has been asked of the simulator, for tests that count requests.

use std::collections::VecDeque;

use serde::Serialize;

/// How many requests are remembered, so that a simulator left running does not grow without end.
const REMEMBERED: usize = 100_000;

/// One request under `/v2` and how it was answered. Headers, and with them the token, are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceivedRequest {
    /// `GET` or `POST`.
    pub method: String,
    /// The path, without the query: `/v2/droplets`.
    pub path: String,
    /// The query as sent, without the question mark; empty when there was none.
    pub query: String,
    /// The status answered.
    pub status: u16,
}

/// The latest requests, oldest first.
#[derive(Default)]
pub(crate) struct RequestLog(VecDeque<ReceivedRequest>);

impl RequestLog {
    pub(crate) fn record(&mut self, request: ReceivedRequest) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(request);
    }

    pub(crate) fn all(&self) -> Vec<ReceivedRequest> {
        self.0.iter().cloned().collect()
    }
}
