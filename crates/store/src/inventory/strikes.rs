//! Strikes of missing resources, and the deletions after the third strike.

use sqlx::PgConnection;
use uuid::Uuid;

use super::SweepOutcome;
use super::held_deletions::{Loss, hold, supersede};
use super::rows::{DeletedResource, SweepContext};
use crate::StoreError;
use crate::listings::{ListingFacts, STRIKES};

/// Adds a strike to each resource that no listing may have observed since this one began. The third
/// strike marks the resource as deleted, unless there would be too many deletions.
///
/// A listing with partial sources adds strikes only to resources known solely from such sources,
/// which have a name and no body. A resource with a body is known from elsewhere (an invoice, or a
/// list that is not readable now), so its absence from these sources proves nothing.
pub(super) async fn strike(
    tx: &mut PgConnection,
    context: SweepContext<'_>,
    facts: &ListingFacts,
    listing: Uuid,
    outcome: &mut SweepOutcome,
) -> Result<Vec<DeletedResource>, StoreError> {
    let kind = context.kind.as_str();
    let is_partial = context.is_partial();
    let counts = sqlx::query!(
        r#"
        select count(*) as "live!",
            count(*) filter (
                where last_seen_at < $2 and stale_strike_count + 1 >= $4 and not ($5 and attrs <> '{}')
                  and (last_struck_at is null or last_struck_at <= $3)) as "doomed!"
        from cloud_resources where provider = 'digitalocean' and kind = $1 and deleted_at is null
        "#,
        kind,
        facts.evidence.began_at,
        context.apart_from,
        STRIKES,
        is_partial,
    )
    .fetch_one(&mut *tx)
    .await?;
    let is_held = facts.rules.guard.holds(counts.doomed, counts.live);
    if is_held {
        let doomed = Loss {
            kind,
            listing,
            doomed: counts.doomed,
            live: counts.live,
        };
        hold(tx, context, facts, doomed).await?;
    } else {
        supersede(tx, kind, context.at).await?;
    }

    let struck = sqlx::query!(
        r#"
        with marked as (
            update cloud_resource_rows r set
                stale_strike_count = r.stale_strike_count + 1,
                last_struck_at = $10,
                deleted_at = case when missing.is_last then $5::timestamptz end,
                seen_before_deletion_at = case when missing.is_last then missing.last_seen_at end,
                sighting_id = case when not missing.is_last then r.sighting_id end
            from (
                select id, last_seen_at, stale_strike_count + 1 >= $4 as is_last from cloud_resources
                where provider = 'digitalocean' and kind = $1 and deleted_at is null and last_seen_at < $2
                  and (last_struck_at is null or last_struck_at <= $3)
                  and not ($6 and stale_strike_count + 1 >= $4)
                  and not ($9 and attrs <> '{}')
            ) missing
            where r.id = missing.id
            returning r.id, r.name, r.deleted_at
        ), noted as (
            insert into cloud_resource_events (resource_id, event, changes, occurred_at, workflow_id, run_id)
            select id, 'deleted', jsonb_build_object('deleted_at', jsonb_build_object('before', null, 'after', deleted_at)),
                $5, $7, $8
            from marked where deleted_at is not null
        )
        select id, name, deleted_at is not null as "is_deleted!" from marked
        "#,
        kind,
        facts.evidence.began_at,
        context.apart_from,
        STRIKES,
        context.at,
        is_held,
        facts.run.workflow_id,
        facts.run.run_id,
        is_partial,
        context.finished_at,
    )
    .fetch_all(tx)
    .await?;
    let mut deleted = Vec::new();
    for row in struck {
        if row.is_deleted {
            outcome.deleted += 1;
            deleted.push(DeletedResource {
                id: row.id,
                name: row.name,
            });
        } else {
            outcome.struck += 1;
        }
    }
    Ok(deleted)
}
