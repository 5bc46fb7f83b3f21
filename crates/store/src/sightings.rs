//! Sightings: when rows were last seen, without a write to each row.
//!
//! Rows that the same listings showed share a sighting, which has one time. A listing that shows
//! all rows of a sighting changes its time. One that shows some of them moves the fewer of its
//! shown and missing rows to another sighting. So an unchanged sync writes a constant number of
//! rows, and any other a number that grows with the difference to the listing before
//! ([reasons](../../../docs/decisions/2026-11-30-sightings.md)).

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::StoreError;

/// A listing gives its time to at most this many sightings of a kind, and moves the shown rows of
/// all others, the smallest, to the largest. Many sightings arise from listings that stop at
/// different places.
const MOST_RENEWED: usize = 16;

/// A sighting and the number of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) id: i64,
    pub(crate) seen_at: DateTime<Utc>,
    /// Rows that the listing shows.
    pub(crate) shown: i64,
    /// Rows that the listing lacks.
    pub(crate) missing: i64,
}

/// The sightings of a kind after a listing.
#[derive(Debug, Default)]
pub(crate) struct Renewed {
    /// The sighting for rows that the listing adds.
    pub(crate) current: Option<i64>,
    pub(crate) moves: Moves,
}

/// The rows that move to another sighting, one entry in each column for each group of rows.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    pub(crate) from: Vec<i64>,
    /// True for the shown rows, false for the missing rows of the sighting.
    pub(crate) shown: Vec<bool>,
    pub(crate) to: Vec<i64>,
}

impl Moves {
    pub(crate) fn is_empty(&self) -> bool {
        self.from.is_empty()
    }

    fn push(&mut self, from: i64, shown: bool, to: i64) {
        self.from.push(from);
        self.shown.push(shown);
        self.to.push(to);
    }
}

/// Records that a listing which ended at `seen_at` shows rows of these sightings, which are all of
/// the kind. The caller holds the lock of the kind, and then executes the moves. A sighting that is
/// later than the listing does not change.
///
/// With `adds_rows`, the result has a current sighting.
pub(crate) async fn renew(
    tx: &mut PgConnection,
    kind: &str,
    seen_at: DateTime<Utc>,
    sightings: &[Sighting],
    adds_rows: bool,
) -> Result<Renewed, StoreError> {
    let plan = plan(sightings, seen_at);
    if !plan.renewed.is_empty() {
        sqlx::query!(
            "update cloud_sightings set seen_at = $2 where id = any($1)",
            &plan.renewed,
            seen_at,
        )
        .execute(&mut *tx)
        .await?;
    }
    let mut unused = sightings
        .iter()
        .filter(|sighting| sighting.shown == 0 && sighting.missing == 0)
        .map(|sighting| sighting.id);
    let mut renewed = Renewed {
        current: plan.renewed.first().copied(),
        ..Renewed::default()
    };
    if renewed.current.is_none() && (adds_rows || !plan.left_by_shown.is_empty()) {
        renewed.current = Some(create(tx, kind, seen_at, unused.next()).await?);
    }
    for from in plan.left_by_shown {
        renewed
            .moves
            .push(from, true, renewed.current.unwrap_or(from));
    }
    for (from, seen_at) in plan.left_by_missing {
        let to = create(tx, kind, seen_at, unused.next()).await?;
        renewed.moves.push(from, false, to);
    }
    Ok(renewed)
}

/// Changes of sightings.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Sightings that get the time of the listing, the largest first.
    renewed: Vec<i64>,
    /// Sightings with shown rows that move to the current sighting.
    left_by_shown: Vec<i64>,
    /// Sightings with missing rows that move to a new one with the same time.
    left_by_missing: Vec<(i64, DateTime<Utc>)>,
}

fn plan(sightings: &[Sighting], seen_at: DateTime<Utc>) -> Plan {
    let mut plan = Plan::default();
    let mut shown: Vec<&Sighting> = sightings
        .iter()
        .filter(|sighting| sighting.shown > 0 && sighting.seen_at < seen_at)
        .collect();
    shown.sort_by_key(|sighting| (Reverse(sighting.shown), sighting.id));
    for sighting in shown {
        if sighting.shown <= sighting.missing || plan.renewed.len() == MOST_RENEWED {
            plan.left_by_shown.push(sighting.id);
            continue;
        }
        plan.renewed.push(sighting.id);
        if sighting.missing > 0 {
            plan.left_by_missing.push((sighting.id, sighting.seen_at));
        }
    }
    plan
}

/// Returns a sighting without rows: `unused`, or a new one.
async fn create(
    tx: &mut PgConnection,
    kind: &str,
    seen_at: DateTime<Utc>,
    unused: Option<i64>,
) -> Result<i64, StoreError> {
    let id = sqlx::query_scalar!(
        r#"
        with reused as (
            update cloud_sightings set seen_at = $2 where id = $3 returning id
        ), created as (
            insert into cloud_sightings (kind, seen_at) select $1, $2 where $3::bigint is null returning id
        )
        select id as "id!" from reused union all select id from created
        "#,
        kind,
        seen_at,
        unused,
    )
    .fetch_one(tx)
    .await?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn sighting(id: i64, seconds: i64, shown: i64, missing: i64) -> Sighting {
        Sighting {
            id,
            seen_at: at(seconds),
            shown,
            missing,
        }
    }

    #[test]
    fn a_listing_of_all_rows_moves_none() {
        let planned = plan(&[sighting(1, 10, 20_000, 0)], at(20));
        assert_eq!(
            (planned.renewed.as_slice(), planned.left_by_shown.len()),
            (&[1][..], 0)
        );
        assert_eq!(planned.left_by_missing, []);
    }

    #[test]
    fn the_fewer_rows_move() {
        let planned = plan(
            &[
                sighting(1, 10, 90, 10),
                sighting(2, 11, 10, 90),
                sighting(3, 12, 5, 5),
            ],
            at(20),
        );
        assert_eq!(planned.renewed, [1]);
        assert_eq!(planned.left_by_missing, [(1, at(10))]);
        assert_eq!(planned.left_by_shown, [2, 3]);
    }

    #[test]
    fn a_later_sighting_and_one_without_shown_rows_keep_their_times() {
        let planned = plan(
            &[
                sighting(1, 20, 5, 0),
                sighting(2, 30, 5, 5),
                sighting(3, 10, 0, 5),
            ],
            at(20),
        );
        assert_eq!(planned, Plan::default());
    }

    #[test]
    fn the_smallest_of_many_sightings_join_the_largest() {
        let many: Vec<Sighting> = (1..=20).map(|id| sighting(id, 10, id, 0)).collect();
        let planned = plan(&many, at(20));
        assert_eq!(planned.renewed, (5..=20).rev().collect::<Vec<i64>>());
        assert_eq!(planned.left_by_shown, [4, 3, 2, 1]);
        assert_eq!(planned.left_by_missing, []);
    }
}
