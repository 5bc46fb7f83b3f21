//! The chokepoint: the only way by which resources are written.

use std::collections::{BTreeSet, HashMap};

use domain::ResourceKind;
use domain::inventory::ObservedResource;
use sqlx::PgConnection;
use uuid::Uuid;

use super::attribution;
use super::changes::{Change, StoredFields, change, fingerprint, sorted_tags};
use crate::invoices::matching;
use crate::listings::{ListingFacts, STRIKES, lock, record, share_inventory};
use crate::{Run, Store, StoreError};

/// What one listing of one kind saw.
pub struct Sweep<'a> {
    pub kind: &'a ResourceKind,
    pub resources: &'a [ObservedResource],
    pub facts: &'a ListingFacts,
}

/// What a sweep changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepOutcome {
    pub seen: usize,
    pub discovered: usize,
    /// Changed in more than tags.
    pub updated: usize,
    pub tagged: usize,
    pub restored: usize,
    /// Missed by this complete listing, and not yet by three.
    pub struck: usize,
    pub deleted: usize,
    /// Moved to another project.
    pub moved: usize,
}

/// Bodies are sent in portions of this many rows: a bound on memory here and on the size of one statement.
const CHUNK: usize = 1_000;

impl Store {
    /// Writes what a listing saw, in one transaction: new and changed resources with their events, sightings, strikes if the
    /// listing is complete, projects and tenants. A reader sees all of it or nothing.
    pub async fn sweep(&self, sweep: Sweep<'_>) -> Result<SweepOutcome, StoreError> {
        let mut tx = self.pool.begin().await?;
        share_inventory(&mut tx).await?;
        let outcome = sweep_within(&mut tx, &sweep).await?;
        tx.commit().await?;
        Ok(outcome)
    }
}

pub(crate) async fn sweep_within(
    tx: &mut PgConnection,
    sweep: &Sweep<'_>,
) -> Result<SweepOutcome, StoreError> {
    let kind = sweep.kind.as_str();
    // Two sweeps of one kind at once would count one absence twice.
    lock(tx, &format!("sweep {kind}")).await?;
    let may_strike = record(tx, kind, sweep.facts, sweep.resources.len()).await?;

    let mut outcome = SweepOutcome {
        seen: sweep.resources.len(),
        ..SweepOutcome::default()
    };
    let mut affected_names = BTreeSet::new();
    let fingerprints: Vec<Vec<u8>> = sweep.resources.iter().map(fingerprint).collect();
    let differing = differing(tx, sweep, &fingerprints).await?;
    for chunk in differing.chunks(CHUNK) {
        write_chunk(
            tx,
            sweep,
            &fingerprints,
            chunk,
            &mut outcome,
            &mut affected_names,
        )
        .await?;
    }
    note_sightings(tx, sweep).await?;
    if may_strike {
        strike(tx, kind, sweep.facts, &mut outcome, &mut affected_names).await?;
    }
    outcome.moved = attribution::attribute(tx, Some(kind), Some(&sweep.facts.run)).await?;
    matching::match_again(tx, kind, &affected_names).await?;
    Ok(outcome)
}

/// The places in the listing of what is new, changed, or seen after it was deleted. A row that another listing saw after this
/// one began is left to that other: what this one holds may be older.
async fn differing(
    tx: &mut PgConnection,
    sweep: &Sweep<'_>,
    fingerprints: &[Vec<u8>],
) -> Result<Vec<usize>, StoreError> {
    let provider_ids: Vec<&str> = sweep
        .resources
        .iter()
        .map(|resource| resource.provider_id.as_str())
        .collect();
    let places = sqlx::query_scalar!(
        r#"
        select observed.place as "place!"
        from unnest($2::text[], $3::bytea[]) with ordinality as observed (provider_id, fingerprint, place)
        left join cloud_resources r
            on r.provider = 'digitalocean' and r.kind = $1 and r.provider_id = observed.provider_id
        where r.id is null
           or ((r.fingerprint <> observed.fingerprint or r.deleted_at is not null)
               and r.last_seen_at <= $4 and coalesce(r.deleted_at <= $4, true))
        order by observed.place
        "#,
        sweep.kind.as_str(),
        &provider_ids as &[&str],
        fingerprints,
        sweep.facts.started_at,
    )
    .fetch_all(tx)
    .await?;
    Ok(places
        .into_iter()
        .filter_map(|place| usize::try_from(place - 1).ok())
        .collect())
}

struct Before {
    fields: StoredFields,
    was_deleted: bool,
}

async fn stored_before(
    tx: &mut PgConnection,
    kind: &str,
    provider_ids: &[&str],
) -> Result<HashMap<String, Before>, StoreError> {
    let rows = sqlx::query!(
        "select provider_id, name, region, status, tags, attrs, deleted_at
         from cloud_resources where provider = 'digitalocean' and kind = $1 and provider_id = any($2)",
        kind,
        provider_ids as &[&str],
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
            (row.provider_id, before)
        })
        .collect())
}

async fn write_chunk(
    tx: &mut PgConnection,
    sweep: &Sweep<'_>,
    fingerprints: &[Vec<u8>],
    places: &[usize],
    outcome: &mut SweepOutcome,
    affected_names: &mut BTreeSet<String>,
) -> Result<(), StoreError> {
    let observed: Vec<&ObservedResource> = places
        .iter()
        .map(|&place| &sweep.resources[place])
        .collect();
    let fingerprints: Vec<&[u8]> = places
        .iter()
        .map(|&place| fingerprints[place].as_slice())
        .collect();
    let provider_ids: Vec<&str> = observed
        .iter()
        .map(|resource| resource.provider_id.as_str())
        .collect();
    let before = stored_before(tx, sweep.kind.as_str(), &provider_ids).await?;
    let ids = upsert(
        tx,
        sweep.kind.as_str(),
        &observed,
        &provider_ids,
        &fingerprints,
    )
    .await?;

    let mut events = Vec::with_capacity(observed.len());
    for resource in observed {
        let Some(&id) = ids.get(&resource.provider_id) else {
            continue;
        };
        let before = before.get(&resource.provider_id);
        let was_deleted = before.is_some_and(|before| before.was_deleted);
        let Some(change) = change(before.map(|before| &before.fields), was_deleted, resource)
        else {
            continue;
        };
        match change.event {
            "discovered" => outcome.discovered += 1,
            "tagged" => outcome.tagged += 1,
            "restored" => outcome.restored += 1,
            _ => outcome.updated += 1,
        }
        if change.event != "tagged" {
            affected_names.extend(before.map(|before| before.fields.name.to_lowercase()));
            affected_names.insert(resource.name.to_lowercase());
        }
        events.push((id, change));
    }
    write_events(tx, &events, &sweep.facts.run).await
}

async fn upsert(
    tx: &mut PgConnection,
    kind: &str,
    observed: &[&ObservedResource],
    provider_ids: &[&str],
    fingerprints: &[&[u8]],
) -> Result<HashMap<String, Uuid>, StoreError> {
    let names: Vec<&str> = observed
        .iter()
        .map(|resource| resource.name.as_str())
        .collect();
    let regions: Vec<Option<&str>> = observed
        .iter()
        .map(|resource| resource.region.as_deref())
        .collect();
    let statuses: Vec<Option<&str>> = observed
        .iter()
        .map(|resource| resource.status.as_deref())
        .collect();
    // PostgreSQL has no arrays of arrays of different lengths: tags travel as JSON.
    let tags: Vec<String> = observed
        .iter()
        .map(|resource| serde_json::json!(sorted_tags(resource)).to_string())
        .collect();
    let attrs: Vec<String> = observed
        .iter()
        .map(|resource| resource.attrs.to_string())
        .collect();
    let projects: Vec<Option<String>> = observed
        .iter()
        .map(|resource| resource.project_id.map(|id| id.to_string()))
        .collect();
    let rows = sqlx::query!(
        r#"
        insert into cloud_resources
            (kind, provider_id, name, region, status, tags, attrs, fingerprint, body_project_id, first_seen_at, last_seen_at)
        select $1, provider_id, name, region, status, array(select jsonb_array_elements_text(tags::jsonb)), attrs::jsonb,
               fingerprint, body_project_id, now(), now()
        from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::text[])
            as observed (provider_id, name, region, status, tags, attrs, fingerprint, body_project_id)
        on conflict (provider, kind, provider_id) do update set
            name = excluded.name,
            region = excluded.region,
            status = excluded.status,
            tags = excluded.tags,
            attrs = excluded.attrs,
            fingerprint = excluded.fingerprint,
            body_project_id = excluded.body_project_id,
            last_seen_at = excluded.last_seen_at,
            stale_strike_count = 0,
            last_struck_at = null,
            deleted_at = null
        returning id, provider_id
        "#,
        kind,
        provider_ids as &[&str],
        &names as &[&str],
        &regions as &[Option<&str>],
        &statuses as &[Option<&str>],
        &tags,
        &attrs,
        fingerprints as &[&[u8]],
        &projects as &[Option<String>],
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.provider_id, row.id))
        .collect())
}

async fn write_events(
    tx: &mut PgConnection,
    events: &[(Uuid, Change)],
    run: &Run,
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = events.iter().map(|(id, _)| *id).collect();
    let names: Vec<&str> = events.iter().map(|(_, change)| change.event).collect();
    let changes: Vec<String> = events
        .iter()
        .map(|(_, change)| change.changes.to_string())
        .collect();
    sqlx::query!(
        "insert into cloud_resource_events (resource_id, event, changes, workflow_id, run_id)
         select id, event, changes::jsonb, $4, $5
         from unnest($1::uuid[], $2::text[], $3::text[]) as happened (id, event, changes)",
        &ids,
        &names as &[&str],
        &changes,
        run.workflow_id,
        run.run_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Every row that was seen is fresh again. A tombstoned one that is still so was seen by a listing that began before its
/// tombstone was set, which proves nothing.
async fn note_sightings(tx: &mut PgConnection, sweep: &Sweep<'_>) -> Result<(), StoreError> {
    let provider_ids: Vec<&str> = sweep
        .resources
        .iter()
        .map(|resource| resource.provider_id.as_str())
        .collect();
    sqlx::query!(
        "update cloud_resources set last_seen_at = now(), stale_strike_count = 0, last_struck_at = null
         where provider = 'digitalocean' and kind = $1 and provider_id = any($2)
           and deleted_at is null and last_seen_at < now()",
        sweep.kind.as_str(),
        &provider_ids as &[&str],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Strikes what no listing has seen since this one began; the third strike sets the tombstone.
async fn strike(
    tx: &mut PgConnection,
    kind: &str,
    facts: &ListingFacts,
    outcome: &mut SweepOutcome,
    affected_names: &mut BTreeSet<String>,
) -> Result<(), StoreError> {
    let struck = sqlx::query!(
        r#"
        with struck as (
            update cloud_resources set
                stale_strike_count = stale_strike_count + 1,
                last_struck_at = now(),
                deleted_at = case when stale_strike_count + 1 >= $4 then now() end
            where provider = 'digitalocean' and kind = $1 and deleted_at is null
              and last_seen_at < $2
              and (last_struck_at is null or last_struck_at <= now() - make_interval(secs => $3))
            returning id, name, deleted_at
        ), noted as (
            insert into cloud_resource_events (resource_id, event, changes, workflow_id, run_id)
            select id, 'deleted', jsonb_build_object('deleted_at', jsonb_build_object('before', null, 'after', deleted_at)), $5, $6
            from struck where deleted_at is not null
        )
        select name, deleted_at is not null as "is_deleted!" from struck
        "#,
        kind,
        facts.started_at,
        facts.strike_seconds(),
        STRIKES,
        facts.run.workflow_id,
        facts.run.run_id,
    )
    .fetch_all(tx)
    .await?;
    for row in struck {
        if row.is_deleted {
            outcome.deleted += 1;
            affected_names.insert(row.name.to_lowercase());
        } else {
            outcome.struck += 1;
        }
    }
    Ok(())
}
