//! Strikes, and the tombstones that three of them make.

use sqlx::PgConnection;
use uuid::Uuid;

use super::SweepOutcome;
use super::held_deletions::{hold, supersede};
use super::rows::{Gone, Writing};
use crate::StoreError;
use crate::listings::{ListingFacts, STRIKES};

/// Strikes what no listing has seen since this one began; the third strike sets the tombstone, unless it would set too many.
///
/// A listing whose sources are known to be partial strikes only what such sources told of: a name and nothing else. A row with a body
/// is known from elsewhere (an invoice, or a list that is not read now), and that these sources lack it says nothing.
pub(super) async fn strike(
    tx: &mut PgConnection,
    writing: Writing<'_>,
    facts: &ListingFacts,
    listing: Uuid,
    outcome: &mut SweepOutcome,
) -> Result<Vec<Gone>, StoreError> {
    let kind = writing.kind.as_str();
    let is_partial = writing.is_partial();
    let counts = sqlx::query!(
        r#"
        select count(*) as "live!",
            count(*) filter (
                where last_seen_at < $2 and stale_strike_count + 1 >= $4 and not ($6 and attrs <> '{}')
                  and (last_struck_at is null or last_struck_at <= $5::timestamptz - make_interval(secs => $3))) as "doomed!"
        from cloud_resources where provider = 'digitalocean' and kind = $1 and deleted_at is null
        "#,
        kind,
        facts.started_at,
        facts.strike_seconds(),
        STRIKES,
        writing.at,
        is_partial,
    )
    .fetch_one(&mut *tx)
    .await?;
    let is_held = facts.rules.guard.holds(counts.doomed, counts.live);
    if is_held {
        hold(tx, writing, facts, listing, (counts.doomed, counts.live)).await?;
    } else {
        supersede(tx, kind, writing.at).await?;
    }

    let struck = sqlx::query!(
        r#"
        with struck as (
            update cloud_resources set
                stale_strike_count = stale_strike_count + 1,
                last_struck_at = $5,
                deleted_at = case when stale_strike_count + 1 >= $4 then $5::timestamptz end
            where provider = 'digitalocean' and kind = $1 and deleted_at is null
              and last_seen_at < $2
              and (last_struck_at is null or last_struck_at <= $5::timestamptz - make_interval(secs => $3))
              and not ($6 and stale_strike_count + 1 >= $4)
              and not ($9 and attrs <> '{}')
            returning id, name, deleted_at
        ), noted as (
            insert into cloud_resource_events (resource_id, event, changes, occurred_at, workflow_id, run_id)
            select id, 'deleted', jsonb_build_object('deleted_at', jsonb_build_object('before', null, 'after', deleted_at)),
                $5, $7, $8
            from struck where deleted_at is not null
        )
        select id, name, deleted_at is not null as "is_deleted!" from struck
        "#,
        kind,
        facts.started_at,
        facts.strike_seconds(),
        STRIKES,
        writing.at,
        is_held,
        facts.run.workflow_id,
        facts.run.run_id,
        is_partial,
    )
    .fetch_all(tx)
    .await?;
    let mut gone = Vec::new();
    for row in struck {
        if row.is_deleted {
            outcome.deleted += 1;
            gone.push(Gone {
                id: row.id,
                name: row.name,
            });
        } else {
            outcome.struck += 1;
        }
    }
    Ok(gone)
}
