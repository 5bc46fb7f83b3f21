//! Overrides: tenants and projects that operators set for single resources.

use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::attribution::{self, Lines, Scope};
use super::{Resource, query_resources};
use crate::audit::{self, Act, Action, Object, ObjectType};
use crate::costs::effect::{Effect, Measured};
use crate::invoices::{line_attribution, matching};
use crate::listings::now;
use crate::locks::{self, Lock};
use crate::reallocations::Affected;
use crate::{Actor, Store, StoreError};

/// The current override of a resource. It takes precedence over DigitalOcean's data, and no sync
/// changes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Pin))]
pub struct ResourceOverride {
    pub tenant_id: Option<String>,
    /// The time from which the tenant applies.
    pub tenant_since: Option<DateTime<Utc>>,
    pub cloud_project_id: Option<Uuid>,
    /// The time from which the project applies.
    pub project_since: Option<DateTime<Utc>>,
    /// The `id` of the last project at DigitalOcean that contradicts the override.
    pub contradicted_by: Option<Uuid>,
    /// The name of the access token of the last change.
    #[serde(rename = "pinned_by")]
    pub set_by: String,
    #[serde(rename = "pinned_at")]
    pub set_at: DateTime<Utc>,
}

/// A tenant or a project that an override sets for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverrideInterval {
    pub tenant_id: Option<String>,
    pub cloud_project_id: Option<Uuid>,
    pub valid_from: DateTime<Utc>,
    /// `None` if it has no end.
    pub valid_to: Option<DateTime<Utc>>,
}

/// A change of an override. An outer `None` leaves the field unchanged.
///
/// A value applies from `since` on, or from now on, and replaces later values. An inner `None` ends
/// the value at `since`; without `since` it deletes all values, and costs are recomputed as if it
/// had never been set.
#[derive(Debug, Clone, Default)]
pub struct OverrideChange {
    pub tenant_id: Option<Option<TenantId>>,
    pub cloud_project_id: Option<Option<Uuid>>,
    /// Not in the future: a later time counts as now, because the clocks of API and database
    /// differ.
    pub since: Option<DateTime<Utc>>,
}

impl OverrideChange {
    /// Returns the time from which values change; `None` for all time.
    fn affects_from(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let deletes_all =
            matches!(self.tenant_id, Some(None)) || matches!(self.cloud_project_id, Some(None));
        self.since.or((!deletes_all).then_some(at))
    }
}

/// Whether to commit a change or only to measure its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    Keep,
    /// The transaction is rolled back.
    DryRun,
}

/// A tenant or a project of an override.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Tenant(Option<&'a str>),
    Project(Option<Uuid>),
}

impl Store {
    /// Returns the current override of a resource.
    pub async fn resource_override(
        &self,
        resource: Uuid,
    ) -> Result<Option<ResourceOverride>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        in_force(&mut connection, resource).await
    }

    /// Lists the values of the overrides of a resource over time, by their start.
    pub async fn override_intervals(
        &self,
        resource: Uuid,
    ) -> Result<Vec<OverrideInterval>, StoreError> {
        let intervals = sqlx::query_as!(
            OverrideInterval,
            "select tenant_id, cloud_project_id, valid_from, valid_to
             from cloud_resource_overrides where resource_id = $1 order by valid_from",
            resource,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(intervals)
    }

    /// Changes the override of a resource, and returns the costs that the change moves between
    /// tenants. Dependent resources follow in the same transaction, and their cost lines too if
    /// they are few; otherwise the workflow `Reallocate` updates them ([`Measured::reallocation`]).
    /// A dry run changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is no such resource or no such live project.
    pub async fn change_override(
        &self,
        resource: Uuid,
        change: &OverrideChange,
        actor: &Actor,
        commit: Commit,
    ) -> Result<Measured, StoreError> {
        let changed_by = actor.name();
        let mut tx = self.pool.begin().await?;
        locks::acquire(&mut tx, Lock::Inventory).await?;
        let at = now(&mut tx).await?;
        let change = &OverrideChange {
            since: change.since.map(|since| since.min(at)),
            ..change.clone()
        };
        let name = must_exist(&mut tx, resource, change).await?;
        let state_before = audited(&mut tx, resource).await?;
        let parts = with_parts(&mut tx, resource).await?;
        let affected = Affected::of_resources(&parts).since(change.affects_from(at));
        if commit == Commit::DryRun || !line_attribution::are_many(&mut tx, affected).await? {
            locks::acquire(&mut tx, Lock::CostLines).await?;
        }
        let before = Effect::start(&mut tx).await?;
        apply(&mut tx, resource, &parts, change, changed_by, at).await?;
        if commit == Commit::Keep {
            let measured = match line_attribution::reallocate(&mut tx, affected).await? {
                Some(left) => Measured::left(left),
                None => Measured::of(before.until_now(&mut tx).await?),
            };
            let state_after = audited(&mut tx, resource).await?;
            let object = Object::new(ObjectType::Resource, &resource).named(name);
            let act = Act::new(Action::ResourceOverrideChanged, object);
            let act = act.leaving(measured.reallocation);
            audit::commit(tx, actor, act.before(state_before).after(state_after)).await?;
            return Ok(measured);
        }
        let moves = line_attribution::measure(&mut tx, affected).await?;
        let mut measured = Measured::of(before.with(&mut tx, &moves).await?);
        let sets = matches!(change.tenant_id, Some(Some(_)))
            || matches!(change.cloud_project_id, Some(Some(_)));
        if sets && change.since.is_none() {
            let first = first_charge(&mut tx, &parts).await?;
            if let Some(since) = first.filter(|first| *first < at) {
                let change = OverrideChange {
                    since: Some(since),
                    ..change.clone()
                };
                apply(&mut tx, resource, &parts, &change, changed_by, at).await?;
                let affected = affected.since(change.affects_from(at));
                let moves = line_attribution::measure(&mut tx, affected).await?;
                measured.with_since = Some((since, before.with(&mut tx, &moves).await?));
            }
        }
        tx.rollback().await?;
        Ok(measured)
    }

    /// Lists live DNS zones without project and tenant, which an operator has to assign.
    pub async fn unclassified_zones(
        &self,
        after: Option<(&str, Uuid)>,
        limit: i64,
    ) -> Result<Vec<Resource>, StoreError> {
        let zones = query_resources!(
            from "cloud_resources
             where kind = 'dns_zone' and deleted_at is null and cloud_project_id is null and tenant_id is null
               and ($1::text is null or (name, id) > ($1, $2))
             order by name, id limit $3",
            after.map(|(name, _)| name),
            after.map(|(_, id)| id),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(zones)
    }
}

/// Returns all overrides of a resource, for the audit.
async fn audited(tx: &mut PgConnection, resource: Uuid) -> Result<serde_json::Value, StoreError> {
    #[derive(Serialize)]
    struct Interval {
        tenant_id: Option<String>,
        cloud_project_id: Option<Uuid>,
        valid_from: DateTime<Utc>,
        valid_to: Option<DateTime<Utc>>,
        set_by: String,
        set_at: DateTime<Utc>,
    }
    #[derive(Serialize)]
    struct Overrides {
        overrides: Vec<Interval>,
    }
    let overrides = sqlx::query_as!(
        Interval,
        "select tenant_id, cloud_project_id, valid_from, valid_to, set_by, set_at
         from cloud_resource_overrides where resource_id = $1 order by tenant_id is null, valid_from desc",
        resource,
    )
    .fetch_all(tx)
    .await?;
    audit::state(&Overrides { overrides })
}

/// Fails unless the resource and the live project of the change exist. Returns the name of the
/// resource.
async fn must_exist(
    tx: &mut PgConnection,
    resource: Uuid,
    change: &OverrideChange,
) -> Result<String, StoreError> {
    let name = sqlx::query_scalar!(
        "select name from cloud_resource_rows where id = $1",
        resource
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(StoreError::NotFound {
        entity: "resource",
        id: resource,
    })?;
    let Some(Some(project)) = change.cloud_project_id else {
        return Ok(name);
    };
    let is_live = sqlx::query_scalar!(
        r#"select exists (select 1 from cloud_project_rows where id = $1 and deleted_at is null) as "exists!""#,
        project
    )
    .fetch_one(tx)
    .await?;
    if is_live {
        Ok(name)
    } else {
        Err(StoreError::NotFound {
            entity: "live project",
            id: project,
        })
    }
}

/// Returns the resource and all resources below it in the tree of parents.
async fn with_parts(tx: &mut PgConnection, resource: Uuid) -> Result<Vec<Uuid>, StoreError> {
    let parts = sqlx::query_scalar!(
        r#"with recursive part as (
               select $1::uuid as id
               union
               select r.id from part join cloud_resources r on r.parent_id = part.id
           )
           select id as "id!" from part"#,
        resource
    )
    .fetch_all(tx)
    .await?;
    Ok(parts)
}

/// Returns the start of the earliest charge for these resources.
async fn first_charge(
    tx: &mut PgConnection,
    resources: &[Uuid],
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let first = sqlx::query_scalar!(
        "select min(coalesce(start_at, bill_period::timestamp at time zone 'UTC')) from cloud_cost_lines where resource_id = any($1)",
        resources
    )
    .fetch_one(tx)
    .await?;
    Ok(first)
}

/// Stores the change, and attributes the resource and its parts. The caller reallocates the lines.
async fn apply(
    tx: &mut PgConnection,
    resource: Uuid,
    parts: &[Uuid],
    change: &OverrideChange,
    changed_by: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let before = in_force(tx, resource).await?;
    if let Some(tenant) = &change.tenant_id {
        let value = Value::Tenant(tenant.as_ref().map(TenantId::as_str));
        change_part(tx, resource, value, change.since, changed_by, at).await?;
    }
    if let Some(project) = change.cloud_project_id {
        let value = Value::Project(project);
        change_part(tx, resource, value, change.since, changed_by, at).await?;
    }
    let after = in_force(tx, resource).await?;
    if before != after {
        record(
            tx,
            resource,
            before.as_ref(),
            after.as_ref(),
            changed_by,
            at,
        )
        .await?;
    }
    matching::set_cause(tx, "operator", Some(changed_by), None).await?;
    let scope = Scope::Of(parts);
    attribution::attribute(tx, scope, Lines::OfTheCaller, None, at).await?;
    Ok(())
}

/// Changes the tenant or the project of an override. See [`OverrideChange`].
async fn change_part(
    tx: &mut PgConnection,
    resource: Uuid,
    value: Value<'_>,
    since: Option<DateTime<Utc>>,
    set_by: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (is_tenant, tenant, project) = match value {
        Value::Tenant(tenant) => (true, tenant, None),
        Value::Project(project) => (false, None, project),
    };
    let sets = tenant.is_some() || project.is_some();
    if sets && since.is_none() {
        let is_in_force = sqlx::query_scalar!(
            r#"select exists (
                   select from cloud_resource_overrides
                   where resource_id = $1 and valid_to is null and (tenant_id = $2 or cloud_project_id = $3)
               ) as "exists!""#,
            resource,
            tenant,
            project,
        )
        .fetch_one(&mut *tx)
        .await?;
        if is_in_force {
            return Ok(());
        }
    }
    let from = since.or(sets.then_some(at));
    sqlx::query!(
        "delete from cloud_resource_overrides
         where resource_id = $1 and (tenant_id is not null) = $2 and ($3::timestamptz is null or valid_from >= $3)",
        resource,
        is_tenant,
        from,
    )
    .execute(&mut *tx)
    .await?;
    let Some(from) = from else {
        return Ok(());
    };
    sqlx::query!(
        "update cloud_resource_overrides set valid_to = $3
         where resource_id = $1 and (tenant_id is not null) = $2 and coalesce(valid_to > $3, true)",
        resource,
        is_tenant,
        from,
    )
    .execute(&mut *tx)
    .await?;
    if sets {
        sqlx::query!(
            "insert into cloud_resource_overrides (resource_id, tenant_id, cloud_project_id, valid_from, set_by, set_at)
             values ($1, $2, $3, $4, $5, $6)",
            resource,
            tenant,
            project,
            from,
            set_by,
            at,
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}

async fn in_force(
    connection: &mut PgConnection,
    resource: Uuid,
) -> Result<Option<ResourceOverride>, StoreError> {
    let parts = sqlx::query!(
        "select tenant_id, cloud_project_id, valid_from, contradicted_by, set_by, set_at
         from cloud_resource_overrides where resource_id = $1 and valid_to is null order by set_at",
        resource,
    )
    .fetch_all(connection)
    .await?;
    let mut found: Option<ResourceOverride> = None;
    for part in parts {
        let whole = found.get_or_insert_default();
        if part.tenant_id.is_some() {
            whole.tenant_id = part.tenant_id;
            whole.tenant_since = Some(part.valid_from);
        } else {
            whole.cloud_project_id = part.cloud_project_id;
            whole.project_since = Some(part.valid_from);
        }
        whole.contradicted_by = part.contradicted_by.or(whole.contradicted_by);
        whole.set_by = part.set_by;
        whole.set_at = part.set_at;
    }
    Ok(found)
}

/// Records the change as an event, even if project and tenant of the resource stay the same.
async fn record(
    tx: &mut PgConnection,
    resource: Uuid,
    before: Option<&ResourceOverride>,
    after: Option<&ResourceOverride>,
    changed_by: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let state = |of: Option<&ResourceOverride>| {
        of.map(|of| {
            serde_json::json!({
                "tenant_id": of.tenant_id,
                "tenant_since": of.tenant_since,
                "cloud_project_id": of.cloud_project_id,
                "project_since": of.project_since,
            })
        })
    };
    sqlx::query!(
        "insert into cloud_resource_events (resource_id, event, changes, occurred_at)
         values ($1, 'updated', jsonb_build_object('override', jsonb_build_object('before', $2::jsonb, 'after', $3::jsonb, 'by', $4::text)), $5)",
        resource,
        state(before),
        state(after),
        changed_by,
        at,
    )
    .execute(tx)
    .await?;
    Ok(())
}
