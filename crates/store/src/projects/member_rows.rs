//! The rows of the members of projects: changes, sightings and strikes.

use chrono::{DateTime, Utc};
use domain::ResourceKind;
use domain::projects::ProjectMember;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::listings::{ListingFacts, STRIKES};
use crate::sightings::{self, Sighting};

/// The members that a pass shows, as columns.
pub(super) struct Shown<'a> {
    kinds: Vec<&'a str>,
    provider_ids: Vec<&'a str>,
    projects: Vec<String>,
    statuses: Vec<&'a str>,
    assigned: Vec<Option<DateTime<Utc>>>,
    /// Kind and id.
    keys: Vec<String>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(members: &[(Uuid, &'a ProjectMember)]) -> Self {
        let all = || members.iter().map(|(_, member)| *member);
        Self {
            kinds: all().map(|member| member.urn.kind.as_str()).collect(),
            provider_ids: all().map(|member| &*member.urn.provider_id).collect(),
            projects: members.iter().map(|(id, _)| id.to_string()).collect(),
            statuses: all().map(|member| member.status.as_str()).collect(),
            assigned: all().map(|member| member.assigned_at).collect(),
            keys: all()
                .map(|member| format!("{}:{}", member.urn.kind.as_str(), member.urn.provider_id))
                .collect(),
        }
    }
}

/// Stores new and changed members and the sightings of all. A member that another pass may have
/// shown after this one began does not change. Returns true if the pass lacks members that no pass
/// has shown since it began.
pub(super) async fn store(
    tx: &mut PgConnection,
    shown: &Shown<'_>,
    facts: &ListingFacts,
) -> Result<bool, StoreError> {
    let found = sqlx::query_as!(
        Sighting,
        r#"
        select s.id, s.seen_at,
            count(m.kind) filter (where m.kind || ':' || m.provider_id = any($1)) as "shown!",
            count(m.kind) filter (where m.kind || ':' || m.provider_id <> all($1)) as "missing!"
        from cloud_sightings s
        left join cloud_project_members m on m.sighting_id = s.id
        where s.provider = 'digitalocean' and s.kind = 'project_member'
        group by s.id
        "#,
        &shown.keys,
    )
    .fetch_all(&mut *tx)
    .await?;
    update(tx, shown, facts).await?;

    let stored: i64 = found.iter().map(|sighting| sighting.shown).sum();
    let adds_rows = usize::try_from(stored).is_ok_and(|stored| stored < shown.keys.len());
    let at = facts.finished_at;
    let renewed = sightings::renew(tx, "project_member", at, &found, adds_rows).await?;
    if !renewed.moves.is_empty() {
        sqlx::query!(
            "update cloud_project_members m set sighting_id = moved.target
             from unnest($2::bigint[], $3::bool[], $4::bigint[]) as moved (source, shown, target)
             where m.sighting_id = moved.source and (m.kind || ':' || m.provider_id = any($1)) = moved.shown",
            &shown.keys,
            &renewed.moves.from,
            &renewed.moves.shown,
            &renewed.moves.to,
        )
        .execute(&mut *tx)
        .await?;
    }
    if adds_rows {
        insert(tx, shown, renewed.current).await?;
    }
    Ok(found
        .iter()
        .any(|sighting| sighting.missing > 0 && sighting.seen_at < facts.evidence.began_at))
}

/// Updates changed members, and resets the strikes of shown ones.
async fn update(
    tx: &mut PgConnection,
    shown: &Shown<'_>,
    facts: &ListingFacts,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update cloud_project_members m
         set cloud_project_id = project.id, status = shown.status, assigned_at = shown.assigned_at
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
             as shown (kind, provider_id, project_id, status, assigned_at),
             cloud_project_rows project, cloud_sightings s
         where m.provider = 'digitalocean' and m.kind = shown.kind and m.provider_id = shown.provider_id
           and project.provider = 'digitalocean' and project.provider_id = shown.project_id
           and (m.cloud_project_id, m.status, m.assigned_at) is distinct from (project.id, shown.status, shown.assigned_at)
           and s.id = m.sighting_id and s.seen_at <= $6",
        &shown.kinds as &[&str],
        &shown.provider_ids as &[&str],
        &shown.projects,
        &shown.statuses as &[&str],
        &shown.assigned as &[Option<DateTime<Utc>>],
        facts.evidence.began_at,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update cloud_project_members m set stale_strike_count = 0, last_struck_at = null
         from cloud_sightings s
         where m.stale_strike_count > 0 and m.kind || ':' || m.provider_id = any($1)
           and s.id = m.sighting_id and s.seen_at < $2",
        &shown.keys,
        facts.finished_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn insert(
    tx: &mut PgConnection,
    shown: &Shown<'_>,
    sighting: Option<i64>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into cloud_project_members
             (kind, provider_id, cloud_project_id, status, assigned_at, sighting_id, is_unmatched)
         select shown.kind, shown.provider_id, project.id, shown.status, shown.assigned_at, $6, not exists (
             select from cloud_resource_rows r
             where r.provider = 'digitalocean' and r.kind = shown.kind and r.provider_id = shown.provider_id
               and r.deleted_at is null)
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
             as shown (kind, provider_id, project_id, status, assigned_at)
         join cloud_project_rows project on project.provider = 'digitalocean' and project.provider_id = shown.project_id
         left join cloud_project_members known
             on known.provider = 'digitalocean' and known.kind = shown.kind and known.provider_id = shown.provider_id
         where known.kind is null",
        &shown.kinds as &[&str],
        &shown.provider_ids as &[&str],
        &shown.projects,
        &shown.statuses as &[&str],
        &shown.assigned as &[Option<DateTime<Utc>>],
        sighting,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the kinds that have live resources in projects but no member observed since the pass
/// began. For a token without the scope to read a kind, DigitalOcean returns shorter lists and no
/// error (spec), so such a pass proves nothing about the kind.
pub(super) async fn unseen_kinds(
    tx: &mut PgConnection,
    facts: &ListingFacts,
) -> Result<Vec<ResourceKind>, StoreError> {
    let kinds = sqlx::query_scalar!(
        "select m.kind from cloud_project_members m
         join cloud_sightings s on s.id = m.sighting_id
         where m.provider = 'digitalocean'
         group by m.kind
         having max(s.seen_at) < $1 and exists (
             select from cloud_resource_rows r where r.provider = 'digitalocean' and r.kind = m.kind and r.deleted_at is null)
         order by m.kind",
        facts.evidence.began_at,
    )
    .fetch_all(tx)
    .await?;
    Ok(kinds.into_iter().map(ResourceKind::named).collect())
}

/// The result of counting strikes of memberships.
pub(super) enum MembershipStrikes {
    Applied,
    /// No strike was counted: too many memberships would have been removed.
    Held(String),
}

/// Adds a strike to each membership that a complete pass lacks, and removes it at the third, as
/// with resources: a resource that moves between projects can be in neither list. Memberships of a
/// kind that the pass did not observe at all remain as long as there are resources of the kind.
///
/// DigitalOcean has no way to remove a resource from all projects. So many live resources without a
/// project do not indicate a move but a token of another team; the memberships remain.
pub(super) async fn strike(
    tx: &mut PgConnection,
    facts: &ListingFacts,
    unseen_kinds: &[ResourceKind],
) -> Result<MembershipStrikes, StoreError> {
    let unseen: Vec<&str> = unseen_kinds.iter().map(ResourceKind::as_str).collect();
    let apart_from = facts.rules.apart_from(facts.evidence.began_at);
    let counts = sqlx::query!(
        r#"
        select count(*) as "live!",
            count(*) filter (
                where s.seen_at < $1 and m.stale_strike_count + 1 >= $3 and m.kind <> all($4)
                  and (m.last_struck_at is null or m.last_struck_at <= $2)) as "doomed!"
        from cloud_project_members m
        join cloud_sightings s on s.id = m.sighting_id
        join cloud_resource_rows r on r.provider = m.provider and r.kind = m.kind and r.provider_id = m.provider_id
        where m.provider = 'digitalocean' and r.deleted_at is null
        "#,
        facts.evidence.began_at,
        apart_from,
        STRIKES,
        &unseen as &[&str],
    )
    .fetch_one(&mut *tx)
    .await?;
    if facts.rules.guard.is_exceeded(counts.doomed, counts.live) {
        let (doomed, live) = (counts.doomed, counts.live);
        return Ok(MembershipStrikes::Held(format!(
            "{doomed} of {live} live resources with a project are in no project; their projects are unchanged"
        )));
    }
    sqlx::query!(
        "with missing as (
             select m.kind, m.provider_id, m.stale_strike_count + 1 >= $3 as is_last
             from cloud_project_members m
             join cloud_sightings s on s.id = m.sighting_id
             where m.provider = 'digitalocean' and s.seen_at < $1 and m.kind <> all($4)
               and (m.last_struck_at is null or m.last_struck_at <= $2)
         ), marked as (
             update cloud_project_members m set stale_strike_count = m.stale_strike_count + 1, last_struck_at = $5
             from missing
             where m.provider = 'digitalocean' and m.kind = missing.kind and m.provider_id = missing.provider_id
               and not missing.is_last
         )
         delete from cloud_project_members m
         using missing
         where m.provider = 'digitalocean' and m.kind = missing.kind and m.provider_id = missing.provider_id
           and missing.is_last",
        facts.evidence.began_at,
        apart_from,
        STRIKES,
        &unseen as &[&str],
        facts.finished_at,
    )
    .execute(tx)
    .await?;
    Ok(MembershipStrikes::Applied)
}
