//! The format of every successful response: `data`, and `meta` with metadata.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, LOCATION};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use store::costs::Measured;
use store::inventory::Commit;
use utoipa::ToSchema;

use crate::ApiState;
use crate::effect::Effect;
use crate::freshness::Freshness;
use crate::notes::Note;
use crate::problem::Problem;
use crate::reallocation::ChangeReallocation;

/// Returns a body as JSON: for handlers that return a list as JSON or CSV.
pub(crate) fn json_of(body: impl Serialize) -> Response {
    Json(body).into_response()
}

/// A single object.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct One<T> {
    pub(crate) data: T,
    pub(crate) meta: Meta,
}

impl<T> One<T> {
    pub(crate) fn now(data: T) -> Self {
        Self {
            data,
            meta: Meta::now(),
        }
    }

    /// Adds the effect of the change.
    pub(crate) fn with_effect(mut self, effect: Effect) -> Self {
        self.meta.effect = Some(effect);
        self
    }

    /// Returns the data, and the effect that the change measured or the reallocation that it left.
    pub(crate) fn into_change(self) -> Result<(T, ChangeEffect), Problem> {
        let Meta {
            effect,
            reallocation,
            ..
        } = self.meta;
        let effect = match (effect, reallocation) {
            (Some(effect), _) => ChangeEffect::Measured(effect),
            (None, Some(left)) => ChangeEffect::Left(left),
            (None, None) => {
                return Err(Problem::Internal("a change without an effect".into()));
            }
        };
        Ok((self.data, effect))
    }

    /// Adds the time from which the change applies.
    pub(crate) fn since(mut self, time: Option<DateTime<Utc>>) -> Self {
        self.meta.since = time;
        self
    }

    /// Sets `as_of` to the requested time, if any.
    pub(crate) fn at(mut self, time: Option<DateTime<Utc>>) -> Self {
        self.meta.as_of = time.unwrap_or(self.meta.as_of);
        self
    }

    pub(crate) fn fresh(mut self, freshness: Vec<Freshness>) -> Self {
        self.meta.freshness = Some(freshness);
        self
    }
}

impl<T> One<T> {
    /// Adds the measured effect of a change, or the reallocation that the change left, and starts
    /// its workflow.
    pub(crate) async fn changed(
        self,
        state: &ApiState,
        measured: Measured,
        commit: Commit,
    ) -> Self {
        let reallocation = match commit {
            Commit::Keep => Some(ChangeReallocation::of(state, &measured).await),
            Commit::DryRun => None,
        };
        let is_measured = measured.reallocation.is_none();
        let mut one = if is_measured {
            self.with_effect(Effect::of(measured, commit))
        } else {
            self
        };
        one.meta.reallocation = reallocation;
        one
    }
}

impl<T: Serialize> One<T> {
    /// Returns the response to a change: 202 with the path of the reallocation if lines wait for
    /// it, 200 otherwise.
    pub(crate) fn into_changed(self) -> Response {
        let reallocation = self.meta.reallocation.as_ref();
        let path = reallocation.and_then(|reallocation| reallocation.path.as_deref());
        let location = path.and_then(|path| HeaderValue::from_str(path).ok());
        match location {
            Some(location) => {
                let headers = [(LOCATION, location)];
                (StatusCode::ACCEPTED, headers, Json(self)).into_response()
            }
            None => Json(self).into_response(),
        }
    }
}

/// The effect of a change.
pub(crate) enum ChangeEffect {
    Measured(Effect),
    /// The cost lines wait for a reallocation.
    Left(ChangeReallocation),
}

/// Metadata of a response.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Meta {
    /// Time of the response; with the parameter `as_of`, the requested time.
    pub(crate) as_of: DateTime<Utc>,
    /// Current freshness of the kinds in `data`; in responses about the inventory and projects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) freshness: Option<Vec<Freshness>>,
    /// Amounts in USD that the change moved, or would move in a dry run; in responses to changes of
    /// tenants, overrides and allocation rules. Absent while `reallocation` is pending: a dry run
    /// before the change has the amounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) effect: Option<Effect>,
    /// Update of the affected cost lines; in responses to changes of tenants, overrides and
    /// allocation rules, except dry runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) reallocation: Option<ChangeReallocation>,
    /// Time from which the change applies; absent if the request has no such time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    since: Option<DateTime<Utc>>,
    /// Reasons for missing data, and filters with an unknown value; absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<Note>,
}

impl Meta {
    fn now() -> Self {
        Self {
            as_of: Utc::now(),
            freshness: None,
            effect: None,
            reallocation: None,
            since: None,
            notes: Vec::new(),
        }
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    pub(crate) data: Vec<T>,
    pub(crate) meta: ListMeta,
}

impl<T> List<T> {
    /// Converts each row.
    pub(crate) fn into<U: From<T>>(self) -> List<U> {
        self.map(U::from)
    }

    /// Converts each row by a function.
    pub(crate) fn map<U>(self, convert: impl FnMut(T) -> U) -> List<U> {
        List {
            data: self.data.into_iter().map(convert).collect(),
            meta: self.meta,
        }
    }

    /// Sets `as_of` to the requested time, if any.
    pub(crate) fn at(mut self, time: Option<DateTime<Utc>>) -> Self {
        self.meta.common.as_of = time.unwrap_or(self.meta.common.as_of);
        self
    }

    pub(crate) fn fresh(mut self, freshness: Vec<Freshness>) -> Self {
        self.meta.common.freshness = Some(freshness);
        self
    }

    pub(crate) fn with_notes(mut self, notes: impl IntoIterator<Item = Note>) -> Self {
        self.meta.common.notes.extend(notes);
        self
    }
}

/// Metadata of one page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListMeta {
    #[serde(flatten)]
    pub(crate) common: Meta,
    /// Maximum number of rows on the page, as requested.
    limit: u16,
    /// Value of `cursor` for the next page, with all other parameters unchanged; null on the last
    /// page.
    pub(crate) next_cursor: Option<String>,
}

impl ListMeta {
    pub(crate) fn now(limit: u16, next_cursor: Option<String>) -> Self {
        Self {
            common: Meta::now(),
            limit,
            next_cursor,
        }
    }

    /// Returns the texts of the notes.
    pub(crate) fn details(&self) -> Vec<String> {
        let notes = self.common.notes.iter();
        notes.map(|note| note.detail.clone()).collect()
    }
}
