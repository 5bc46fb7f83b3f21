//! Bulk statements that copy staged resources to the stored rows, their relations and events.

use chrono::{DateTime, SecondsFormat, Utc};
use domain::ResourceKind;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::changes::{Change, Fields};
use super::observed::Observations;
use crate::planner::join_by_hashing;
use crate::{Run, StoreError};

/// The listing that is stored, its run, and the time of the writes.
#[derive(Clone, Copy)]
pub(super) struct SweepContext<'a> {
    pub(super) seen: &'a Observations,
    pub(super) kind: &'a ResourceKind,
    pub(super) run: &'a Run,
    /// The times before the listing's first request and after its last response.
    pub(super) started_at: DateTime<Utc>,
    pub(super) finished_at: DateTime<Utc>,
    /// The latest end of an earlier listing with strikes that are apart from this one's.
    pub(super) apart_from: DateTime<Utc>,
    pub(super) at: DateTime<Utc>,
}

/// A staged resource and the stored row with the same provider id.
pub(super) struct Staged {
    pub(super) staged: Uuid,
    /// The id of the stored row; `None` for a new resource.
    pub(super) id: Option<Uuid>,
}

impl SweepContext<'_> {
    /// Returns true if the sources of the listing are known to be incomplete.
    pub(super) fn is_partial(&self) -> bool {
        self.seen.limits_strikes(self.kind)
    }
}

/// Lists the staged resources that are new or changed, without those that another listing may have
/// observed after this one began: the staged data may be older. No other sweep of this kind runs
/// concurrently, so a resource without a stored row is new.
pub(super) async fn staged(
    tx: &mut PgConnection,
    context: SweepContext<'_>,
) -> Result<Vec<Staged>, StoreError> {
    // The lateral join forces an index lookup per row: after a first sync there are no statistics
    // to plan with.
    let rows = sqlx::query_as!(
        Staged,
        r#"
        select s.id as staged, r.id as "id?"
        from cloud_staged_resources s
        left join lateral (
            select r.id, r.fingerprint, r.last_seen_at, r.deleted_at from cloud_resources r
            where r.provider = 'digitalocean' and r.kind = $2 and r.provider_id = s.provider_id limit 1
        ) r on true
        where s.listing = $1 and s.kind = $2
          and (r.id is null
               or ((r.fingerprint <> s.fingerprint or r.deleted_at is not null)
                   and r.last_seen_at <= $3 and coalesce(r.deleted_at <= $3, true)))
        order by s.id
        "#,
        context.seen.listing(),
        context.kind.as_str(),
        context.started_at,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows)
}

/// Inserts new resources with project and tenant, and returns their names.
///
/// A resource that a cluster created is in DigitalOcean's default project, but has the attribution
/// of its cluster. Until the cluster's project is known, it gets no project, to avoid a move in the
/// next moment. The attribution after all sweeps sets it.
pub(super) async fn insert(
    tx: &mut PgConnection,
    context: SweepContext<'_>,
    new: &[Uuid],
    sighting: Option<i64>,
) -> Result<Vec<String>, StoreError> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let (listing, kind) = (context.seen.listing(), context.kind.as_str());
    join_by_hashing(tx, new.len()).await?;
    let names = sqlx::query_scalar!(
        r#"
        insert into cloud_resource_rows
            (id, kind, provider_id, name, region, status, tags, attrs, fingerprint, body_project_id, provider_project_id,
             parent_id, overridden_by, project_overridden_by, cloud_project_id, tenant_id, attribution, first_seen_at, sighting_id)
        select s.id, s.kind, s.provider_id, s.name, s.region, s.status, s.tags, s.attrs, s.fingerprint, s.body_project_id,
            derived.provider_project_id, derived.parent_id, derived.overridden_by, derived.project_overridden_by, derived.cloud_project_id,
            derived.tenant_id, derived.attribution,
            $3, $5
        from cloud_staged_resources s
        left join cloud_resource_attribution derived on derived.listing = $1 and derived.kind = $2 and derived.id = s.id
            and (s.owner_relation is distinct from 'made_by_kubernetes' or exists (
                select from cloud_resource_rows cluster
                where cluster.provider = 'digitalocean' and cluster.kind = s.owner_kind and cluster.provider_id = s.owner_provider_id
                  and coalesce(cluster.cloud_project_id::text, cluster.tenant_id) is not null))
        where s.listing = $1 and s.kind = $2 and s.id = any($4)
        returning name
        "#,
        listing,
        kind,
        context.at,
        new,
        sighting,
    )
    .fetch_all(&mut *tx)
    .await?;
    // Only rows that were just inserted have the id of their staged row. Null fields are not
    // recorded as changes.
    sqlx::query!(
        "insert into cloud_resource_events (resource_id, event, changes, occurred_at, workflow_id, run_id)
         select r.id, 'discovered',
             jsonb_build_object('name', jsonb_build_object('before', null, 'after', s.name),
                 'tags', jsonb_build_object('before', null, 'after', s.tags),
                 'attrs', jsonb_build_object('before', null, 'after', s.attrs))
             || case when s.region is null then '{}'
                 else jsonb_build_object('region', jsonb_build_object('before', null, 'after', s.region)) end
             || case when s.status is null then '{}'
                 else jsonb_build_object('status', jsonb_build_object('before', null, 'after', s.status)) end
             || case when s.relations is null then '{}'
                 else jsonb_build_object('relations', jsonb_build_object('before', null, 'after', s.relations)) end
             || case when r.cloud_project_id is null then '{}' else jsonb_build_object(
                 'cloud_project_id', jsonb_build_object('before', null, 'after', r.cloud_project_id)) end
             || case when r.tenant_id is null then '{}'
                 else jsonb_build_object('tenant_id', jsonb_build_object('before', null, 'after', r.tenant_id)) end
             || case when r.attribution is null then '{}'
                 else jsonb_build_object('attribution', jsonb_build_object('before', null, 'after', r.attribution)) end,
             $3, $4, $5
         from cloud_staged_resources s
         join cloud_resource_rows r on r.id = s.id
         where s.listing = $1 and s.kind = $2",
        listing,
        kind,
        context.at,
        context.run.workflow_id,
        context.run.run_id,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into cloud_resource_relations (stated_by, relation, direction, other_kind, other_provider_id, is_owner)
         select s.id, o.relation, o.direction, o.kind, o.provider_id,
             o.direction = 'to_other' and (o.relation, o.kind, o.provider_id)
                 is not distinct from (s.owner_relation, s.owner_kind, s.owner_provider_id)
         from cloud_staged_resources s
         cross join lateral jsonb_to_recordset(s.relations)
             as o (relation text, direction text, kind text, provider_id text)
         where s.listing = $1 and s.kind = $2 and s.relations is not null and s.id = any($3)",
        listing,
        kind,
        new,
    )
    .execute(&mut *tx)
    .await?;
    join_by_hashing(tx, 0).await?;
    Ok(names)
}

/// A stored row that differs from the observed resource, or that was marked as deleted.
pub(super) struct Differing {
    /// The id of the stored row.
    pub(super) id: Uuid,
    /// The id of the staged row.
    pub(super) staged: Uuid,
}

/// A stored row and the observed resource.
pub(super) struct BeforeAndAfter {
    pub(super) id: Uuid,
    pub(super) staged: Uuid,
    pub(super) before: Fields,
    pub(super) deleted_at: Option<Value>,
    pub(super) after: Fields,
}

pub(super) async fn before_and_after(
    tx: &mut PgConnection,
    context: SweepContext<'_>,
    differing: &[Differing],
) -> Result<Vec<BeforeAndAfter>, StoreError> {
    let ids: Vec<Uuid> = differing.iter().map(|row| row.id).collect();
    let staged: Vec<Uuid> = differing.iter().map(|row| row.staged).collect();
    let rows = sqlx::query!(
        r#"
        select r.id, s.id as "staged!", r.name, r.region, r.status, r.tags, r.attrs, r.deleted_at,
            (select jsonb_agg(jsonb_build_object('relation', o.relation, 'direction', o.direction, 'kind', o.other_kind,
                     'provider_id', o.other_provider_id)
                 order by o.relation collate "C", o.direction collate "C", o.other_kind collate "C",
                     o.other_provider_id collate "C")
             from cloud_resource_relations o where o.stated_by = r.id) as relations,
            s.name as "name_seen!", s.region as region_seen, s.status as status_seen, s.tags as "tags_seen!", s.attrs as "attrs_seen!",
            s.relations as relations_seen
        from unnest($1::uuid[], $2::uuid[]) as differing (id, staged)
        join cloud_resource_rows r on r.id = differing.id
        cross join lateral (
            select * from cloud_staged_resources s where s.listing = $3 and s.id = differing.staged limit 1
        ) s
        "#,
        &ids,
        &staged,
        context.seen.listing(),
    )
    .fetch_all(&mut *tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| BeforeAndAfter {
            id: row.id,
            staged: row.staged,
            before: Fields {
                name: row.name,
                region: row.region,
                status: row.status,
                tags: row.tags,
                attrs: row.attrs,
                relations: row.relations.unwrap_or_default(),
            },
            deleted_at: row
                .deleted_at
                .map(|at| json!(at.to_rfc3339_opts(SecondsFormat::Micros, true))),
            after: Fields {
                name: row.name_seen,
                region: row.region_seen,
                status: row.status_seen,
                tags: row.tags_seen,
                attrs: row.attrs_seen,
                relations: row.relations_seen.unwrap_or_default(),
            },
        })
        .collect())
}

/// Updates the stored rows to the staged data, and resets strikes and deletions. `sighting` is that
/// of restored rows.
pub(super) async fn update(
    tx: &mut PgConnection,
    context: SweepContext<'_>,
    differing: &[Differing],
    sighting: Option<i64>,
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = differing.iter().map(|row| row.id).collect();
    let staged: Vec<Uuid> = differing.iter().map(|row| row.staged).collect();
    sqlx::query!(
        "update cloud_resource_rows r set
             name = s.name,
             region = s.region,
             status = s.status,
             tags = s.tags,
             attrs = s.attrs,
             fingerprint = s.fingerprint,
             body_project_id = s.body_project_id,
             sighting_id = coalesce(r.sighting_id, $4),
             seen_before_deletion_at = null,
             stale_strike_count = 0,
             last_struck_at = null,
             deleted_at = null
         from unnest($1::uuid[], $2::uuid[]) as differing (id, staged)
         cross join lateral (
             select * from cloud_staged_resources s where s.listing = $3 and s.id = differing.staged limit 1
         ) s
         where r.id = differing.id",
        &ids,
        &staged,
        context.seen.listing(),
        sighting,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Replaces the relations that these resources state.
pub(super) async fn rewrite_relations(
    tx: &mut PgConnection,
    context: SweepContext<'_>,
    stating: &[Differing],
) -> Result<(), StoreError> {
    if stating.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = stating.iter().map(|row| row.id).collect();
    let staged: Vec<Uuid> = stating.iter().map(|row| row.staged).collect();
    sqlx::query!(
        "delete from cloud_resource_relations where stated_by = any($1)",
        &ids,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into cloud_resource_relations (stated_by, relation, direction, other_kind, other_provider_id, is_owner)
         select stating.id, o.relation, o.direction, o.kind, o.provider_id,
             o.direction = 'to_other' and (o.relation, o.kind, o.provider_id)
                 is not distinct from (s.owner_relation, s.owner_kind, s.owner_provider_id)
         from unnest($1::uuid[], $2::uuid[]) as stating (id, staged)
         cross join lateral (
             select * from cloud_staged_resources s where s.listing = $3 and s.id = stating.staged limit 1
         ) s
         cross join lateral jsonb_to_recordset(s.relations)
             as o (relation text, direction text, kind text, provider_id text)",
        &ids,
        &staged,
        context.seen.listing(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn write_events(
    tx: &mut PgConnection,
    context: SweepContext<'_>,
    changes: Vec<(Uuid, Change)>,
) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = changes.iter().map(|(id, _)| *id).collect();
    let events: Vec<&str> = changes.iter().map(|(_, change)| change.event).collect();
    let changes: Vec<Value> = changes
        .into_iter()
        .map(|(_, change)| Value::Object(change.changes))
        .collect();
    sqlx::query!(
        "insert into cloud_resource_events (resource_id, event, changes, occurred_at, workflow_id, run_id)
         select id, event, changes, $4, $5, $6 from unnest($1::uuid[], $2::text[], $3::jsonb[]) as noted (id, event, changes)",
        &ids,
        &events as &[&str],
        &changes,
        context.at,
        context.run.workflow_id,
        context.run.run_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A resource that was marked as deleted.
pub(super) struct DeletedResource {
    pub(super) id: Uuid,
    pub(super) name: String,
}

/// Deletes the staged rows of this kind.
pub(super) async fn unstage(
    tx: &mut PgConnection,
    context: SweepContext<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from cloud_staged_resources where listing = $1 and kind = $2",
        context.seen.listing(),
        context.kind.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(())
}
