//! The rows of projects: changes, sightings and strikes.

use chrono::{DateTime, Utc};
use domain::projects::ObservedProject;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::events::{Fields, Noted};
use crate::inventory::held_deletions::{self, Loss};
use crate::listings::{ListingFacts, STRIKES};
use crate::sightings::{self, Sighting};
use crate::{Run, StoreError};

/// The observed projects of a listing, as columns.
pub(super) struct Observed<'a> {
    projects: Vec<&'a ObservedProject>,
    provider_ids: Vec<String>,
    internal_name: &'a str,
}

/// A project of the listing and its stored row, if there is one.
struct Compared {
    /// The position in the listing.
    place: i64,
    id: Option<Uuid>,
    name: Option<String>,
    description: Option<String>,
    environment: Option<String>,
    is_default: Option<bool>,
    is_internal: Option<bool>,
    attrs: Option<Value>,
    deleted_at: Option<DateTime<Utc>>,
    /// The observed attributes as the database stores them.
    attrs_seen: Value,
    /// Whether another listing may have observed the project after this one began.
    is_newer: bool,
}

/// The differences between a listing and the stored rows.
#[derive(Default)]
pub(super) struct Differences<'a> {
    pub(super) new: Vec<&'a ObservedProject>,
    pub(super) changed: Vec<&'a ObservedProject>,
    pub(super) events: Vec<Noted>,
}

impl<'a> Observed<'a> {
    pub(super) fn new(projects: &'a [ObservedProject], internal_name: &'a str) -> Self {
        let mut projects: Vec<&ObservedProject> = projects.iter().collect();
        projects.sort_by_key(|project| project.provider_id);
        projects.dedup_by_key(|project| project.provider_id);
        Self {
            provider_ids: projects
                .iter()
                .map(|project| project.provider_id.to_string())
                .collect(),
            projects,
            internal_name,
        }
    }

    fn is_internal(&self, project: &ObservedProject) -> bool {
        project.name == self.internal_name
    }

    /// Compares the projects with the stored rows. Rows that another listing may have observed
    /// after this one began do not differ: the observed data may be older.
    pub(super) async fn compare(
        &self,
        tx: &mut PgConnection,
        facts: &ListingFacts,
    ) -> Result<Differences<'a>, StoreError> {
        let attrs: Vec<String> = attrs_of(&self.projects);
        let compared = sqlx::query_as!(
            Compared,
            r#"
            select observed.place as "place!", p.id as "id?", p.name as "name?", p.description as "description?", p.environment,
                p.is_default as "is_default?", p.is_internal as "is_internal?", p.attrs as "attrs?", p.deleted_at,
                observed.attrs::jsonb as "attrs_seen!",
                coalesce(p.last_seen_at > $3 or p.deleted_at > $3, false) as "is_newer!"
            from unnest($1::text[], $2::text[]) with ordinality as observed (provider_id, attrs, place)
            left join cloud_projects p on p.provider = 'digitalocean' and p.provider_id = observed.provider_id
            order by observed.place
            "#,
            &self.provider_ids,
            &attrs,
            facts.evidence.began_at,
        )
        .fetch_all(tx)
        .await?;
        let mut differences = Differences::default();
        for row in compared {
            let place = usize::try_from(row.place - 1).unwrap_or_default();
            let Some(project) = self.projects.get(place).copied() else {
                continue;
            };
            let Some(id) = row.id else {
                differences.new.push(project);
                continue;
            };
            if row.is_newer {
                continue;
            }
            let before = Fields::new(
                row.name.as_deref().unwrap_or_default(),
                row.description.as_deref().unwrap_or_default(),
                row.environment.as_deref(),
                row.is_default.unwrap_or_default(),
                row.attrs.as_ref().unwrap_or(&Value::Null),
            );
            let mut changes = before.changes_to(&fields(project, &row.attrs_seen));
            let mut event = "updated";
            if let Some(deleted_at) = row.deleted_at {
                event = "restored";
                changes.insert("deleted_at".to_owned(), changed_from(deleted_at));
            }
            if !changes.is_empty()
                || row.attrs.as_ref() != Some(&row.attrs_seen)
                || row.is_internal != Some(self.is_internal(project))
            {
                differences.changed.push(project);
            }
            if !changes.is_empty() {
                differences.events.push(Noted {
                    project: id,
                    event,
                    changes,
                });
            }
        }
        Ok(differences)
    }

    /// Inserts new projects, and returns their events.
    pub(super) async fn insert(
        &self,
        tx: &mut PgConnection,
        new: &[&ObservedProject],
        sighting: Option<i64>,
        at: DateTime<Utc>,
    ) -> Result<Vec<Noted>, StoreError> {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let columns = Columns::of(new, |project| self.is_internal(project));
        let inserted = sqlx::query!(
            r#"
            insert into cloud_project_rows
                (provider_id, name, description, environment, is_default, is_internal, purpose, attrs, first_seen_at, sighting_id)
            select provider_id, name, description, environment, is_default, is_internal,
                case when is_internal then 'internal' end, attrs::jsonb, $8, $9
            from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::bool[], $7::text[])
                as observed (provider_id, name, description, environment, is_default, is_internal, attrs)
            returning id, name, description, environment, is_default, attrs
            "#,
            &columns.provider_ids,
            &columns.names as &[&str],
            &columns.descriptions as &[&str],
            &columns.environments as &[Option<&str>],
            &columns.defaults,
            &columns.internals,
            &columns.attrs,
            at,
            sighting,
        )
        .fetch_all(tx)
        .await?;
        let events = inserted.into_iter().map(|row| {
            let after = Fields::new(
                &row.name,
                &row.description,
                row.environment.as_deref(),
                row.is_default,
                &row.attrs,
            );
            Noted {
                project: row.id,
                event: "discovered",
                changes: Fields::default().changes_to(&after),
            }
        });
        Ok(events.collect())
    }

    /// Updates changed projects, and resets their strikes and deletions. `sighting` is that of
    /// restored rows.
    pub(super) async fn update(
        &self,
        tx: &mut PgConnection,
        changed: &[&ObservedProject],
        sighting: Option<i64>,
    ) -> Result<(), StoreError> {
        if changed.is_empty() {
            return Ok(());
        }
        let columns = Columns::of(changed, |project| self.is_internal(project));
        sqlx::query!(
            "update cloud_project_rows p set
                 name = observed.name,
                 description = observed.description,
                 environment = observed.environment,
                 is_default = observed.is_default,
                 is_internal = observed.is_internal,
                 attrs = observed.attrs::jsonb,
                 sighting_id = coalesce(p.sighting_id, $8),
                 seen_before_deletion_at = null,
                 stale_strike_count = 0,
                 last_struck_at = null,
                 deleted_at = null
             from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::bool[], $7::text[])
                 as observed (provider_id, name, description, environment, is_default, is_internal, attrs)
             where p.provider = 'digitalocean' and p.provider_id = observed.provider_id",
            &columns.provider_ids,
            &columns.names as &[&str],
            &columns.descriptions as &[&str],
            &columns.environments as &[Option<&str>],
            &columns.defaults,
            &columns.internals,
            &columns.attrs,
            sighting,
        )
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Records that the listing shows its projects, and resets their strikes, as for resources.
    /// Returns the sighting for new and restored projects, and whether the listing lacks projects
    /// that no listing has shown since it began. With `adds_rows`, there is a sighting.
    pub(super) async fn see(
        &self,
        tx: &mut PgConnection,
        facts: &ListingFacts,
        adds_rows: bool,
    ) -> Result<(Option<i64>, bool), StoreError> {
        let found = sqlx::query_as!(
            Sighting,
            r#"
            select s.id, s.seen_at, count(p.sighting_id) filter (where p.provider_id = any($1)) as "shown!",
                count(p.sighting_id) filter (where p.provider_id <> all($1)) as "missing!"
            from cloud_sightings s
            left join cloud_project_rows p on p.sighting_id = s.id and p.deleted_at is null
            where s.provider = 'digitalocean' and s.kind = 'project'
            group by s.id
            "#,
            &self.provider_ids,
        )
        .fetch_all(&mut *tx)
        .await?;
        let at = facts.finished_at;
        sqlx::query!(
            "update cloud_project_rows p set stale_strike_count = 0, last_struck_at = null
             from cloud_sightings s
             where p.deleted_at is null and p.stale_strike_count > 0 and p.provider_id = any($1)
               and s.id = p.sighting_id and s.seen_at < $2",
            &self.provider_ids,
            at,
        )
        .execute(&mut *tx)
        .await?;
        let renewed = sightings::renew(tx, crate::listings::PROJECT, at, &found, adds_rows).await?;
        if !renewed.moves.is_empty() {
            sqlx::query!(
                "update cloud_project_rows p set sighting_id = moved.target
                 from unnest($2::bigint[], $3::bool[], $4::bigint[]) as moved (source, shown, target)
                 where p.deleted_at is null and p.sighting_id = moved.source and (p.provider_id = any($1)) = moved.shown",
                &self.provider_ids,
                &renewed.moves.from,
                &renewed.moves.shown,
                &renewed.moves.to,
            )
            .execute(tx)
            .await?;
        }
        let lacks_any = found
            .iter()
            .any(|sighting| sighting.missing > 0 && sighting.seen_at < facts.evidence.began_at);
        Ok((renewed.current, lacks_any))
    }
}

fn fields(project: &ObservedProject, attrs: &Value) -> Fields {
    Fields::new(
        &project.name,
        &project.description,
        project.environment.as_deref(),
        project.is_default,
        attrs,
    )
}

fn changed_from(deleted_at: DateTime<Utc>) -> Value {
    let before = deleted_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    serde_json::json!({ "before": before, "after": null })
}

fn attrs_of(projects: &[&ObservedProject]) -> Vec<String> {
    let attrs = projects.iter().map(|project| project.attrs.to_string());
    attrs.collect()
}

struct Columns<'a> {
    provider_ids: Vec<String>,
    names: Vec<&'a str>,
    descriptions: Vec<&'a str>,
    environments: Vec<Option<&'a str>>,
    defaults: Vec<bool>,
    internals: Vec<bool>,
    attrs: Vec<String>,
}

impl<'a> Columns<'a> {
    fn of(
        projects: &[&'a ObservedProject],
        is_internal: impl Fn(&ObservedProject) -> bool,
    ) -> Self {
        let all = || projects.iter().copied();
        Self {
            provider_ids: all()
                .map(|project| project.provider_id.to_string())
                .collect(),
            names: all().map(|project| project.name.as_str()).collect(),
            descriptions: all().map(|project| project.description.as_str()).collect(),
            environments: all()
                .map(|project| project.environment.as_deref())
                .collect(),
            defaults: all().map(|project| project.is_default).collect(),
            internals: all().map(is_internal).collect(),
            attrs: attrs_of(projects),
        }
    }
}

/// The numbers of projects by which the guard decides.
pub(super) struct Counts {
    /// Projects that the listing would delete.
    pub(super) doomed: i64,
    pub(super) live: i64,
    /// Live projects that people can delete. The default project cannot be deleted, and this system
    /// creates the internal one, so that the presence of these two does not show that the listing
    /// contains all projects.
    pub(super) deletable: i64,
}

pub(super) async fn count(
    tx: &mut PgConnection,
    facts: &ListingFacts,
) -> Result<Counts, StoreError> {
    let began_at = facts.evidence.began_at;
    let counts = sqlx::query_as!(
        Counts,
        r#"
        with live as (
            select is_default, is_internal,
                last_seen_at < $1 and stale_strike_count + 1 >= $3 and (last_struck_at is null or last_struck_at <= $2) as is_doomed
            from cloud_projects where provider = 'digitalocean' and deleted_at is null
        )
        select count(*) filter (where is_doomed) as "doomed!", count(*) as "live!",
            count(*) filter (where is_doomed or not (is_default or is_internal)) as "deletable!"
        from live
        "#,
        began_at,
        facts.rules.apart_from(began_at),
        STRIKES,
    )
    .fetch_one(tx)
    .await?;
    Ok(counts)
}

/// Stores a held deletion and its projects, or releases the projects that are observed again from
/// the pending one.
pub(super) async fn hold(
    tx: &mut PgConnection,
    rows: Loss<'_>,
    facts: &ListingFacts,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let began_at = facts.evidence.began_at;
    let doomed: Vec<Uuid> = sqlx::query_scalar!(
        r#"select id as "id!" from cloud_projects
           where provider = 'digitalocean' and deleted_at is null and last_seen_at < $1 and stale_strike_count + 1 >= $3
             and (last_struck_at is null or last_struck_at <= $2)"#,
        began_at,
        facts.rules.apart_from(began_at),
        STRIKES,
    )
    .fetch_all(&mut *tx)
    .await?;
    let remaining = sqlx::query_scalar!(
        r#"with held as (
               select held.hold_id, held.cloud_project_id, held.cloud_project_id = any($2) as is_doomed
               from cloud_held_deletions hold join cloud_held_projects held on held.hold_id = hold.id
               where hold.provider = 'digitalocean' and hold.kind = $1 and hold.state = 'pending'
           ), released as (
               delete from cloud_held_projects released using held
               where released.hold_id = held.hold_id and released.cloud_project_id = held.cloud_project_id and not held.is_doomed
           )
           select count(*) as "remaining!" from held where is_doomed"#,
        rows.kind,
        &doomed,
    )
    .fetch_one(&mut *tx)
    .await?;
    if let Some(hold) = held_deletions::open(tx, rows, remaining, facts, at).await? {
        sqlx::query!(
            "insert into cloud_held_projects (hold_id, cloud_project_id) select $1, unnest($2::uuid[])",
            hold,
            &doomed,
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}

/// Adds a strike to each project that no listing may have observed since this one began. The third
/// strike deletes the project, unless the deletions are held. Returns the number of strikes without
/// deletion, and of deletions.
pub(super) async fn strike(
    tx: &mut PgConnection,
    facts: &ListingFacts,
    is_held: bool,
    at: DateTime<Utc>,
) -> Result<(usize, usize), StoreError> {
    let began_at = facts.evidence.began_at;
    let run: &Run = &facts.run;
    let struck = sqlx::query_scalar!(
        r#"
        with marked as (
            update cloud_project_rows p set
                stale_strike_count = p.stale_strike_count + 1,
                last_struck_at = $4,
                deleted_at = case when missing.is_last then $6::timestamptz end,
                seen_before_deletion_at = case when missing.is_last then missing.last_seen_at end,
                sighting_id = case when not missing.is_last then p.sighting_id end
            from (
                select id, last_seen_at, stale_strike_count + 1 >= $3 as is_last from cloud_projects
                where provider = 'digitalocean' and deleted_at is null and last_seen_at < $1
                  and (last_struck_at is null or last_struck_at <= $2)
                  and not ($5 and stale_strike_count + 1 >= $3)
            ) missing
            where p.id = missing.id
            returning p.id, p.deleted_at
        ), noted as (
            insert into cloud_project_events (cloud_project_id, event, changes, occurred_at, workflow_id, run_id)
            select id, 'deleted', jsonb_build_object('deleted_at', jsonb_build_object('before', null, 'after', deleted_at)),
                $6, $7, $8
            from marked where deleted_at is not null
        )
        select deleted_at is not null as "is_deleted!" from marked
        "#,
        began_at,
        facts.rules.apart_from(began_at),
        STRIKES,
        facts.finished_at,
        is_held,
        at,
        run.workflow_id,
        run.run_id,
    )
    .fetch_all(tx)
    .await?;
    let deleted = struck.iter().filter(|is_deleted| **is_deleted).count();
    Ok((struck.len() - deleted, deleted))
}
