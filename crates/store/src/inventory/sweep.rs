//! The chokepoint: the only way by which resources are written.

use domain::ResourceKind;
use sqlx::PgConnection;
use uuid::Uuid;

use super::SweepOutcome;
use super::attribution::{self, Scope};
use super::changes::change;
use super::held_deletions::pending;
use super::intervals;
use super::observed::Observations;
use super::rows::{self, Differing, Writing};
use super::strikes::strike;
use crate::invoices::matching::{self, RematchTrigger};
use crate::listings::{ListingFacts, note_partial, now, record};
use crate::locks::{self, Lock};
use crate::{Store, StoreError};

/// Changed bodies are compared in portions of this many rows: a bound on memory.
const CHUNK: usize = 500;

impl Store {
    /// Writes what a listing saw of one kind, in one transaction: new and changed resources with their events and relations,
    /// sightings, strikes if the listing is complete, projects and tenants. A reader sees all of it or nothing.
    pub async fn sweep(
        &self,
        seen: &Observations,
        kind: &ResourceKind,
        facts: &ListingFacts,
    ) -> Result<SweepOutcome, StoreError> {
        let mut tx = self.pool.begin().await?;
        seen.hold(&mut tx).await?;
        locks::share(&mut tx, Lock::Inventory).await?;
        let outcome = sweep_within(&mut tx, seen, kind, facts).await?;
        tx.commit().await?;
        Ok(outcome)
    }
}

/// The caller holds the inventory's lock.
pub(crate) async fn sweep_within(
    tx: &mut PgConnection,
    seen: &Observations,
    kind: &ResourceKind,
    facts: &ListingFacts,
) -> Result<SweepOutcome, StoreError> {
    // Two sweeps of one kind at once would count one absence twice.
    locks::acquire(tx, Lock::Listing(kind.as_str())).await?;
    seen.check_staged(tx, kind).await?;
    let writing = Writing {
        seen,
        kind,
        run: &facts.run,
        started_at: facts.started_at,
        at: now(tx).await?,
    };
    let recorded = record(tx, kind.as_str(), facts, seen.seen(kind)).await?;

    let partial_reason = seen.partial_reason(kind);
    let is_partial_otherwise = note_partial(tx, kind.as_str(), facts, partial_reason).await?;

    let mut outcome = SweepOutcome {
        seen: seen.seen(kind),
        ..SweepOutcome::default()
    };
    let mut affected = Affected::default();
    let mut differing = Vec::new();
    for row in rows::staged(tx, writing).await? {
        match row.id {
            None => affected.homed.push(row.staged),
            Some(id) => differing.push(Differing {
                id,
                staged: row.staged,
            }),
        }
    }
    outcome.discovered = affected.homed.len();
    let names = rows::insert(tx, writing, &affected.homed).await?;
    let learned = &mut affected.learned;
    learned.discovered.clone_from(&affected.homed);
    learned
        .names
        .extend(names.iter().map(|name| name.to_lowercase()));
    for chunk in differing.chunks(CHUNK) {
        write_changes(tx, writing, chunk, &mut outcome, &mut affected).await?;
    }
    rows::note_sightings(tx, writing).await?;
    if recorded.may_strike {
        for gone in strike(tx, writing, facts, recorded.id, &mut outcome).await? {
            affected.homed.push(gone.id);
            affected.learned.names.insert(gone.name.to_lowercase());
        }
    }
    outcome.held = pending(tx, kind.as_str()).await?;
    let scope = Scope::Of(&affected.changed);
    outcome.moved = attribution::attribute(tx, scope, Some(&facts.run), writing.at).await?;
    affected.homed.append(&mut affected.changed);
    intervals::follow_projects(tx, &affected.homed, writing.at).await?;
    matching::rematch(tx, kind.as_str(), &affected.learned, Some(&facts.run)).await?;
    if is_partial_otherwise {
        matching::rematch_unmatched(tx, kind.as_str(), &facts.run).await?;
    }
    rows::unstage(tx, writing).await?;
    Ok(outcome)
}

/// By what lines without an id find their resource.
const MATCHED_BY: &[&str] = &["name", "region", "attrs.size_slug"];

/// What a sweep wrote, and what has to follow from it.
#[derive(Default)]
struct Affected {
    /// Rows whose project may be another now.
    changed: Vec<Uuid>,
    /// Rows whose project is set already, or that are gone.
    homed: Vec<Uuid>,
    /// What cost lines may be matched by otherwise now.
    learned: RematchTrigger,
}

async fn write_changes(
    tx: &mut PgConnection,
    writing: Writing<'_>,
    differing: &[Differing],
    outcome: &mut SweepOutcome,
    affected: &mut Affected,
) -> Result<(), StoreError> {
    let compared = rows::before_and_after(tx, writing, differing).await?;
    rows::update(tx, writing, differing).await?;

    let mut events = Vec::with_capacity(compared.len());
    let mut related_otherwise = Vec::new();
    for row in compared {
        affected.changed.push(row.id);
        let Some(change) = change(&row.before, row.deleted_at, &row.after) else {
            continue;
        };
        match change.event {
            "tagged" => outcome.tagged += 1,
            "restored" => outcome.restored += 1,
            _ => outcome.updated += 1,
        }
        if change.event == "restored"
            || MATCHED_BY
                .iter()
                .any(|field| change.changes.contains_key(*field))
        {
            let names = &mut affected.learned.names;
            names.insert(row.before.name.to_lowercase());
            names.insert(row.after.name.to_lowercase());
        }
        if change.changes.contains_key("relations") {
            related_otherwise.push(Differing {
                id: row.id,
                staged: row.staged,
            });
        }
        events.push((row.id, change));
    }
    rows::rewrite_relations(tx, writing, &related_otherwise).await?;
    rows::write_events(tx, writing, events).await
}
