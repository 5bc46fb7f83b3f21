//! How fresh what an answer shows is.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use store::{KindFreshness, Store};
use utoipa::ToSchema;

use crate::problem::Problem;

/// How fresh the mirror's picture of one kind is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Freshness {
    /// A kind of resource, or `project`, or `project_member` for which project lists what.
    #[schema(example = "droplet")]
    kind: String,
    /// When the last complete listing began; null before the first.
    last_complete_at: Option<DateTime<Utc>>,
    /// When the last attempt to list it began; null before the first.
    last_attempt_at: Option<DateTime<Utc>>,
    /// Whether the last attempt did not see everything.
    last_attempt_failed: bool,
    /// How the last attempt went: `complete`; `held`, complete, but so much is gone that an operator must say whether it is;
    /// `incomplete`; `not_readable`; `unauthorized`, where the token is refused; `failed`; or `unlisted` before the first.
    #[schema(example = "complete")]
    state: String,
    /// Whether the kind's sources are known not to tell of all there is, however complete the attempt was.
    is_partial: bool,
    /// Why they do not, and what to configure; null where `is_partial` is false.
    partial_reason: Option<String>,
}

impl Freshness {
    /// Of a kind that has no listing of its own (yet): what is known of it, projects told.
    fn unlisted(kind: String) -> Self {
        Self {
            kind,
            last_complete_at: None,
            last_attempt_at: None,
            last_attempt_failed: false,
            state: "unlisted".to_owned(),
            is_partial: false,
            partial_reason: None,
        }
    }
}

impl From<&KindFreshness> for Freshness {
    fn from(kind: &KindFreshness) -> Self {
        Self {
            kind: kind.kind.clone(),
            last_complete_at: kind.last_complete_at,
            last_attempt_at: Some(kind.last_attempt_at),
            last_attempt_failed: kind.last_attempt_failed(),
            state: kind.last_state.clone(),
            is_partial: kind.partial_reason.is_some(),
            partial_reason: kind.partial_reason.clone(),
        }
    }
}

/// The freshness of these kinds, one entry each, by kind.
pub(crate) async fn of<K: Into<String>>(
    store: &Store,
    kinds: impl IntoIterator<Item = K>,
) -> Result<Vec<Freshness>, Problem> {
    let kinds: BTreeSet<String> = kinds.into_iter().map(Into::into).collect();
    let kinds: Vec<String> = kinds.into_iter().collect();
    let found = store.freshness(Some(&kinds)).await?;
    Ok(kinds
        .into_iter()
        .map(|kind| match found.iter().find(|found| found.kind == kind) {
            Some(found) => found.into(),
            None => Freshness::unlisted(kind),
        })
        .collect())
}

/// The kinds behind whatever is told of projects.
pub(crate) const OF_PROJECTS: [&str; 2] = ["project", "project_member"];
