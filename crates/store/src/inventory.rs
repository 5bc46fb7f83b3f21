//! Resources and their events.

pub(crate) mod attribution;
mod changes;
pub(crate) mod counts;
pub(crate) mod held_deletions;
mod history;
pub(crate) mod intervals;
mod observed;
mod overrides;
mod pages;
mod relations;
mod resumed;
mod rows;
mod seen;
mod strikes;
pub(crate) mod sweep;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

pub use crate::listings::{Guard, ListingFacts, Rules, Shortfall};
pub use held_deletions::{Decision, HeldDeletion, HeldResource};
pub use history::PastState;
pub use intervals::{Membership, Tenancy};
pub use observed::{Fingerprinted, Observations, Withheld};
pub use overrides::{Commit, OverrideChange, OverrideInterval, ResourceOverride};

pub use relations::Related;

use crate::{Store, StoreError};

/// Queries [`Resource`] from `cloud_resources` or from a table with the same columns. The only list
/// of these columns. A `with` clause may precede the `select`.
macro_rules! query_resources {
    (with $with:tt, from $rest:tt $($arguments:tt)*) => {
        sqlx::query_as!(
            Resource,
            $with
                + r#" select id as "id!", provider as "provider!", kind as "kind!",
                provider_id as "provider_id!", name as "name!", region, status, tags as "tags!",
                attrs as "attrs!", cloud_project_id, tenant_id, attribution,
                first_seen_at as "first_seen_at!", last_seen_at as "last_seen_at!",
                stale_strike_count as "stale_strike_count!", deleted_at from "#
                + $rest
            $($arguments)*
        )
    };
    (from $rest:tt $($arguments:tt)*) => {
        query_resources!(with "", from $rest $($arguments)*)
    };
}
use query_resources;

/// Counts resources by kind.
macro_rules! query_counts {
    (with $with:tt, from $rest:tt $($arguments:tt)*) => {
        sqlx::query_as!(
            KindCount,
            $with + r#" select kind as "kind!", count(*) as "resources!" from "# + $rest
            $($arguments)*
        )
    };
}
use query_counts;

/// Passes the rest of a query and a filter to a macro, with the resources that the filter (`$1` to
/// `$7`) selects, as the table `listed` of their kinds, names and ids. Reads an index only, if
/// [`Store::snapshot`] plans it for its filter.
macro_rules! with_listed {
    ($query:ident of $filter:ident, from $rest:tt $(, $more:expr)* $(,)?) => {
        $query!(
            with r#"
            with listed as not materialized (
                select r.kind, r.name, r.id from cloud_resource_rows r
                left join cloud_resource_rows long on long.id = r.id and long.search_text is null
                cross join lateral (
                    select coalesce(r.search_text, resource_search_text(long.name, long.provider_id, long.tags)) as text
                ) searched
                where ($1::text is null or r.kind = $1)
                  and ($2::uuid is null or r.cloud_project_id = $2)
                  and ($3::text is null or r.tenant_id = $3)
                  and ($4::bool is null or (r.deleted_at is not null) = $4)
                  and ($5::text is null or strpos(searched.text, lower(translate($5, E'\n\t', '  '))) > 0)
                  and ($6::text is null or r.region = $6)
                  and ($7::text is null or strpos(searched.text, E'\n\t' || lower($7) || E'\n') > 0)
            )
            "#,
            from $rest,
            $filter.kind,
            $filter.project,
            $filter.tenant,
            $filter.state.wants_deleted(),
            $filter.text,
            $filter.region,
            $filter.tag
            $(, $more)*
        )
    };
}
use with_listed;

/// The changes that a sync of one kind stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepOutcome {
    pub seen: usize,
    pub discovered: usize,
    /// Changes other than of tags alone.
    pub updated: usize,
    pub tagged: usize,
    pub restored: usize,
    /// Missing from this complete listing, with fewer than three strikes.
    pub struck: usize,
    pub deleted: usize,
    /// Moved to another project.
    pub moved: usize,
    /// The deletions of this kind that await an operator's decision.
    pub held: Option<HeldDeletion>,
}

/// A resource of the account, live or deleted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Resource {
    pub id: Uuid,
    pub provider: String,
    #[cfg_attr(feature = "openapi", schema(example = "droplet"))]
    pub kind: String,
    /// The id at DigitalOcean: a number, a UUID, a name or an address, depending on the kind.
    pub provider_id: String,
    pub name: String,
    pub region: Option<String>,
    pub status: Option<String>,
    pub tags: Vec<String>,
    /// The body of the resource at DigitalOcean, without secrets. For a tenant, also without
    /// references to other resources; the tenant's relations include those to its own resources.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub attrs: Value,
    pub cloud_project_id: Option<Uuid>,
    /// The tenant that the resource is attributed to; null if unassigned.
    pub tenant_id: Option<String>,
    /// The source of the attribution: `operator`, `membership`, `body`, `parent` or `fallback`.
    pub attribution: Option<String>,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    /// The number of consecutive complete listings without this resource. The third marks it as
    /// deleted.
    pub stale_strike_count: i32,
    /// When the resource was marked as deleted; null while it is live.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// A change of a resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Event))]
pub struct ResourceEvent {
    pub id: i64,
    pub resource_id: Uuid,
    /// `discovered`, `updated`, `deleted`, `drift_detected`, `tagged` or `restored`.
    pub event: String,
    /// `{"field": {"before": ..., "after": ...}}`
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub changes: Value,
    pub occurred_at: DateTime<Utc>,
    /// The Temporal workflow that observed the change; null for a change by an operator.
    pub workflow_id: Option<String>,
    pub run_id: Option<String>,
}

/// A filter by deletion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum State {
    #[default]
    Live,
    Deleted,
    All,
}

/// A filter of resources. `None` in a field does not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ResourceFilter {
    pub kind: Option<String>,
    pub project: Option<Uuid>,
    pub tenant: Option<String>,
    pub state: State,
    /// The slug of the region.
    pub region: Option<String>,
    /// A tag; case-insensitive, as at DigitalOcean.
    pub tag: Option<String>,
    /// A part of the name, of DigitalOcean's id or of a tag; case-insensitive.
    pub text: Option<String>,
}

impl State {
    /// Returns true for deleted resources only, false for live ones only, `None` for both.
    fn wants_deleted(self) -> Option<bool> {
        match self {
            Self::Live => Some(false),
            Self::Deleted => Some(true),
            Self::All => None,
        }
    }
}

/// The number of resources of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KindCount {
    #[cfg_attr(feature = "openapi", schema(example = "droplet"))]
    pub kind: String,
    pub resources: i64,
}

/// The cursor of a page of resources: kind, name and id of its last resource.
#[derive(Debug, Clone)]
pub struct AfterResource {
    pub kind: String,
    pub name: String,
    pub id: Uuid,
}

impl Store {
    /// Lists resources, ordered by kind, name and id.
    pub async fn resources(
        &self,
        filter: &ResourceFilter,
        after: Option<&AfterResource>,
        limit: i64,
    ) -> Result<Vec<Resource>, StoreError> {
        let mut tx = self.snapshot().await?;
        let resources = with_listed!(query_resources of filter,
            from r#"cloud_resources where id in (
                select id from listed
                where $8::text is null or (kind >= $8 and (kind, name, id) > ($8, $9, $10))
                order by kind, name, id limit $11
            ) order by kind, name, id"#,
            after.map(|after| after.kind.as_str()),
            after.map(|after| after.name.as_str()),
            after.map(|after| after.id),
            limit,
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(resources)
    }

    /// Returns the number of recorded renames since a time. Readers of several pages compare it: a
    /// renamed resource moves to another place in the order of [`Store::resources`].
    pub async fn renames_since(&self, time: DateTime<Utc>) -> Result<i64, StoreError> {
        let renames = sqlx::query_scalar!(
            r#"select count(*) as "count!" from cloud_resource_events
               where occurred_at >= $1 and event in ('updated', 'restored') and changes ? 'name'"#,
            time,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(renames)
    }

    /// Returns a resource; with `tenant`, only if it is attributed to that tenant.
    pub async fn resource(&self, id: Uuid, tenant: Option<&str>) -> Result<Resource, StoreError> {
        query_resources!(
            from "cloud_resources where id = $1 and ($2::text is null or tenant_id = $2)",
            id,
            tenant,
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(StoreError::NotFound {
            entity: "resource",
            id,
        })
    }

    /// Lists the events of a resource since [`Store::history_start`], latest first.
    pub async fn resource_events(
        &self,
        resource: Uuid,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<ResourceEvent>, StoreError> {
        let events = sqlx::query_as!(
            ResourceEvent,
            "select id, resource_id, event, changes, occurred_at, workflow_id, run_id from cloud_resource_events
             where resource_id = $1 and ($2::bigint is null or id < $2)
               and occurred_at >= coalesce(
                   (select starts_at from history_floors where table_name = 'cloud_resource_events'), '-infinity')
             order by id desc limit $3",
            resource,
            before,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(events)
    }
}
