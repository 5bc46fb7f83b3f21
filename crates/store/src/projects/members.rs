//! Members of projects: the assignments of resources to projects.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use domain::inventory::ObservedResource;
use domain::projects::{MemberStatus, ProjectMember};
use domain::{Completeness, ResourceKind};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::inventory::attribution::{self, Scope};
use crate::inventory::sweep::sweep_within;
use crate::listings::{Guard, ListingFacts, STRIKES, mark_held, now, record};
use crate::locks::{self, Lock};
use crate::{Run, Store, StoreError};

/// The observed members of one project.
#[derive(Debug, Clone)]
pub struct ProjectMembers {
    /// The project's id at DigitalOcean.
    pub project: Uuid,
    pub members: Vec<ProjectMember>,
}

/// One read of the members of all projects. Complete only if the list of projects and each list of
/// members are complete.
pub struct MembershipPass<'a> {
    pub projects: &'a [ProjectMembers],
    /// Kinds with a separate listing: their resources come from that listing, and membership only
    /// determines their project.
    pub listed_kinds: &'a [ResourceKind],
    pub facts: &'a ListingFacts,
}

/// The changes that a membership pass stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MembershipOutcome {
    pub members: usize,
    /// Resources that moved to another project.
    pub moved: usize,
    /// New resources of kinds without a separate listing.
    pub discovered: usize,
    /// Kinds with live resources in projects of which no project listed a resource.
    pub unseen_kinds: Vec<ResourceKind>,
    /// The reason if the removals of memberships were held because there were too many.
    pub held: Option<String>,
}

impl Store {
    /// Stores one membership pass and attributes all resources to projects and tenants, in one
    /// transaction.
    pub async fn store_memberships(
        &self,
        pass: MembershipPass<'_>,
    ) -> Result<MembershipOutcome, StoreError> {
        let members = current_members(pass.projects);
        let unlisted = resources_of_unlisted_kinds(self, &pass, &members).await?;
        let kinds: Vec<ResourceKind> = unlisted.keys().cloned().collect();
        let mut seen = self.observe(&kinds).await?;
        for resources in unlisted.into_values() {
            seen.add(resources).await?;
        }

        let mut tx = self.pool.begin().await?;
        locks::acquire(&mut tx, Lock::Inventory).await?;
        for kind in &kinds {
            locks::acquire(&mut tx, Lock::Listing(kind.as_str())).await?;
        }
        let recorded = record(&mut tx, "project_member", pass.facts, members.len()).await?;
        upsert(&mut tx, &members).await?;
        let mut outcome = MembershipOutcome {
            members: members.len(),
            ..MembershipOutcome::default()
        };
        if pass.facts.completeness.is_complete() {
            outcome.unseen_kinds = unseen_kinds(&mut tx, pass.facts).await?;
        }
        if recorded.may_strike {
            let struck = strike(&mut tx, pass.facts, &outcome.unseen_kinds).await?;
            if let MembershipStrikes::Held(reason) = struck {
                mark_held(&mut tx, "project_member", recorded.id, &reason).await?;
                outcome.held = Some(reason);
            }
        }
        for kind in &kinds {
            let mut facts = ListingFacts {
                total: None,
                requests: 0,
                ..pass.facts.clone()
            };
            if outcome.unseen_kinds.contains(kind) {
                facts.rules.guard = Guard::NOTHING;
            }
            let swept = sweep_within(&mut tx, &seen, kind, &facts).await?;
            outcome.discovered += swept.discovered;
            outcome.moved += swept.moved;
        }
        let at = now(&mut tx).await?;
        let run = Some(&pass.facts.run);
        outcome.moved += attribution::attribute(&mut tx, Scope::All, run, at).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    /// Attributes every resource to a project and a tenant by the stored data, and returns the
    /// number of moved resources. The sweep of one kind can change the attribution of another kind.
    pub async fn attribute(&self, run: &Run) -> Result<usize, StoreError> {
        let mut tx = self.pool.begin().await?;
        locks::acquire(&mut tx, Lock::Inventory).await?;
        let at = now(&mut tx).await?;
        let moved = attribution::attribute(&mut tx, Scope::All, Some(run), at).await?;
        tx.commit().await?;
        Ok(moved)
    }

    /// Returns the members of a kind by the latest passes, without dangling ones, and the result of
    /// the latest pass; `None` before the first pass.
    pub async fn members_of(
        &self,
        kind: &ResourceKind,
    ) -> Result<(Vec<String>, Option<PassFacts>), StoreError> {
        let members = sqlx::query_scalar!(
            "select provider_id from cloud_project_members
             where provider = 'digitalocean' and kind = $1 and status <> 'not_found' and stale_strike_count = 0
             order by provider_id",
            kind.as_str(),
        )
        .fetch_all(&self.pool)
        .await?;
        let pass = sqlx::query_as!(
            PassFacts,
            "select started_at, complete, reason from cloud_listings
             where kind = 'project_member' order by started_at desc limit 1",
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok((members, pass))
    }
}

/// The result of the latest membership pass.
#[derive(Debug, Clone)]
pub struct PassFacts {
    pub started_at: DateTime<Utc>,
    pub complete: bool,
    /// Why the pass is not complete.
    pub reason: Option<String>,
}

type CurrentMembers<'a> = Vec<(Uuid, &'a ProjectMember)>;

/// Returns one project per resource. A resource that moves during the pass is listed by both
/// projects; the later assignment wins.
fn current_members(projects: &[ProjectMembers]) -> CurrentMembers<'_> {
    let mut current: HashMap<_, (Uuid, &ProjectMember)> = HashMap::new();
    for project in projects {
        for member in &project.members {
            let latest = current
                .entry(&member.urn)
                .or_insert((project.project, member));
            if member.assigned_at > latest.1.assigned_at {
                *latest = (project.project, member);
            }
        }
    }
    let mut members: CurrentMembers<'_> = current.into_values().collect();
    members.sort_by_key(|(_, member)| &member.urn);
    members
}

async fn upsert(tx: &mut PgConnection, members: &CurrentMembers<'_>) -> Result<(), StoreError> {
    let kinds: Vec<&str> = members
        .iter()
        .map(|(_, member)| member.urn.kind.as_str())
        .collect();
    let provider_ids: Vec<&str> = members
        .iter()
        .map(|(_, member)| member.urn.provider_id.as_str())
        .collect();
    let projects: Vec<String> = members
        .iter()
        .map(|(project, _)| project.to_string())
        .collect();
    let statuses: Vec<&str> = members
        .iter()
        .map(|(_, member)| member.status.as_str())
        .collect();
    let assigned: Vec<_> = members
        .iter()
        .map(|(_, member)| member.assigned_at)
        .collect();
    sqlx::query!(
        "insert into cloud_project_members (kind, provider_id, cloud_project_id, status, assigned_at, last_seen_at)
         select observed.kind, observed.provider_id, project.id, observed.status, observed.assigned_at, now()
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
             as observed (kind, provider_id, project_id, status, assigned_at)
         join cloud_projects project on project.provider = 'digitalocean' and project.provider_id = observed.project_id
         on conflict (provider, kind, provider_id) do update set
             cloud_project_id = excluded.cloud_project_id,
             status = excluded.status,
             assigned_at = excluded.assigned_at,
             last_seen_at = excluded.last_seen_at,
             stale_strike_count = 0,
             last_struck_at = null",
        &kinds as &[&str],
        &provider_ids as &[&str],
        &projects,
        &statuses as &[&str],
        &assigned as &[Option<DateTime<Utc>>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the kinds that have live resources in projects but no member observed since the pass
/// began. For a token without the scope to read a kind, DigitalOcean returns shorter lists and no
/// error (spec), so such a pass proves nothing about the kind.
async fn unseen_kinds(
    tx: &mut PgConnection,
    facts: &ListingFacts,
) -> Result<Vec<ResourceKind>, StoreError> {
    let kinds = sqlx::query_scalar!(
        "select kind from cloud_project_members m where provider = 'digitalocean'
         group by kind
         having max(last_seen_at) < $1 and exists (
             select from cloud_resources r where r.provider = 'digitalocean' and r.kind = m.kind and r.deleted_at is null)
         order by kind",
        facts.started_at,
    )
    .fetch_all(tx)
    .await?;
    Ok(kinds.into_iter().map(ResourceKind::named).collect())
}

/// The result of counting strikes of memberships.
enum MembershipStrikes {
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
async fn strike(
    tx: &mut PgConnection,
    facts: &ListingFacts,
    unseen_kinds: &[ResourceKind],
) -> Result<MembershipStrikes, StoreError> {
    let unseen: Vec<&str> = unseen_kinds.iter().map(ResourceKind::as_str).collect();
    let counts = sqlx::query!(
        r#"
        select count(*) as "live!",
            count(*) filter (
                where m.last_seen_at < $1 and m.stale_strike_count + 1 >= $3 and m.kind <> all($4)
                  and (m.last_struck_at is null or m.last_struck_at <= now() - make_interval(secs => $2))) as "doomed!"
        from cloud_project_members m
        join cloud_resources r on r.provider = m.provider and r.kind = m.kind and r.provider_id = m.provider_id
        where m.provider = 'digitalocean' and r.deleted_at is null
        "#,
        facts.started_at,
        facts.strike_seconds(),
        STRIKES,
        &unseen as &[&str],
    )
    .fetch_one(&mut *tx)
    .await?;
    if facts.rules.guard.holds(counts.doomed, counts.live) {
        let (doomed, live) = (counts.doomed, counts.live);
        return Ok(MembershipStrikes::Held(format!(
            "{doomed} of {live} live resources with a project are in no project; their projects are unchanged"
        )));
    }
    sqlx::query!(
        "with marked as (
             update cloud_project_members set stale_strike_count = stale_strike_count + 1, last_struck_at = now()
             where provider = 'digitalocean' and last_seen_at < $1 and stale_strike_count + 1 < $3 and kind <> all($4)
               and (last_struck_at is null or last_struck_at <= now() - make_interval(secs => $2))
         )
         delete from cloud_project_members
         where provider = 'digitalocean' and last_seen_at < $1 and stale_strike_count + 1 >= $3 and kind <> all($4)
           and (last_struck_at is null or last_struck_at <= now() - make_interval(secs => $2))",
        facts.started_at,
        facts.strike_seconds(),
        STRIKES,
        &unseen as &[&str],
    )
    .execute(tx)
    .await?;
    Ok(MembershipStrikes::Applied)
}

/// Returns the members of kinds without a separate listing, by kind. After a complete pass the
/// result includes stored kinds without members, so that missing resources get strikes.
async fn resources_of_unlisted_kinds(
    store: &Store,
    pass: &MembershipPass<'_>,
    members: &CurrentMembers<'_>,
) -> Result<BTreeMap<ResourceKind, Vec<ObservedResource>>, StoreError> {
    let listed: Vec<&str> = pass.listed_kinds.iter().map(ResourceKind::as_str).collect();
    let known = sqlx::query_scalar!(
        "select distinct kind from cloud_resources
         where provider = 'digitalocean' and deleted_at is null and kind <> all($1)",
        &listed as &[&str],
    )
    .fetch_all(&store.pool)
    .await?;
    let mut kinds: BTreeMap<ResourceKind, Vec<ObservedResource>> = BTreeMap::new();
    if pass.facts.completeness == Completeness::Complete {
        kinds.extend(
            known
                .into_iter()
                .map(|kind| (ResourceKind::named(kind), Vec::new())),
        );
    }
    for (_, member) in members {
        let is_listed = pass.listed_kinds.contains(&member.urn.kind);
        // A dangling entry does not describe a resource.
        if !is_listed && member.status != MemberStatus::NotFound {
            kinds
                .entry(member.urn.kind.clone())
                .or_default()
                .push(ObservedResource {
                    kind: member.urn.kind.clone(),
                    provider_id: member.urn.provider_id.clone(),
                    name: member.urn.provider_id.clone(),
                    region: None,
                    status: None,
                    tags: Vec::new(),
                    project_id: None,
                    relations: Vec::new(),
                    attrs: json!({}).into(),
                });
        }
    }
    Ok(kinds)
}
