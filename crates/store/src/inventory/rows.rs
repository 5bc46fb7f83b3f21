//! Rows of resources and their events, many at a time.

use std::collections::HashMap;

use domain::inventory::ObservedResource;
use sqlx::PgConnection;
use uuid::Uuid;

use super::changes::{Change, Fingerprint, StoredFields, discovery, sorted_tags};
use crate::copy::CopyIn;
use crate::{Run, StoreError};

/// A resource that is not stored as it was seen.
pub(super) struct Differing<'a> {
    /// Of the stored row; a new one for what is not stored yet.
    pub(super) id: Uuid,
    pub(super) resource: &'a ObservedResource,
    pub(super) fingerprint: &'a Fingerprint,
}

/// Stores what was never seen. No other sweep of this kind runs meanwhile, so that nothing of it can be there.
pub(super) async fn insert(
    tx: &mut PgConnection,
    kind: &str,
    new: &[Differing<'_>],
    run: &Run,
) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let now = sqlx::query_scalar!(r#"select now() as "now!""#)
        .fetch_one(&mut *tx)
        .await?;
    let mut rows = CopyIn::start(
        tx,
        "cloud_resources (id, kind, provider_id, name, region, status, tags, attrs, fingerprint, body_project_id,
             first_seen_at, last_seen_at)",
    )
    .await?;
    for Differing {
        id,
        resource,
        fingerprint,
    } in new
    {
        rows.value(Some(id));
        rows.text(Some(kind));
        rows.text(Some(&resource.provider_id));
        rows.text(Some(&resource.name));
        rows.text(resource.region.as_deref());
        rows.text(resource.status.as_deref());
        rows.texts(&sorted_tags(resource));
        rows.text(Some(resource.attrs.as_json()));
        rows.bytes(*fingerprint);
        rows.value(resource.project_id);
        rows.time(Some(now));
        rows.time(Some(now));
        rows.end_row().await?;
    }
    rows.finish().await?;

    let mut events = start_events(tx).await?;
    for new in new {
        write_event(&mut events, new.id, &discovery(new.resource), run);
        events.end_row().await?;
    }
    events.finish().await
}

/// A row as it stood.
pub(super) struct Before {
    pub(super) fields: StoredFields,
    pub(super) was_deleted: bool,
}

pub(super) async fn stored_before(
    tx: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Before>, StoreError> {
    let rows = sqlx::query!(
        "select id, name, region, status, tags, attrs, deleted_at from cloud_resources where id = any($1)",
        ids,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let before = Before {
                was_deleted: row.deleted_at.is_some(),
                fields: StoredFields {
                    name: row.name,
                    region: row.region,
                    status: row.status,
                    tags: row.tags,
                    attrs: row.attrs,
                },
            };
            (row.id, before)
        })
        .collect())
}

/// Writes changed bodies over the stored ones, and wipes strikes and tombstones.
pub(super) async fn update(
    tx: &mut PgConnection,
    ids: &[Uuid],
    known: &[Differing<'_>],
) -> Result<(), StoreError> {
    let observed = || known.iter().map(|differing| differing.resource);
    let names: Vec<&str> = observed().map(|resource| resource.name.as_str()).collect();
    let regions: Vec<Option<&str>> = observed()
        .map(|resource| resource.region.as_deref())
        .collect();
    let statuses: Vec<Option<&str>> = observed()
        .map(|resource| resource.status.as_deref())
        .collect();
    // PostgreSQL has no arrays of arrays of different lengths: tags travel as JSON.
    let tags: Vec<String> = observed()
        .map(|resource| serde_json::json!(sorted_tags(resource)).to_string())
        .collect();
    let attrs: Vec<&str> = observed()
        .map(|resource| resource.attrs.as_json())
        .collect();
    let fingerprints: Vec<&[u8]> = known
        .iter()
        .map(|differing| differing.fingerprint.as_slice())
        .collect();
    let projects: Vec<Option<String>> = observed()
        .map(|resource| resource.project_id.map(|id| id.to_string()))
        .collect();
    sqlx::query!(
        r#"
        update cloud_resources r set
            name = observed.name,
            region = observed.region,
            status = observed.status,
            tags = array(select jsonb_array_elements_text(observed.tags::jsonb)),
            attrs = observed.attrs::jsonb,
            fingerprint = observed.fingerprint,
            body_project_id = observed.body_project_id,
            last_seen_at = now(),
            stale_strike_count = 0,
            last_struck_at = null,
            deleted_at = null
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[])
            as observed (id, name, region, status, tags, attrs, fingerprint, body_project_id)
        where r.id = observed.id
        "#,
        ids,
        &names as &[&str],
        &regions as &[Option<&str>],
        &statuses as &[Option<&str>],
        &tags,
        &attrs as &[&str],
        &fingerprints as &[&[u8]],
        &projects as &[Option<String>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn write_events(
    tx: &mut PgConnection,
    changes: &[(Uuid, Change)],
    run: &Run,
) -> Result<(), StoreError> {
    let mut events = start_events(tx).await?;
    for (resource, change) in changes {
        write_event(&mut events, *resource, change, run);
        events.end_row().await?;
    }
    events.finish().await
}

async fn start_events(tx: &mut PgConnection) -> Result<CopyIn<'_>, StoreError> {
    let columns = "cloud_resource_events (resource_id, event, changes, workflow_id, run_id)";
    CopyIn::start(tx, columns).await
}

fn write_event(events: &mut CopyIn<'_>, resource: Uuid, change: &Change, run: &Run) {
    events.value(Some(resource));
    events.text(Some(change.event));
    events.text(Some(&change.changes));
    events.text(Some(&run.workflow_id));
    events.text(Some(&run.run_id));
}
