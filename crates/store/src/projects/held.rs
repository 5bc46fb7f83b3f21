//! An operator's decision on held deletions of projects.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::names;
use crate::{Actor, StoreError};

/// Deletes the projects of a held deletion that no listing has shown since, and returns their
/// number.
pub(crate) async fn delete(
    tx: &mut PgConnection,
    hold: Uuid,
    at: DateTime<Utc>,
    actor: &Actor,
) -> Result<usize, StoreError> {
    let run = actor.run();
    let deleted = sqlx::query_scalar!(
        "with deleted as (
             update cloud_project_rows p set
                 stale_strike_count = p.stale_strike_count + 1, last_struck_at = $2, deleted_at = $2,
                 seen_before_deletion_at = missing.last_seen_at, sighting_id = null
             from cloud_held_projects h
             join cloud_held_deletions d on d.id = h.hold_id
             join cloud_projects missing on missing.id = h.cloud_project_id
             where h.hold_id = $1 and p.id = missing.id and missing.deleted_at is null
               and missing.last_seen_at < d.listing_started_at
             returning p.id
         )
         insert into cloud_project_events (cloud_project_id, event, changes, occurred_at, workflow_id, run_id)
         select id, 'deleted', jsonb_build_object(
             'deleted_at', jsonb_build_object('before', null, 'after', $2::timestamptz),
             'approved_by', jsonb_build_object('before', null, 'after', $3::text)), $2, $4, $5
         from deleted
         returning cloud_project_id",
        hold,
        at,
        actor.name(),
        run.map(|run| run.workflow_id.as_str()),
        run.map(|run| run.run_id.as_str()),
    )
    .fetch_all(&mut *tx)
    .await?;
    names::follow(tx, run, at).await?;
    Ok(deleted.len())
}

/// Resets the strikes of the projects of a held deletion.
pub(crate) async fn keep(tx: &mut PgConnection, hold: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "update cloud_project_rows p set stale_strike_count = 0, last_struck_at = null
         from cloud_held_projects h where h.hold_id = $1 and p.id = h.cloud_project_id and p.deleted_at is null",
        hold,
    )
    .execute(tx)
    .await?;
    Ok(())
}
