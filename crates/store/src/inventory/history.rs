//! Past states of resources, reconstructed by undoing later events.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    AfterResource, KindCount, Resource, ResourceEvent, ResourceFilter, State, query_resources,
};
use crate::{Store, StoreError};

/// Passes the rest of a query to a macro, with the states of resources at the time `$8` as the
/// table `state`. `$9` is the id of a resource or null; `$1` and `$3` limit kind and tenant.
///
/// The first change of a field after `at` contains its value at `at`. The tenant at `at` is
/// known only after undoing all events. The current tenant and the previous tenants in later
/// events limit the rows before that.
macro_rules! with_states {
    ($query:ident, $($rest:tt)*) => {
        $query!(
            with r#"
            with undone as (
                select distinct on (e.resource_id, c.key) e.resource_id, c.key as field, c.value -> 'before' as value
                from cloud_resource_events e
                cross join lateral jsonb_each(e.changes) c
                where e.occurred_at > $8 and e.event <> 'discovered' and ($9::uuid is null or e.resource_id = $9)
                  and ($1::text is null or e.resource_id in (select r.id from cloud_resources r where r.kind = $1))
                  and ($3::text is null or e.resource_id in (
                      select r.id from cloud_resources r where r.tenant_id = $3
                      union all
                      select t.resource_id from cloud_resource_events t
                      where t.occurred_at > $8 and ($9::uuid is null or t.resource_id = $9)
                        and t.changes #>> '{tenant_id,before}' = $3))
                order by e.resource_id, c.key, e.id
            ), undo as (
                select resource_id, jsonb_object_agg(field, value) as was,
                    array_agg(substr(field, 7)) filter (where field like 'attrs.%') as attrs_touched,
                    coalesce(jsonb_object_agg(substr(field, 7), value)
                        filter (where field like 'attrs.%' and value <> 'null'), '{}') as attrs_were
                from undone group by resource_id
            ), state as (
                select r.id, r.provider, r.kind, r.provider_id,
                    case when undo.was ? 'name' then undo.was ->> 'name' else r.name end as name,
                    case when undo.was ? 'region' then undo.was ->> 'region' else r.region end as region,
                    case when undo.was ? 'status' then undo.was ->> 'status' else r.status end as status,
                    case when undo.was ? 'tags' then array(select jsonb_array_elements_text(undo.was -> 'tags'))
                        else r.tags end as tags,
                    case when undo.resource_id is null then r.attrs
                        else (r.attrs - coalesce(undo.attrs_touched, '{}')) || undo.attrs_were end as attrs,
                    case when undo.was ? 'cloud_project_id' then (undo.was ->> 'cloud_project_id')::uuid
                        else r.cloud_project_id end as cloud_project_id,
                    case when undo.was ? 'tenant_id' then undo.was ->> 'tenant_id' else r.tenant_id end as tenant_id,
                    case when undo.was ? 'attribution' then undo.was ->> 'attribution' else r.attribution end as attribution,
                    r.first_seen_at, least(r.last_seen_at, $8) as last_seen_at, 0 as stale_strike_count,
                    case when undo.was ? 'deleted_at' then (undo.was ->> 'deleted_at')::timestamptz
                        else r.deleted_at end as deleted_at
                from cloud_resources r
                left join undo on undo.resource_id = r.id
                where r.first_seen_at <= $8 and ($9::uuid is null or r.id = $9) and ($1::text is null or r.kind = $1)
            )
            "#,
            $($rest)*
        )
    };
}

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

impl Store {
    /// Lists resources by kind and name in their state at `at`, as observed by then. The filter
    /// applies to that state.
    ///
    /// Past values of `last_seen_at` and of strikes are not stored: `last_seen_at` is capped at
    /// `at`, and strikes are 0.
    pub async fn resources_as_of(
        &self,
        at: DateTime<Utc>,
        filter: &ResourceFilter,
        after: Option<&AfterResource>,
        limit: i64,
    ) -> Result<Vec<Resource>, StoreError> {
        self.states_at(at, None, filter, after, limit).await
    }

    /// Counts the resources of each kind in their state at `at`. See [`Store::resource_counts`].
    pub async fn resource_counts_as_of(
        &self,
        at: DateTime<Utc>,
        filter: &ResourceFilter,
    ) -> Result<Vec<KindCount>, StoreError> {
        let counts = with_states!(query_counts,
            from r#"state
            where ($2::uuid is null or cloud_project_id = $2)
              and ($3::text is null or tenant_id = $3)
              and ($4::bool is null or (deleted_at is not null) = $4)
              and ($5::text is null
                   or strpos(lower(name), lower($5)) > 0
                   or strpos(lower(provider_id), lower($5)) > 0
                   or exists (select 1 from unnest(tags) tag where strpos(lower(tag), lower($5)) > 0))
              and ($6::text is null or region = $6)
              and ($7::text is null or exists (select 1 from unnest(tags) tag where lower(tag) = lower($7)))
            group by kind order by kind
            "#,
            filter.kind,
            filter.project,
            filter.tenant,
            filter.state.wants_deleted(),
            filter.text,
            filter.region,
            filter.tag,
            at,
            None::<Uuid>,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(counts)
    }

    /// Returns a resource in its state at `at`; with `tenant`, only if it was attributed to that
    /// tenant then.
    pub async fn resource_as_of(
        &self,
        at: DateTime<Utc>,
        id: Uuid,
        tenant: Option<&str>,
    ) -> Result<Resource, StoreError> {
        let filter = ResourceFilter {
            tenant: tenant.map(str::to_owned),
            state: State::All,
            ..ResourceFilter::default()
        };
        let mut found = self.states_at(at, Some(id), &filter, None, 1).await?;
        found.pop().ok_or(StoreError::NotFound {
            entity: "resource at that time",
            id,
        })
    }

    async fn states_at(
        &self,
        at: DateTime<Utc>,
        id: Option<Uuid>,
        filter: &ResourceFilter,
        after: Option<&AfterResource>,
        limit: i64,
    ) -> Result<Vec<Resource>, StoreError> {
        let resources = with_states!(query_resources,
            from r#"state
            where ($2::uuid is null or cloud_project_id = $2)
              and ($3::text is null or tenant_id = $3)
              and ($4::bool is null or (deleted_at is not null) = $4)
              and ($5::text is null
                   or strpos(lower(name), lower($5)) > 0
                   or strpos(lower(provider_id), lower($5)) > 0
                   or exists (select 1 from unnest(tags) tag where strpos(lower(tag), lower($5)) > 0))
              and ($6::text is null or region = $6)
              and ($7::text is null or exists (select 1 from unnest(tags) tag where lower(tag) = lower($7)))
              and ($10::text is null or (kind, name, id) > ($10, $11, $12))
            order by kind, name, id limit $13
            "#,
            filter.kind,
            filter.project,
            filter.tenant,
            filter.state.wants_deleted(),
            filter.text,
            filter.region,
            filter.tag,
            at,
            id,
            after.map(|after| after.kind.as_str()),
            after.map(|after| after.name.as_str()),
            after.map(|after| after.id),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(resources)
    }

    /// Lists the states of a resource, latest first; with `tenant`, only those attributed to that
    /// tenant. With `before`, only states that began before that event.
    pub async fn timeline(
        &self,
        resource: &Resource,
        tenant: Option<&str>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<PastState>, StoreError> {
        let mut state = resource.clone();
        let mut valid_to = None;
        let mut timeline = Vec::new();
        let mut cursor = None;
        let limit = usize::try_from(limit).unwrap_or_default();
        loop {
            let events = self
                .resource_events(resource.id, cursor, EVENTS_PER_QUERY)
                .await?;
            let Some(last) = events.last() else {
                return Ok(timeline);
            };
            cursor = Some(last.id);
            for event in events {
                let is_visible = tenant.is_none() || state.tenant_id.as_deref() == tenant;
                if is_visible && before.is_none_or(|before| event.id < before) {
                    timeline.push(PastState {
                        event: event.clone(),
                        resource: state.clone(),
                        valid_to,
                    });
                    if timeline.len() == limit {
                        return Ok(timeline);
                    }
                }
                undo(&mut state, &event);
                valid_to = Some(event.occurred_at);
            }
        }
    }
}

/// The state of a resource between two events.
#[derive(Debug, Clone, PartialEq)]
pub struct PastState {
    /// The event with which the state began.
    pub event: ResourceEvent,
    pub resource: Resource,
    /// When the next event occurred; `None` for the current state.
    pub valid_to: Option<DateTime<Utc>>,
}

const EVENTS_PER_QUERY: i64 = 500;

/// Undoes an event.
fn undo(state: &mut Resource, event: &ResourceEvent) {
    let Value::Object(changes) = &event.changes else {
        return;
    };
    for (field, change) in changes {
        let before = change.get("before").cloned().unwrap_or_default();
        let text = before.as_str().map(str::to_owned);
        match field.as_str() {
            "name" => state.name = text.unwrap_or_default(),
            "region" => state.region = text,
            "status" => state.status = text,
            "tags" => state.tags = serde_json::from_value(before).unwrap_or_default(),
            "attrs" => state.attrs = before,
            "cloud_project_id" => {
                state.cloud_project_id = text.and_then(|id| id.parse().ok());
            }
            "tenant_id" => state.tenant_id = text,
            "attribution" => state.attribution = text,
            "deleted_at" => {
                state.deleted_at = text
                    .and_then(|at| DateTime::parse_from_rfc3339(&at).ok())
                    .map(|at| at.to_utc());
            }
            other => {
                if let Some(key) = other.strip_prefix("attrs.") {
                    if !state.attrs.is_object() {
                        state.attrs = Value::Object(Map::new());
                    }
                    if let Value::Object(attrs) = &mut state.attrs {
                        match before {
                            Value::Null => drop(attrs.remove(key)),
                            value => drop(attrs.insert(key.to_owned(), value)),
                        }
                    }
                }
            }
        }
    }
}
