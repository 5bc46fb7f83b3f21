//! Stores the observed resources of a listing. No other code writes resources.

use domain::{ResourceKind, fold_case};
use sqlx::PgConnection;
use uuid::Uuid;

use super::SweepOutcome;
use super::attribution::{self, Lines, Scope};
use super::changes::change;
use super::held_deletions::{pending, supersede};
use super::intervals;
use super::observed::Observations;
use super::rows::{self, BeforeAndAfter, Differing, SweepContext};
use super::seen;
use super::strikes::strike;
use crate::invoices::matching::{self, RematchTrigger};
use crate::listings::{ListingFacts, note_partial, note_reason, now, record};
use crate::locks::{self, Lock};
use crate::planner::join_by_hashing;
use crate::{Store, StoreError};

/// Changed bodies are compared in chunks of this many rows, to bound memory.
const ROWS_PER_COMPARISON: usize = 500;

impl Store {
    /// Stores the observed resources of one kind in one transaction: new and changed resources with
    /// their events and relations, sightings, strikes if the listing is complete, projects and
    /// tenants.
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
    observed: &Observations,
    kind: &ResourceKind,
    facts: &ListingFacts,
) -> Result<SweepOutcome, StoreError> {
    // Two concurrent sweeps of one kind would count one absence twice.
    locks::acquire(tx, Lock::Listing(kind.as_str())).await?;
    observed.check_staged(tx, kind).await?;
    let context = SweepContext {
        seen: observed,
        kind,
        run: &facts.run,
        started_at: facts.evidence.began_at,
        finished_at: facts.finished_at,
        // The evidence can be older than the listing: two listings by one pass are one strike.
        apart_from: facts
            .rules
            .apart_from(observed.started_at)
            .min(facts.evidence.began_at),
        at: now(tx).await?,
    };
    let Some(recorded) = record(tx, kind.as_str(), facts, observed.seen(kind)).await? else {
        rows::unstage(tx, context).await?;
        return Ok(SweepOutcome {
            seen: observed.seen(kind),
            held: pending(tx, kind.as_str()).await?,
            ..SweepOutcome::default()
        });
    };

    if let Some(reason) = observed.withheld_reason(kind) {
        note_reason(tx, kind.as_str(), recorded.id, reason).await?;
    }
    let partial_reason = observed.partial_reason(kind);
    let partial_reason_changed = note_partial(tx, kind.as_str(), facts, partial_reason).await?;

    let mut outcome = SweepOutcome {
        seen: observed.seen(kind),
        ..SweepOutcome::default()
    };
    let mut affected = Affected::default();
    let mut differing = Vec::new();
    join_by_hashing(tx, outcome.seen).await?;
    let staged = rows::staged(tx, context).await?;
    let sightings = seen::record(tx, context, !staged.is_empty()).await?;
    join_by_hashing(tx, 0).await?;
    for row in staged {
        match row.id {
            None => affected.attributed.push(row.staged),
            Some(id) => differing.push(Differing {
                id,
                staged: row.staged,
            }),
        }
    }
    outcome.discovered = affected.attributed.len();
    let names = rows::insert(tx, context, &affected.attributed, sightings.current).await?;
    let trigger = &mut affected.trigger;
    trigger.discovered.clone_from(&affected.attributed);
    trigger
        .names
        .extend(names.iter().map(|name| fold_case(name)));
    for chunk in differing.chunks(ROWS_PER_COMPARISON) {
        let compared = rows::before_and_after(tx, context, chunk).await?;
        rows::update(tx, context, chunk, sightings.current).await?;
        write_events(tx, context, compared, &mut outcome, &mut affected).await?;
    }
    if recorded.may_strike && !sightings.lacks_any(context) {
        supersede(tx, kind.as_str(), context.at).await?;
    } else if recorded.may_strike {
        for deleted in strike(tx, context, facts, recorded.id, &mut outcome).await? {
            affected.attributed.push(deleted.id);
            affected.trigger.names.insert(fold_case(&deleted.name));
        }
    }
    outcome.held = pending(tx, kind.as_str()).await?;
    let scope = Scope::Of(&affected.changed);
    let attributed =
        attribution::attribute(tx, scope, Lines::Follow, Some(&facts.run), context.at).await?;
    outcome.moved = attributed.moved;
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

/// Writes the events of changed resources and their new relations.
async fn write_events(
    tx: &mut PgConnection,
    context: SweepContext<'_>,
    compared: Vec<BeforeAndAfter>,
    outcome: &mut SweepOutcome,
    affected: &mut Affected,
) -> Result<(), StoreError> {
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
            names.insert(fold_case(&row.before.name));
            names.insert(fold_case(&row.after.name));
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
