//! The freshness of the kinds in a response: when each kind was last listed, and with which result.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use store::{KindFreshness, Store};
use utoipa::ToSchema;

use crate::problem::Problem;

/// Freshness of the mirrored data of one kind.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Freshness {
    /// A kind of resource, `project`, or `project_member` (the assignment of resources to
    /// projects).
    #[schema(example = "droplet")]
    pub(crate) kind: String,
    /// Start of the last complete listing; null before the first.
    pub(crate) last_complete_at: Option<DateTime<Utc>>,
    /// Start of the last attempt to list the kind; null before the first.
    pub(crate) last_attempt_at: Option<DateTime<Utc>>,
    /// True if the last attempt did not list everything.
    pub(crate) last_attempt_failed: bool,
    /// Result of the last attempt: `complete`; `held`, complete, but with so many missing resources
    /// that an operator must decide on their deletion; `incomplete`; `not_readable`;
    /// `unauthorized`, DigitalOcean refused the token; `failed`; `unlisted` before the first
    /// attempt.
    #[schema(example = "complete")]
    pub(crate) state: String,
    /// True if the sources of the kind are known to be incomplete, even if the attempt is complete.
    pub(crate) is_partial: bool,
    /// Reason for `is_partial`, and the setting that fixes it; null if `is_partial` is false.
    pub(crate) partial_reason: Option<String>,
}

impl Freshness {
    /// Returns the freshness of a kind without any listing; its resources are known from projects
    /// only.
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

/// Returns the freshness of these kinds, one entry for each kind, ordered by kind.
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

/// The kinds from which responses about projects are built.
pub(crate) const OF_PROJECTS: [&str; 2] = ["project", "project_member"];
