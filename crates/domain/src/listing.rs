//! How much of what DigitalOcean has a listing saw.

use serde::{Deserialize, Serialize};

/// Whether a listing saw everything there was. Only a complete one may count as evidence that a resource is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "reason")]
pub enum Completeness {
    /// Every page answered 2xx with its expected key, and the distinct ids equal `meta.total` where DigitalOcean gives one.
    Complete,
    /// Anything else, and why.
    Incomplete(String),
}

impl Completeness {
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Complete)
    }

    /// Why it is not complete.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Complete => None,
            Self::Incomplete(reason) => Some(reason),
        }
    }

    /// Complete only if both are; the first reason wins.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self {
            Self::Complete => other,
            Self::Incomplete(_) => self,
        }
    }
}

/// A page of a list as it was when it was taken: by this is told whether the list is still the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenPage {
    /// DigitalOcean's count of all items.
    pub total: u64,
    /// Of its items, in the list's order.
    pub ids: Vec<String>,
    /// Whether another page was promised.
    pub has_next: bool,
}
