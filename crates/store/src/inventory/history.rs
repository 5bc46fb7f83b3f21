//! Past states of resources, reconstructed by undoing later events.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    AfterResource, KindCount, Resource, ResourceEvent, ResourceFilter, query_counts,
    query_resources,
};
use crate::{Store, StoreError};

/// Passes the rest of a query to a macro, with the states at the time `$1` of the resources `$2` as
/// the table `state`.
///
/// The first change of a field after `at` contains its value at `at`.
macro_rules! with_states {
    ($query:ident, $($rest:tt)*) => {
        $query!(
            with r#"
            with undone as (
                select distinct on (e.resource_id, c.key) e.resource_id, c.key as field, c.value -> 'before' as value
                from cloud_resource_events e
                cross join lateral jsonb_each(e.changes) c
                where e.occurred_at > $1 and e.event <> 'discovered' and e.resource_id = any($2::uuid[])
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
                    r.first_seen_at, least(r.last_seen_at, $1) as last_seen_at, 0 as stale_strike_count,
                    case when undo.was ? 'deleted_at' then (undo.was ->> 'deleted_at')::timestamptz
                        else r.deleted_at end as deleted_at
                from cloud_resources r
                left join undo on undo.resource_id = r.id
                where r.first_seen_at <= $1 and r.id = any($2)
            )
            "#,
            $($rest)*
        )
    };
}

/// Passes the rest of a query and a filter to a macro, with the resources that the filter (`$1` to
/// `$7`) selects in their states at the time `$8`, as the table `listed` of their kinds, names and
/// ids. The name is read if the text or `$9` needs it; the other fields, if the filter has them.
///
/// Reads the past values of the filtered fields only. [`Store::snapshot_for_lists`] plans it.
macro_rules! with_past_list {
    ($query:ident of $filter:ident, from $rest:tt $(, $more:expr)* $(,)?) => {
        $query!(
            with r#"
            with listed as (
                select r.kind, case when name.resource_id is null then r.name else name.value end as name, r.id
                from cloud_resource_rows r
                left join (
                    select resource_id, value from cloud_resource_past_values
                    where ($9 or $5::text is not null) and field = 'name' and valid_from <= $8 and valid_to > $8
                ) name on name.resource_id = r.id
                left join (
                    select resource_id, value from cloud_resource_past_values
                    where $2::uuid is not null and field = 'cloud_project_id' and valid_from <= $8 and valid_to > $8
                ) project on project.resource_id = r.id
                left join (
                    select resource_id, value from cloud_resource_past_values
                    where $3::text is not null and field = 'tenant_id' and valid_from <= $8 and valid_to > $8
                ) tenant on tenant.resource_id = r.id
                left join (
                    select resource_id, value from cloud_resource_past_values
                    where $4::bool is not null and field = 'deleted_at' and valid_from <= $8 and valid_to > $8
                ) deletion on deletion.resource_id = r.id
                left join (
                    select resource_id, value from cloud_resource_past_values
                    where $6::text is not null and field = 'region' and valid_from <= $8 and valid_to > $8
                ) region on region.resource_id = r.id
                left join (
                    select resource_id, value from cloud_resource_past_values
                    where ($5::text is not null or $7::text is not null) and field = 'tags' and valid_from <= $8 and valid_to > $8
                ) tags on tags.resource_id = r.id
                left join cloud_resource_rows long on long.id = r.id and long.search_text is null
                cross join lateral (
                    select coalesce(r.search_text, resource_search_text(long.name, long.provider_id, long.tags)) as text
                ) searched
                where r.first_seen_at <= $8
                  and ($1::text is null or r.kind = $1)
                  and ($2::uuid is null or $2 = case when project.resource_id is null then r.cloud_project_id else project.value::uuid end)
                  and ($3::text is null or $3 = case when tenant.resource_id is null then r.tenant_id else tenant.value end)
                  and ($4::bool is null or $4 = case when deletion.resource_id is null then r.deleted_at is not null
                      else deletion.value is not null end)
                  and ($6::text is null or $6 = case when region.resource_id is null then r.region else region.value end)
                  and ($7::text is null or strpos(
                      E'\n' || case when tags.resource_id is null then searched.text else tags.value end,
                      E'\n\t' || lower($7) || E'\n') > 0)
                  and ($5::text is null or strpos(case when name.resource_id is null and tags.resource_id is null then searched.text else
                      case when name.resource_id is null then split_part(searched.text, E'\n', 1)
                          else lower(translate(name.value, E'\n\t', '  ')) end
                      || E'\n' || split_part(searched.text, E'\n', 2) || E'\n'
                      || case when tags.resource_id is null then substr(searched.text, strpos(searched.text, E'\n\t') + 1)
                          else tags.value end
                      end, lower(translate($5, E'\n\t', '  '))) > 0)
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

/// Selects the ids of resources.
macro_rules! query_ids {
    (with $with:tt, from $rest:tt $($arguments:tt)*) => {
        sqlx::query_scalar!($with + r#" select id as "id!" from "# + $rest $($arguments)*)
    };
}

/// Returns the states of these resources at `at`, ordered by kind, name and id.
async fn states_at(
    connection: &mut PgConnection,
    at: DateTime<Utc>,
    ids: &[Uuid],
) -> Result<Vec<Resource>, StoreError> {
    let resources = with_states!(query_resources, from "state order by kind, name, id", at, ids)
        .fetch_all(connection)
        .await?;
    Ok(resources)
}

impl Store {
    /// Returns the time before which past states cannot be reconstructed, because the older events
    /// were detached; `None` if none were.
    pub async fn history_start(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let start = sqlx::query_scalar!(
            "select starts_at from history_floors where table_name = 'cloud_resource_events'"
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(start)
    }

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
        let mut tx = self.snapshot_for_lists().await?;
        let page = with_past_list!(query_ids of filter,
            from "listed
            where $10::text is null or (kind >= $10 and (kind, name, id) > ($10, $11, $12))
            order by kind, name, id limit $13",
            at,
            true,
            after.map(|after| after.kind.as_str()),
            after.map(|after| after.name.as_str()),
            after.map(|after| after.id),
            limit,
        )
        .fetch_all(&mut *tx)
        .await?;
        let resources = states_at(&mut tx, at, &page).await?;
        tx.commit().await?;
        Ok(resources)
    }

    /// Counts the resources of each kind in their state at `at`. See [`Store::resource_counts`].
    pub async fn resource_counts_as_of(
        &self,
        at: DateTime<Utc>,
        filter: &ResourceFilter,
    ) -> Result<Vec<KindCount>, StoreError> {
        let mut tx = self.snapshot_for_lists().await?;
        let counts = with_past_list!(query_counts of filter,
            from "listed group by kind order by kind",
            at,
            false,
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
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
        let mut connection = self.pool.acquire().await?;
        let mut found = states_at(&mut connection, at, &[id]).await?;
        found
            .pop()
            .filter(|state| tenant.is_none() || state.tenant_id.as_deref() == tenant)
            .ok_or(StoreError::NotFound {
                entity: "resource at that time",
                id,
            })
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
