//! Members of projects: the assignments of resources to projects.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use domain::inventory::ObservedResource;
use domain::projects::{MemberStatus, ProjectMember};
use domain::{Completeness, ResourceKind};
use serde_json::json;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::member_rows::{self, MembershipStrikes, Shown};
use crate::inventory::attribution::{self, Lines, Scope};
use crate::inventory::sweep::sweep_within;
use crate::listings::{Guard, ListingFacts, mark_held, now, record};
use crate::locks::{self, Lock};
use crate::planner::join_by_hashing;
use crate::{Evidence, Run, Store, StoreError};

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
    /// Stores one membership pass and attributes all resources to projects and tenants. All is one
    /// transaction, except the attribution of more than some thousands of resources. A superseded
    /// pass changes nothing.
    pub async fn store_memberships(
        &self,
        pass: MembershipPass<'_>,
    ) -> Result<MembershipOutcome, StoreError> {
        let members = current_members(pass.projects);
        let unlisted = resources_of_unlisted_kinds(self, &pass, &members).await?;
        let kinds: Vec<ResourceKind> = unlisted.keys().cloned().collect();
        // Strikes are apart by the time from the end of a pass to the beginning of the next one.
        let began_at = pass.facts.evidence.began_at();
        let mut seen = self.begin(Uuid::now_v7(), began_at, &kinds).await?;
        for resources in unlisted.into_values() {
            seen.add(resources).await?;
        }

        let mut tx = self.pool.begin().await?;
        locks::acquire(&mut tx, Lock::Inventory).await?;
        for kind in &kinds {
            locks::acquire(&mut tx, Lock::Listing(kind.as_str())).await?;
        }
        let mut outcome = MembershipOutcome {
            members: members.len(),
            ..MembershipOutcome::default()
        };
        let Some(recorded) = record(&mut tx, "project_member", pass.facts, members.len()).await?
        else {
            tx.commit().await?;
            return Ok(outcome);
        };
        join_by_hashing(&mut tx, members.len()).await?;
        let lacks_any = member_rows::store(&mut tx, &Shown::of(&members), pass.facts).await?;
        if pass.facts.completeness.is_complete() {
            outcome.unseen_kinds = member_rows::unseen_kinds(&mut tx, pass.facts).await?;
        }
        if recorded.may_strike && lacks_any {
            let struck = member_rows::strike(&mut tx, pass.facts, &outcome.unseen_kinds).await?;
            if let MembershipStrikes::Held(reason) = struck {
                mark_held(&mut tx, "project_member", recorded.id, &reason).await?;
                outcome.held = Some(reason);
            }
        }
        join_by_hashing(&mut tx, 0).await?;
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
        outcome.moved += self.attribute_all(tx, &pass.facts.run).await?;
        Ok(outcome)
    }

    /// Attributes every resource to a project and a tenant by the stored data, and returns the
    /// number of moved resources. The sweep of one kind can change the attribution of another kind.
    pub async fn attribute(&self, run: &Run) -> Result<usize, StoreError> {
        let mut tx = self.pool.begin().await?;
        locks::acquire(&mut tx, Lock::Inventory).await?;
        self.attribute_all(tx, run).await
    }

    /// Attributes every resource, in portions. The first one belongs to the transaction, and each
    /// further one is a transaction; if it fails, the next call continues.
    async fn attribute_all(
        &self,
        mut tx: Transaction<'_, Postgres>,
        run: &Run,
    ) -> Result<usize, StoreError> {
        let mut moved = 0;
        loop {
            let at = now(&mut tx).await?;
            let scope = Scope::Portion;
            let attributed =
                attribution::attribute(&mut tx, scope, Lines::Follow, Some(run), at).await?;
            tx.commit().await?;
            moved += attributed.moved;
            if attributed.is_complete {
                return Ok(moved);
            }
            tx = self.pool.begin().await?;
            locks::acquire(&mut tx, Lock::Inventory).await?;
        }
    }

    /// Returns the members of a kind that the latest pass observed, without dangling ones, and the
    /// result of that pass.
    pub async fn members_of(&self, kind: &ResourceKind) -> Result<MembersOfKind, StoreError> {
        let found = sqlx::query!(
            r#"
            with pass as (
                select started_at, complete, reason from cloud_listings
                where kind = 'project_member' order by started_at desc limit 1
            ), member as (
                select m.provider_id, s.seen_at >= pass.started_at as is_shown
                from pass cross join cloud_project_members m join cloud_sightings s on s.id = m.sighting_id
                where m.provider = 'digitalocean' and m.kind = $1 and m.status <> 'not_found'
            )
            select pass.started_at, pass.complete, pass.reason,
                coalesce(array_agg(member.provider_id order by member.provider_id) filter (where member.is_shown), '{}') as "shown!",
                coalesce(not bool_or(member.is_shown), false) as "are_unseen!"
            from pass left join member on true group by pass.started_at, pass.complete, pass.reason
            "#,
            kind.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(
            found.map_or_else(MembersOfKind::default, |found| MembersOfKind {
                shown: found.shown,
                are_unseen: found.are_unseen,
                pass: Some(PassFacts {
                    started_at: found.started_at,
                    complete: found.complete,
                    reason: found.reason,
                }),
            }),
        )
    }
}

/// The members of a kind by the latest membership pass.
#[derive(Debug, Clone, Default)]
pub struct MembersOfKind {
    pub shown: Vec<String>,
    /// True if there are members of the kind, and the pass observed none: the token may lack the
    /// scope to read the kind.
    pub are_unseen: bool,
    /// `None` before the first pass.
    pub pass: Option<PassFacts>,
}

/// The result of the latest membership pass.
#[derive(Debug, Clone)]
pub struct PassFacts {
    started_at: DateTime<Utc>,
    pub complete: bool,
    /// Why the pass is not complete.
    pub reason: Option<String>,
}

impl PassFacts {
    pub fn evidence(&self) -> Evidence {
        Evidence {
            began_at: self.started_at,
        }
    }
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

/// Returns the members of kinds without a separate listing, by kind. After a complete pass the
/// result includes stored kinds without members, so that missing resources get strikes.
async fn resources_of_unlisted_kinds(
    store: &Store,
    pass: &MembershipPass<'_>,
    members: &CurrentMembers<'_>,
) -> Result<BTreeMap<ResourceKind, Vec<ObservedResource>>, StoreError> {
    let listed: Vec<&str> = pass.listed_kinds.iter().map(ResourceKind::as_str).collect();
    let known = sqlx::query_scalar!(
        "select distinct kind from cloud_resource_rows
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
