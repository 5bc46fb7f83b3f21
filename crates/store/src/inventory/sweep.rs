//! Stores the observed resources of a listing. No other code writes resources.

use domain::ResourceKind;
use sqlx::PgConnection;
use uuid::Uuid;

use super::SweepOutcome;
use super::attribution::{self, Scope};
use super::changes::change;
use super::held_deletions::pending;
use super::intervals;
use super::observed::Observations;
use super::rows::{self, Differing, SweepContext};
use super::strikes::strike;
use crate::invoices::matching::{self, RematchTrigger};
use crate::listings::{ListingFacts, note_partial, now, record};
use crate::locks::{self, Lock};
use crate::{Store, StoreError};

/// Changed bodies are compared in chunks of this many rows, to bound memory.
const ROWS_PER_COMPARISON: usize = 500;

impl Store {
    /// Stores the observed resources of one kind in one transaction: new and changed resources with
    /// their events and relations, times of observation, strikes if the listing is complete,
    /// projects and tenants.
    pub async fn sweep(
        &self,
        seen: &Observations,
        kind: &ResourceKind,
        facts: &ListingFacts,
    ) -> Result<SweepOutcome, StoreError> {
        let mut tx = self.pool.begin().await?;
        seen.lock(&mut tx).await?;
        locks::share(&mut tx, Lock::Inventory).await?;
        let outcome = sweep_within(&mut tx, seen, kind, facts).await?;
        tx.commit().await?;
        Ok(outcome)
    }
}

/// Like [`Store::sweep`], in the caller's transaction. The caller holds the inventory lock.
pub(crate) async fn sweep_within(
    tx: &mut PgConnection,
    seen: &Observations,
    kind: &ResourceKind,
    facts: &ListingFacts,
) -> Result<SweepOutcome, StoreError> {
    // Two concurrent sweeps of one kind would count one absence twice.
    locks::acquire(tx, Lock::Listing(kind.as_str())).await?;
    seen.check_staged(tx, kind).await?;
    let context = SweepContext {
        seen,
        kind,
        run: &facts.run,
        started_at: facts.started_at,
        at: now(tx).await?,
    };
    let recorded = record(tx, kind.as_str(), facts, seen.seen(kind)).await?;

    let partial_reason = seen.partial_reason(kind);
    let partial_reason_changed = note_partial(tx, kind.as_str(), facts, partial_reason).await?;

    let mut outcome = SweepOutcome {
        seen: seen.seen(kind),
        ..SweepOutcome::default()
    };
    let mut affected = Affected::default();
    let mut differing = Vec::new();
    for row in rows::staged(tx, context).await? {
        match row.id {
            None => affected.attributed.push(row.staged),
            Some(id) => differing.push(Differing {
                id,
                staged: row.staged,
            }),
        }
    }
    outcome.discovered = affected.attributed.len();
    let names = rows::insert(tx, context, &affected.attributed).await?;
    let trigger = &mut affected.trigger;
    trigger.discovered.clone_from(&affected.attributed);
    trigger
        .names
        .extend(names.iter().map(|name| name.to_lowercase()));
    for chunk in differing.chunks(ROWS_PER_COMPARISON) {
        write_changes(tx, context, chunk, &mut outcome, &mut affected).await?;
    }
    rows::update_last_seen(tx, context).await?;
    if recorded.may_strike {
        for deleted in strike(tx, context, facts, recorded.id, &mut outcome).await? {
            affected.attributed.push(deleted.id);
            affected.trigger.names.insert(deleted.name.to_lowercase());
        }
    }
    outcome.held = pending(tx, kind.as_str()).await?;
    let scope = Scope::Of(&affected.changed);
    outcome.moved = attribution::attribute(tx, scope, Some(&facts.run), context.at).await?;
    affected.attributed.append(&mut affected.changed);
    intervals::follow_projects(tx, &affected.attributed, context.at).await?;
    matching::rematch(tx, kind.as_str(), &affected.trigger, Some(&facts.run)).await?;
    if partial_reason_changed {
        matching::rematch_unmatched(tx, kind.as_str(), &facts.run).await?;
    }
    rows::unstage(tx, context).await?;
    Ok(outcome)
}

/// The fields by which cost lines without a resource id are matched.
const MATCHED_FIELDS: &[&str] = &["name", "region", "attrs.size_slug"];

/// The resources that a sweep changed, for the updates that depend on them.
#[derive(Default)]
struct Affected {
    /// Resources with a possibly different project.
    changed: Vec<Uuid>,
    /// Resources with a final attribution, and deleted ones.
    attributed: Vec<Uuid>,
    /// The changes that can change the matches of cost lines.
    trigger: RematchTrigger,
}

async fn write_changes(
    tx: &mut PgConnection,
    context: SweepContext<'_>,
    differing: &[Differing],
    outcome: &mut SweepOutcome,
    affected: &mut Affected,
) -> Result<(), StoreError> {
    let compared = rows::before_and_after(tx, context, differing).await?;
    rows::update(tx, context, differing).await?;

    let mut events = Vec::with_capacity(compared.len());
    let mut relations_changed = Vec::new();
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
            || MATCHED_FIELDS
                .iter()
                .any(|field| change.changes.contains_key(*field))
        {
            let names = &mut affected.trigger.names;
            names.insert(row.before.name.to_lowercase());
            names.insert(row.after.name.to_lowercase());
        }
        if change.changes.contains_key("relations") {
            relations_changed.push(Differing {
                id: row.id,
                staged: row.staged,
            });
        }
        events.push((row.id, change));
    }
    rows::rewrite_relations(tx, context, &relations_changed).await?;
    rows::write_events(tx, context, events).await
}
