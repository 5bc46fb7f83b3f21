//! Which project a resource belongs to, and so whose it is. The rule itself is the SQL view `cloud_resource_homes`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::intervals;
use crate::invoices::matching;
use crate::{Run, StoreError};

/// Whose project and tenant to set.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// Of all live resources. The caller holds the inventory's lock alone.
    All,
    Of(&'a [Uuid]),
}

/// A resource follows what it is a part of, which may follow something itself: a snapshot of a volume that a cluster made.
const DEEPEST: usize = 4;

/// Sets project, tenant and attribution of live resources, and says how many moved.
///
/// A resource that leaves a project for another or for none has drifted; one that gets its first project is updated.
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
    let mut moved = 0;
    for _ in 0..DEEPEST {
        let changed = set_homes(tx, ids, run, at).await?;
        if changed.is_empty() {
            break;
        }
        moved += changed.iter().filter(|(_, has_moved)| *has_moved).count();
        let changed: Vec<Uuid> = changed.into_iter().map(|(id, _)| id).collect();
        intervals::follow_projects(tx, &changed, at).await?;
        matching::follow_tenants(tx, &changed).await?;
    }
    note_contradictions(tx, ids, run, at).await?;
    Ok(moved)
}

async fn set_homes(
    tx: &mut PgConnection,
    ids: Option<&[Uuid]>,
    run: Option<&Run>,
    at: DateTime<Utc>,
) -> Result<Vec<(Uuid, bool)>, StoreError> {
    let changed = sqlx::query!(
        r#"
        with changed as (
            select r.id, r.cloud_project_id as project_before, r.tenant_id as tenant_before, r.attribution as attribution_before,
                home.cloud_project_id, home.tenant_id, home.attribution
            from cloud_resources r
            join cloud_resource_homes home on home.id = r.id and home.listing is null
            where ($1::uuid[] is null or r.id = any($1))
              and (r.cloud_project_id, r.tenant_id, r.attribution)
                  is distinct from (home.cloud_project_id, home.tenant_id, home.attribution)
        ), written as (
            update cloud_resources r set
                cloud_project_id = changed.cloud_project_id,
                tenant_id = changed.tenant_id,
                attribution = changed.attribution
            from changed where r.id = changed.id
        ), noted as (
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
                $4, $2, $3
            from changed
        )
        select id as "id!", project_before is not null and project_before is distinct from cloud_project_id as "has_moved!"
        from changed
        "#,
        ids,
        run.map(|run| run.workflow_id.as_str()),
        run.map(|run| run.run_id.as_str()),
        at,
    )
    .fetch_all(tx)
    .await?;
    Ok(changed
        .into_iter()
        .map(|row| (row.id, row.has_moved))
        .collect())
}

/// Tells where DigitalOcean puts a pinned resource into another project than its pin does, or into one of another tenant: once
/// for each such project, not with every sync.
async fn note_contradictions(
    tx: &mut PgConnection,
    ids: Option<&[Uuid]>,
    run: Option<&Run>,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "with contradicting as (
             select pin.resource_id, pin.contradicted_by as before,
                 case when (pin.cloud_project_id is not null and project.id <> pin.cloud_project_id)
                         or (pin.cloud_project_id is null and project.tenant_id <> pin.tenant_id)
                     then project.id end as after
             from cloud_resource_pins pin
             join cloud_resource_homes home on home.id = pin.resource_id and home.listing is null
             left join cloud_projects project on project.id = home.provider_project_id
             where $1::uuid[] is null or pin.resource_id = any($1)
         ), noted as (
             update cloud_resource_pins pin set contradicted_by = after
             from contradicting
             where pin.resource_id = contradicting.resource_id and before is distinct from after
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
