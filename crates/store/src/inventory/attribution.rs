//! Which project a resource belongs to, and so whose it is.

use domain::kind::ALWAYS_IN_A_PROJECT;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::invoices::matching;
use crate::{Run, StoreError};

/// Sets project, tenant and attribution of the live resources of one kind, or of all, and says how many moved.
///
/// In this order: the project that lists the resource; the one its body names; and, for kinds that always live in a project,
/// the internal one, once a complete pass over all projects that began after the resource was first seen lists it nowhere.
/// A resource that leaves a project for another or for none has drifted; one that gets its first project is updated.
///
/// The caller holds the inventory's lock: alone if it names no kind, since the rows of all kinds are then written.
pub(crate) async fn attribute(
    tx: &mut PgConnection,
    kind: Option<&str>,
    run: Option<&Run>,
) -> Result<usize, StoreError> {
    let always_in_a_project: Vec<&str> = ALWAYS_IN_A_PROJECT
        .iter()
        .map(domain::ResourceKind::as_str)
        .collect();
    let changed = sqlx::query!(
        r#"
        with last_pass as (
            select max(started_at) as started_at from cloud_listings where kind = 'project_member' and complete
        ), internal as (
            select id from cloud_projects
            where provider = 'digitalocean' and is_internal and deleted_at is null
            order by first_seen_at limit 1
        ), wanted as (
            select r.id, r.cloud_project_id as project_before, r.tenant_id as tenant_before, r.attribution as attribution_before,
                coalesce(listing.cloud_project_id, named.id, fallback.id) as cloud_project_id,
                case
                    when listing.cloud_project_id is not null then 'membership'
                    when named.id is not null then 'body'
                    when fallback.id is not null then 'fallback'
                end as attribution
            from cloud_resources r
            left join cloud_project_members listing
                on listing.provider = r.provider and listing.kind = r.kind and listing.provider_id = r.provider_id
            left join cloud_projects named
                on named.provider = r.provider and named.provider_id = r.body_project_id
            left join last_pass on true
            left join internal as fallback
                on r.kind = any($2) and r.first_seen_at < last_pass.started_at
            where r.provider = 'digitalocean' and r.deleted_at is null and ($1::text is null or r.kind = $1)
        ), changed as (
            select wanted.*, project.tenant_id
            from wanted
            left join cloud_projects project on project.id = wanted.cloud_project_id
            where (project_before, tenant_before, attribution_before)
                is distinct from (wanted.cloud_project_id, project.tenant_id, wanted.attribution)
        ), written as (
            update cloud_resources r set
                cloud_project_id = changed.cloud_project_id,
                tenant_id = changed.tenant_id,
                attribution = changed.attribution
            from changed where r.id = changed.id
        ), noted as (
            insert into cloud_resource_events (resource_id, event, changes, workflow_id, run_id)
            select id,
                case when project_before is not null and project_before is distinct from cloud_project_id
                    then 'drift_detected' else 'updated' end,
                case when project_before is distinct from cloud_project_id then jsonb_build_object(
                    'cloud_project_id', jsonb_build_object('before', project_before, 'after', cloud_project_id)) else '{}' end
                || case when tenant_before is distinct from tenant_id then jsonb_build_object(
                    'tenant_id', jsonb_build_object('before', tenant_before, 'after', tenant_id)) else '{}' end
                || case when attribution_before is distinct from attribution then jsonb_build_object(
                    'attribution', jsonb_build_object('before', attribution_before, 'after', attribution)) else '{}' end,
                $3, $4
            from changed
        )
        select id as "id!", project_before is not null and project_before is distinct from cloud_project_id as "has_moved!"
        from changed
        "#,
        kind,
        &always_in_a_project as &[&str],
        run.map(|run| run.workflow_id.as_str()),
        run.map(|run| run.run_id.as_str()),
    )
    .fetch_all(&mut *tx)
    .await?;
    let ids: Vec<Uuid> = changed.iter().map(|row| row.id).collect();
    matching::follow_tenants(tx, &ids).await?;
    Ok(changed.iter().filter(|row| row.has_moved).count())
}
