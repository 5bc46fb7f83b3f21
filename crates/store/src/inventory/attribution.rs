//! Attributes resources to projects and tenants. The rule is the SQL view
//! `cloud_resource_attribution`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::intervals;
use super::rows::join_by_hashing;
use crate::invoices::line_attribution::{self, Affected};
use crate::invoices::matching;
use crate::{Run, StoreError};

/// The resources to attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// All live resources. The caller holds the inventory lock exclusively.
    All,
    Of(&'a [Uuid]),
}

/// The longest chain of parents that attribution follows, e.g. from a snapshot to its volume to the
/// cluster that created the volume. A resource has the attribution of its parent.
const MAX_DEPTH: usize = 4;

/// Sets project, tenant and attribution of live resources, and returns the number of resources that
/// moved to another project.
///
/// A resource that leaves its project gets the event `drift_detected`; one that gets its first
/// project gets `updated`.
pub(crate) async fn attribute(
    tx: &mut PgConnection,
    scope: Scope<'_>,
    run: Option<&Run>,
    at: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let ids = match scope {
        Scope::All => None,
        Scope::Of([]) => return Ok(0),
        Scope::Of(ids) => Some(ids),
    };
    // The attribution of each row before the first round. Intermediate rounds are not recorded.
    let mut before: BTreeMap<Uuid, Attribution> = BTreeMap::new();
    join_by_hashing(tx, ids.map_or(usize::MAX, <[Uuid]>::len)).await?;
    for _ in 0..MAX_DEPTH {
        let changed = set_attributions(tx, ids).await?;
        if changed.is_empty() {
            break;
        }
        for (id, attribution) in changed {
            before.entry(id).or_insert(attribution);
        }
    }
    let moved = record_changes(tx, &before, run, at).await?;
    let changed: Vec<Uuid> = before.into_keys().collect();
    intervals::follow_projects(tx, &changed, at).await?;
    matching::rematch_candidates(tx, &changed).await?;
    line_attribution::reallocate(tx, Affected::OfResources(&changed)).await?;
    record_contradictions(tx, ids, run, at).await?;
    join_by_hashing(tx, 0).await?;
    Ok(moved)
}

/// The project and the tenant of a resource, and the source of the attribution.
struct Attribution {
    project: Option<Uuid>,
    tenant: Option<String>,
    source: Option<String>,
}

/// Updates the rows with a different attribution, and returns their previous attributions.
async fn set_attributions(
    tx: &mut PgConnection,
    ids: Option<&[Uuid]>,
) -> Result<Vec<(Uuid, Attribution)>, StoreError> {
    let changed = sqlx::query!(
        r#"
        with changed as (
            select r.id, r.cloud_project_id as project_before, r.tenant_id as tenant_before, r.attribution as attribution_before,
                derived.cloud_project_id, derived.tenant_id, derived.attribution,
                derived.provider_project_id, derived.parent_id, derived.overridden_by
            from cloud_resources r
            join cloud_resource_attribution derived on derived.id = r.id and derived.listing is null
            where ($1::uuid[] is null or r.id = any($1))
              and (r.provider_project_id, r.parent_id, r.overridden_by, r.cloud_project_id, r.tenant_id, r.attribution)
                  is distinct from (derived.provider_project_id, derived.parent_id, derived.overridden_by, derived.cloud_project_id,
                      derived.tenant_id, derived.attribution)
        )
        update cloud_resources r set
            provider_project_id = changed.provider_project_id,
            parent_id = changed.parent_id,
            overridden_by = changed.overridden_by,
            cloud_project_id = changed.cloud_project_id,
            tenant_id = changed.tenant_id,
            attribution = changed.attribution
        from changed where r.id = changed.id
        returning r.id, changed.project_before as "project_before?", changed.tenant_before as "tenant_before?",
            changed.attribution_before as "attribution_before?"
        "#,
        ids,
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
             left join cloud_projects project on project.id = r.provider_project_id
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
