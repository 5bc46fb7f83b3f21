//! The completeness of a listing, and its pages as they were read.

use serde::{Deserialize, Serialize};

/// Whether a listing returned everything. Only a complete listing is evidence that a resource is
/// missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "reason")]
pub enum Completeness {
    /// Every page responded 2xx with its expected key, and the distinct ids equal `meta.total` if
    /// DigitalOcean returns one.
    Complete,
    /// Anything else, with the reason.
    Incomplete(String),
}

impl Completeness {
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Complete)
    }

    /// The reason, if the listing is not complete.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Complete => None,
            Self::Incomplete(reason) => Some(reason),
        }
    }

    /// Complete only if both are; otherwise the first reason is kept.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self {
            Self::Complete => other,
            Self::Incomplete(_) => self,
        }
    }
}

/// A page of a list as it was read, which shows whether the list has changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedPage {
    /// DigitalOcean's count of all items.
    pub total: u64,
    /// The ids of its items, in the list's order.
    pub ids: Vec<String>,
    /// Whether the page linked to a next one.
    pub has_next: bool,
}
