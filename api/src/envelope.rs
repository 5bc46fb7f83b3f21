//! The form of every good answer: `data`, and `meta` about it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// One thing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct One<T> {
    data: T,
    meta: Meta,
}

impl<T> One<T> {
    pub(crate) fn now(data: T) -> Self {
        Self {
            data,
            meta: Meta { as_of: Utc::now() },
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Meta {
    /// When the answer was given.
    as_of: DateTime<Utc>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    pub(crate) data: Vec<T>,
    pub(crate) meta: ListMeta,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListMeta {
    /// When the answer was given.
    pub(crate) as_of: DateTime<Utc>,
    /// The most rows this page could have.
    pub(crate) limit: u16,
    /// What to give as `cursor`, with all else unchanged, for the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
}
