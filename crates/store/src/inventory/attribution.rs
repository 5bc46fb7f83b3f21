//! Attributes resources to projects and tenants. The rule is the SQL view
//! `cloud_resource_attribution`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::intervals;
use crate::invoices::{line_attribution, matching};
use crate::planner::join_by_hashing;
use crate::reallocations::Affected;
use crate::{Run, StoreError};

/// The resources to attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// All live resources, but at most [`PORTION`] changes. The caller holds the inventory lock
    /// exclusively.
    Portion,
    Of(&'a [Uuid]),
}

/// The most resources that one transaction attributes: about a second of work, for which the syncs
/// of all kinds wait. The first pass over the members of an account attributes all its resources.
const PORTION: usize = 5_000;

/// The resources that a transaction attributed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributed {
    /// The number that moved to another project.
    pub(crate) moved: usize,
    /// False if the portion is full, so that other resources may wait for their attribution.
    pub(crate) is_complete: bool,
}

/// The longest chain of parents that attribution follows, e.g. from a snapshot to its volume to the
/// cluster that created the volume. A resource has the attribution of its parent.
const MAX_DEPTH: usize = 4;

/// The cost lines of resources with another attribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    /// They follow: at once if they are few, else by the workflow `Reallocate`.
    Follow,
    /// The caller reallocates them, and has set the cause of their changes.
    OfTheCaller,
}

/// Sets project, tenant and attribution of live resources.
///
/// A resource that leaves its project gets the event `drift_detected`; one that gets its first
/// project gets `updated`.
pub(crate) async fn attribute(
    tx: &mut PgConnection,
    scope: Scope<'_>,
    lines: Lines,
    run: Option<&Run>,
    at: DateTime<Utc>,
) -> Result<Attributed, StoreError> {
    let ids = match scope {
        Scope::Portion => None,
        Scope::Of([]) => {
            return Ok(Attributed {
                moved: 0,
                is_complete: true,
            });
        }
        Scope::Of(ids) => Some(ids),
    };
    // The attribution of each row before the first round. Intermediate rounds are not recorded.
    let mut before: BTreeMap<Uuid, Attribution> = BTreeMap::new();
    join_by_hashing(tx, ids.map_or(usize::MAX, <[Uuid]>::len)).await?;
    let mut is_complete = true;
    for round in 1..=MAX_DEPTH {
        let limit = ids.is_none().then(|| PORTION - before.len());
        let changed = set_attributions(tx, ids, limit, round < MAX_DEPTH).await?;
        if changed.is_empty() {
            break;
        }
        for (id, attribution) in changed {
            before.entry(id).or_insert(attribution);
        }
        is_complete = ids.is_some() || before.len() < PORTION;
        if !is_complete {
            break;
        }
    }
    let moved = record_changes(tx, &before, run, at).await?;
    let changed: Vec<Uuid> = before.into_keys().collect();
    intervals::follow_projects(tx, &changed, at).await?;
    let follow = lines == Lines::Follow && !changed.is_empty();
    if follow {
        matching::set_cause(tx, "inventory", None, run).await?;
    }
    matching::rematch_candidates(tx, &changed).await?;
    if follow {
        line_attribution::reallocate(tx, Affected::of_resources(&changed)).await?;
    }
    record_contradictions(tx, ids, run, at).await?;
    join_by_hashing(tx, 0).await?;
    Ok(Attributed { moved, is_complete })
}

/// The project and the tenant of a resource, and the source of the attribution.
struct Attribution {
    project: Option<Uuid>,
    tenant: Option<String>,
    source: Option<String>,
}

/// Updates the rows with a different attribution, at most `limit`, and returns their previous
/// attributions. The condition on the ids is one on the view, and the statement is planned with
/// their values ([`join_by_hashing`]), so that few ids read few rows.
///
/// With a limit and `after_parents`, a row waits until its parent has its attribution: the
/// transaction may end before the next round, and nothing intermediate is recorded. The last round
/// of a transaction also sets rows that are their own ancestors, by contradictory bodies.
async fn set_attributions(
    tx: &mut PgConnection,
    ids: Option<&[Uuid]>,
    limit: Option<usize>,
    after_parents: bool,
) -> Result<Vec<(Uuid, Attribution)>, StoreError> {
    let limit = limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let changed = sqlx::query!(
        r#"
        with differing as (
            select r.id, r.cloud_project_id as project_before, r.tenant_id as tenant_before, r.attribution as attribution_before,
                derived.cloud_project_id, derived.tenant_id, derived.attribution,
                derived.provider_project_id, derived.parent_id, derived.overridden_by, derived.project_overridden_by
            from cloud_resource_attribution derived
            join cloud_resource_rows r on r.id = derived.id
            where derived.listing is null and ($1::uuid[] is null or derived.id = any($1))
              and (r.provider_project_id, r.parent_id, r.overridden_by, r.project_overridden_by, r.cloud_project_id, r.tenant_id,
                      r.attribution)
                  is distinct from (derived.provider_project_id, derived.parent_id, derived.overridden_by,
                      derived.project_overridden_by, derived.cloud_project_id, derived.tenant_id, derived.attribution)
        ), changed as (
            select * from differing
            where $2::bigint is null or not $3
               or not exists (select from differing parent where parent.id = differing.parent_id)
            limit $2
        )
        update cloud_resource_rows r set
            provider_project_id = changed.provider_project_id,
            parent_id = changed.parent_id,
            overridden_by = changed.overridden_by,
            project_overridden_by = changed.project_overridden_by,
            cloud_project_id = changed.cloud_project_id,
            tenant_id = changed.tenant_id,
            attribution = changed.attribution
        from changed where r.id = changed.id
        returning r.id, changed.project_before as "project_before?", changed.tenant_before as "tenant_before?",
            changed.attribution_before as "attribution_before?"
        "#,
        ids,
        limit,
        after_parents,
    )
    .fetch_all(tx)
    .await?;
    Ok(changed
        .into_iter()
        .map(|row| {
            let before = Attribution {
                project: row.project_before,
                tenant: row.tenant_before,
                source: row.attribution_before,
            };
            (row.id, before)
        })
        .collect())
}

/// Inserts the events, and returns the number of resources that left a project.
async fn record_changes(
    tx: &mut PgConnection,
    before: &BTreeMap<Uuid, Attribution>,
    run: Option<&Run>,
    at: DateTime<Utc>,
) -> Result<usize, StoreError> {
    if before.is_empty() {
        return Ok(0);
    }
    let ids: Vec<Uuid> = before.keys().copied().collect();
    let attributions = || before.values();
    let projects: Vec<Option<Uuid>> = attributions().map(|before| before.project).collect();
    let tenants: Vec<Option<&str>> = attributions()
        .map(|before| before.tenant.as_deref())
        .collect();
    let sources: Vec<Option<&str>> = attributions()
        .map(|before| before.source.as_deref())
        .collect();
    let events = sqlx::query_scalar!(
        r#"
        with changed as (
            select r.id, r.cloud_project_id, r.tenant_id, r.attribution,
                was.cloud_project_id as project_before, was.tenant_id as tenant_before, was.attribution as attribution_before
            from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[])
                as was (id, cloud_project_id, tenant_id, attribution)
            join cloud_resources r on r.id = was.id
            where (r.cloud_project_id, r.tenant_id, r.attribution)
                is distinct from (was.cloud_project_id, was.tenant_id, was.attribution)
        )
        insert into cloud_resource_events (resource_id, event, changes, occurred_at, workflow_id, run_id)
        select id,
            case when project_before is not null and project_before is distinct from cloud_project_id
                then 'drift_detected' else 'updated' end,
            case when project_before is distinct from cloud_project_id then jsonb_build_object(
                'cloud_project_id', jsonb_build_object('before', project_before, 'after', cloud_project_id)) else '{}' end
            || case when tenant_before is distinct from tenant_id then jsonb_build_object(
                'tenant_id', jsonb_build_object('before', tenant_before, 'after', tenant_id)) else '{}' end
            || case when attribution_before is distinct from attribution then jsonb_build_object(
                'attribution', jsonb_build_object('before', attribution_before, 'after', attribution)) else '{}' end,
            $7, $5, $6
        from changed
        returning event
        "#,
        &ids,
        &projects as &[Option<Uuid>],
        &tenants as &[Option<&str>],
        &sources as &[Option<&str>],
        run.map(|run| run.workflow_id.as_str()),
        run.map(|run| run.run_id.as_str()),
        at,
    )
    .fetch_all(tx)
    .await?;
    Ok(events
        .iter()
        .filter(|event| *event == "drift_detected")
        .count())
}

/// Records that DigitalOcean moved a resource to a project that contradicts its override: to
/// another project, or to a project of another tenant. Records each such project once, not in every
/// sync.
async fn record_contradictions(
    tx: &mut PgConnection,
    ids: Option<&[Uuid]>,
    run: Option<&Run>,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "with contradicting as (
             select override.resource_id, override.cloud_project_id is not null as is_of_project, override.contradicted_by as before,
                 case when (override.cloud_project_id is not null and project.id <> override.cloud_project_id)
                         or (override.cloud_project_id is null and project.tenant_id <> override.tenant_id
                             and not exists (select from cloud_resource_overrides o where o.resource_id = override.resource_id
                                 and o.valid_to is null and o.cloud_project_id is not null))
                     then project.id end as after
             from cloud_resource_overrides override
             join cloud_resources r on r.id = override.resource_id and r.deleted_at is null
             left join cloud_project_rows project on project.id = r.provider_project_id
             where override.valid_to is null and ($1::uuid[] is null or override.resource_id = any($1))
         ), noted as (
             update cloud_resource_overrides override set contradicted_by = after
             from contradicting
             where override.resource_id = contradicting.resource_id and override.valid_to is null
               and (override.cloud_project_id is not null) = contradicting.is_of_project and before is distinct from after
         )
         insert into cloud_resource_events (resource_id, event, changes, occurred_at, workflow_id, run_id)
         select resource_id, 'drift_detected',
             jsonb_build_object('provider_project_id', jsonb_build_object('before', before, 'after', after)), $4, $2, $3
         from contradicting where after is not null and before is distinct from after",
        ids,
        run.map(|run| run.workflow_id.as_str()),
        run.map(|run| run.run_id.as_str()),
        at,
    )
    .execute(tx)
    .await?;
    Ok(())
}
