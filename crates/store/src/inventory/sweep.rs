//! The chokepoint: the only way by which resources are written.

use std::collections::BTreeSet;

use domain::ResourceKind;
use domain::inventory::ObservedResource;
use sqlx::PgConnection;
use uuid::Uuid;

use super::attribution;
use super::changes::{Fingerprint, change, fingerprint};
use super::rows::{Differing, insert, stored_before, update, write_events};
use crate::invoices::matching;
use crate::listings::{ListingFacts, STRIKES, lock, record, share_inventory};
use crate::{Store, StoreError};

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

/// Changed bodies are sent in portions of this many rows: a bound on memory here and on the size of one statement.
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
    let fingerprints: Vec<Fingerprint> = sweep.resources.iter().map(fingerprint).collect();
    let differing = differing(tx, sweep, &fingerprints).await?;
    insert(tx, kind, &differing.new, &sweep.facts.run).await?;
    outcome.discovered = differing.new.len();
    affected_names.extend(
        differing
            .new
            .iter()
            .map(|new| new.resource.name.to_lowercase()),
    );
    for chunk in differing.known.chunks(CHUNK) {
        write_changes(tx, sweep, chunk, &mut outcome, &mut affected_names).await?;
    }
    note_sightings(tx, sweep).await?;
    if may_strike {
        strike(tx, kind, sweep.facts, &mut outcome, &mut affected_names).await?;
    }
    outcome.moved = attribution::attribute(tx, Some(kind), Some(&sweep.facts.run)).await?;
    matching::match_again(tx, kind, &affected_names).await?;
    Ok(outcome)
}

struct AllDiffering<'a> {
    new: Vec<Differing<'a>>,
    known: Vec<Differing<'a>>,
}

/// What is new, changed, or seen after it was deleted. A row that another listing saw after this one began is left to that
/// other: what this one holds may be older.
async fn differing<'a>(
    tx: &mut PgConnection,
    sweep: &Sweep<'a>,
    fingerprints: &'a [Fingerprint],
) -> Result<AllDiffering<'a>, StoreError> {
    let provider_ids: Vec<&str> = sweep
        .resources
        .iter()
        .map(|resource| resource.provider_id.as_str())
        .collect();
    let bytes: Vec<&[u8]> = fingerprints.iter().map(<[u8; 32]>::as_slice).collect();
    let rows = sqlx::query!(
        r#"
        select observed.place as "place!", r.id as "id?"
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
        &bytes as &[&[u8]],
        sweep.facts.started_at,
    )
    .fetch_all(tx)
    .await?;
    let (mut new, mut known) = (Vec::new(), Vec::new());
    for row in rows {
        let observed = usize::try_from(row.place - 1)
            .ok()
            .and_then(|place| sweep.resources.get(place).zip(fingerprints.get(place)));
        let Some((resource, fingerprint)) = observed else {
            continue;
        };
        let differing = |id| Differing {
            id,
            resource,
            fingerprint,
        };
        match row.id {
            Some(id) => known.push(differing(id)),
            // Ids that grow keep neighbours together in the indexes.
            None => new.push(differing(Uuid::now_v7())),
        }
    }
    Ok(AllDiffering { new, known })
}

async fn write_changes(
    tx: &mut PgConnection,
    sweep: &Sweep<'_>,
    known: &[Differing<'_>],
    outcome: &mut SweepOutcome,
    affected_names: &mut BTreeSet<String>,
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = known.iter().map(|differing| differing.id).collect();
    let before = stored_before(tx, &ids).await?;
    update(tx, &ids, known).await?;

    let mut events = Vec::with_capacity(known.len());
    for &Differing { id, resource, .. } in known {
        let Some(before) = before.get(&id) else {
            continue;
        };
        let Some(change) = change(&before.fields, before.was_deleted, resource) else {
            continue;
        };
        match change.event {
            "tagged" => outcome.tagged += 1,
            "restored" => outcome.restored += 1,
            _ => outcome.updated += 1,
        }
        if change.event != "tagged" {
            affected_names.insert(before.fields.name.to_lowercase());
            affected_names.insert(resource.name.to_lowercase());
        }
        events.push((id, change));
    }
    write_events(tx, &events, &sweep.facts.run).await
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
