//! The form of every good answer: `data`, and `meta` about it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::effect::Effect;
use crate::freshness::Freshness;
use crate::notes::Note;

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
            meta: Meta::now(),
        }
    }

    /// Adds the effect of the change that this answers.
    pub(crate) fn with_effect(mut self, effect: Effect) -> Self {
        self.meta.effect = Some(effect);
        self
    }

    /// Adds the time from which a change holds.
    pub(crate) fn since(mut self, time: Option<DateTime<Utc>>) -> Self {
        self.meta.since = time;
        self
    }

    pub(crate) fn at(mut self, time: Option<DateTime<Utc>>) -> Self {
        self.meta.as_of = time.unwrap_or(self.meta.as_of);
        self
    }

    pub(crate) fn fresh(mut self, freshness: Vec<Freshness>) -> Self {
        self.meta.freshness = Some(freshness);
        self
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Meta {
    /// When the answer was given; or the time that it shows, where one was asked for.
    as_of: DateTime<Utc>,
    /// How fresh the kinds in the answer are now; in answers about the inventory and about projects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    freshness: Option<Vec<Freshness>>,
    /// The amounts that the change moved, or would move; in answers to changes of tenants and overrides.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    effect: Option<Effect>,
    /// The time from which a change holds, where one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    since: Option<DateTime<Utc>>,
    /// Why the answer has no data, and filters that name something unknown; left out where there is nothing to remark.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<Note>,
}

impl Meta {
    fn now() -> Self {
        Self {
            as_of: Utc::now(),
            freshness: None,
            effect: None,
            since: None,
            notes: Vec::new(),
        }
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    pub(crate) data: Vec<T>,
    pub(crate) meta: ListMeta,
}

impl<T> List<T> {
    /// Converts the rows.
    pub(crate) fn into<U: From<T>>(self) -> List<U> {
        List {
            data: self.data.into_iter().map(U::from).collect(),
            meta: self.meta,
        }
    }

    pub(crate) fn at(mut self, time: Option<DateTime<Utc>>) -> Self {
        self.meta.about.as_of = time.unwrap_or(self.meta.about.as_of);
        self
    }

    pub(crate) fn fresh(mut self, freshness: Vec<Freshness>) -> Self {
        self.meta.about.freshness = Some(freshness);
        self
    }

    pub(crate) fn noting(mut self, notes: impl IntoIterator<Item = Note>) -> Self {
        self.meta.about.notes.extend(notes);
        self
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListMeta {
    #[serde(flatten)]
    about: Meta,
    /// The most rows this page could have.
    limit: u16,
    /// What to give as `cursor`, with all else unchanged, for the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

impl ListMeta {
    pub(crate) fn now(limit: u16, next_cursor: Option<String>) -> Self {
        Self {
            about: Meta::now(),
            limit,
            next_cursor,
        }
    }
}
