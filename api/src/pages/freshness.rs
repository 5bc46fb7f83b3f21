//! How fresh the data of a page are: when their kinds were last listed, and with which result.

use super::format::Moment;
use crate::freshness::Freshness;

/// The freshness of one kind.
pub(super) struct KindRow {
    pub(super) kind: String,
    pub(super) complete: Option<Moment>,
    pub(super) attempt: Option<Moment>,
    pub(super) state: &'static str,
    pub(super) is_good: bool,
    pub(super) reason: String,
}

/// The freshness of the kinds on a page, for `freshness.html`.
pub(super) struct FreshnessView {
    pub(super) kinds: Vec<KindRow>,
    /// The earliest last complete listing of the listed kinds.
    pub(super) oldest: Option<Moment>,
    /// The kinds that are stale or incomplete.
    pub(super) troubled: Vec<String>,
}

impl From<Vec<Freshness>> for FreshnessView {
    fn from(freshness: Vec<Freshness>) -> Self {
        let oldest = freshness.iter().filter_map(|kind| kind.last_complete_at);
        let oldest = oldest.min().map(Moment);
        let kinds: Vec<KindRow> = freshness.into_iter().map(KindRow::from).collect();
        let troubled = kinds.iter().filter(|kind| !kind.is_good);
        Self {
            troubled: troubled.map(|kind| kind.kind.clone()).collect(),
            oldest,
            kinds,
        }
    }
}

impl From<Freshness> for KindRow {
    fn from(kind: Freshness) -> Self {
        Self {
            state: words(&kind.state),
            is_good: kind.state == "complete" && !kind.is_partial,
            complete: kind.last_complete_at.map(Moment),
            attempt: kind.last_attempt_at.map(Moment),
            reason: kind.partial_reason.unwrap_or_default(),
            kind: kind.kind,
        }
    }
}

/// Returns the result of a listing in words.
fn words(state: &str) -> &'static str {
    match state {
        "complete" => "complete",
        "held" => "complete; deletions wait for a decision",
        "incomplete" => "incomplete",
        "not_readable" => "not readable with the token",
        "unauthorized" => "token refused by DigitalOcean",
        "unlisted" => "never listed; known from projects only",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freshness(kind: &str, state: &str, at: Option<&str>) -> Freshness {
        let at = at.map(|at| at.parse().unwrap());
        Freshness {
            kind: kind.to_owned(),
            last_complete_at: at,
            last_attempt_at: at,
            last_attempt_failed: state != "complete",
            state: state.to_owned(),
            is_partial: false,
            partial_reason: None,
        }
    }

    #[test]
    fn the_oldest_listing_and_the_troubled_kinds_are_named() {
        let view = FreshnessView::from(vec![
            freshness("droplet", "complete", Some("2026-11-02T00:00:00Z")),
            freshness("volume", "failed", Some("2026-11-01T00:00:00Z")),
            freshness("space", "unlisted", None),
        ]);
        let oldest = view.oldest.map(|oldest| oldest.to_string());
        assert_eq!(oldest.as_deref(), Some("2026-11-01 00:00"));
        assert_eq!(view.troubled, ["volume", "space"]);
    }
}
