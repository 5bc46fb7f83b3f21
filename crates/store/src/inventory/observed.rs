//! The resources that a listing observes, until a sweep stores them.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use domain::ResourceKind;
use domain::inventory::{ObservedResource, Relation};
use futures::TryStreamExt as _;
use uuid::Uuid;

use super::changes::{Fingerprint, fingerprint, owner, relations_json, sorted_tags};
use super::pages::Pages;
use crate::{Evidence, Store, StoreError};

/// The observed resources of a listing, of one kind or of several that are listed together.
///
/// Most resources are unchanged: only their ids are kept in memory. The others are staged in the
/// database at once, so that memory does not grow with the account, until the sweep stores them.
pub struct Observations {
    pub(super) store: Store,
    pub(super) listing: Uuid,
    pub(super) started_at: DateTime<Utc>,
    /// The fingerprints of all stored live resources of these kinds.
    stored: HashSet<Fingerprint>,
    /// The observed resources by kind and DigitalOcean's id; true if the resource is staged.
    seen: BTreeMap<ResourceKind, HashMap<String, bool>>,
    /// Kinds with a listing that is known to be partial.
    partial: BTreeMap<ResourceKind, Partial>,
    /// Why fields of a kind are those of an earlier listing.
    withheld: BTreeMap<ResourceKind, String>,
    /// The resources of the last call of [`Self::add`], by kind and DigitalOcean's id.
    pub(super) latest: Vec<(ResourceKind, String)>,
    /// `None` if no later attempt can resume the listing.
    pub(super) pages: Option<Pages>,
}

impl Store {
    /// Begins a listing of these kinds. Must be called before its first request.
    pub async fn observe(&self, kinds: &[ResourceKind]) -> Result<Observations, StoreError> {
        let started_at = self.now().await?;
        self.begin(Uuid::now_v7(), started_at, kinds).await
    }

    pub(crate) async fn begin(
        &self,
        listing: Uuid,
        started_at: DateTime<Utc>,
        kinds: &[ResourceKind],
    ) -> Result<Observations, StoreError> {
        let names: Vec<&str> = kinds.iter().map(ResourceKind::as_str).collect();
        let stored = sqlx::query_scalar!(
            "select fingerprint from cloud_resource_rows
             where provider = 'digitalocean' and kind = any($1) and deleted_at is null",
            &names as &[&str],
        )
        .fetch(&self.pool)
        .try_filter_map(|bytes| async move { Ok(Fingerprint::try_from(bytes).ok()) })
        .try_collect()
        .await?;
        // Deletes rows of abandoned listings: no listing is resumed after this time.
        sqlx::query!(
            "with forgotten as (
                 delete from cloud_resumable_listings where taken_at < now() - interval '2 hours'
             )
             delete from cloud_staged_resources where staged_at < now() - interval '2 hours'"
        )
        .execute(&self.pool)
        .await?;
        Ok(Observations {
            store: self.clone(),
            listing,
            started_at,
            stored,
            seen: kinds
                .iter()
                .map(|kind| (kind.clone(), HashMap::new()))
                .collect(),
            partial: BTreeMap::new(),
            withheld: BTreeMap::new(),
            latest: Vec::new(),
            pages: None,
        })
    }
}

/// Observed resources with their fingerprints.
pub struct Fingerprinted(Vec<(ObservedResource, Fingerprint)>);

impl Fingerprinted {
    pub fn new(resources: Vec<ObservedResource>) -> Self {
        let resources = resources.into_iter().map(|resource| {
            let fingerprint = fingerprint(&resource);
            (resource, fingerprint)
        });
        Self(resources.collect())
    }

    /// Changes the resource at a place.
    pub fn change(&mut self, place: usize, change: impl FnOnce(&mut ObservedResource)) {
        if let Some((resource, print)) = self.0.get_mut(place) {
            change(resource);
            *print = fingerprint(resource);
        }
    }
}

/// Fields that a resource had at its last sighting, and that its listing lacks now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// The place among the observed resources.
    pub place: usize,
    pub kind: ResourceKind,
    /// Empty if the listing has tags.
    pub tags: Vec<String>,
    /// `None` if the listing has a project.
    pub project_id: Option<Uuid>,
}

/// Why a listing is known to be partial.
struct Partial {
    reason: String,
    /// True if only resources known solely from these sources get strikes.
    limits_strikes: bool,
}

impl Observations {
    pub fn evidence(&self) -> Evidence {
        Evidence {
            began_at: self.started_at,
        }
    }

    /// Returns the number of observed resources of a kind, without duplicates.
    pub fn seen(&self, kind: &ResourceKind) -> usize {
        self.seen.get(kind).map_or(0, HashMap::len)
    }

    pub fn has_seen(&self, kind: &ResourceKind, provider_id: &str) -> bool {
        let ids = self.seen.get(kind);
        ids.is_some_and(|ids| ids.contains_key(provider_id))
    }

    /// Records that the sources of a kind are incomplete even if they are read completely. `reason`
    /// includes the settings that fix it. Limits the strikes of the listing to resources that these
    /// sources can know: see [`super::strikes`].
    pub fn note_partial(&mut self, kind: ResourceKind, reason: &str) {
        let (reason, limits_strikes) = (reason.to_owned(), true);
        self.partial.insert(
            kind,
            Partial {
                reason,
                limits_strikes,
            },
        );
    }

    /// Records that another source contradicts a complete listing. `reason` includes the settings
    /// that fix it. Does not limit strikes: a stored row that is missing from the listing was in it
    /// before.
    pub fn note_contradicted(&mut self, kind: ResourceKind, reason: &str) {
        let (reason, limits_strikes) = (reason.to_owned(), false);
        self.partial.insert(
            kind,
            Partial {
                reason,
                limits_strikes,
            },
        );
    }

    /// Records that the listing lacks fields of a kind that the token may not read, so that they
    /// are those of an earlier listing. `reason` includes the scope.
    pub fn note_withheld(&mut self, kind: ResourceKind, reason: &str) {
        self.withheld.insert(kind, reason.to_owned());
    }

    pub(super) fn withheld_reason(&self, kind: &ResourceKind) -> Option<&str> {
        self.withheld.get(kind).map(String::as_str)
    }

    pub(super) fn partial_reason(&self, kind: &ResourceKind) -> Option<&str> {
        self.partial.get(kind).map(|partial| &*partial.reason)
    }

    /// Returns true if [`Self::note_partial`] limits the strikes of the kind.
    pub(super) fn limits_strikes(&self, kind: &ResourceKind) -> bool {
        self.partial
            .get(kind)
            .is_some_and(|partial| partial.limits_strikes)
    }

    /// Returns the number of staged resources of a kind.
    pub(super) fn staged(&self, kind: &ResourceKind) -> usize {
        let seen = self.seen.get(kind).into_iter().flat_map(HashMap::values);
        seen.filter(|is_staged| **is_staged).count()
    }

    pub(super) fn listing(&self) -> Uuid {
        self.listing
    }

    pub(super) fn provider_ids(&self, kind: &ResourceKind) -> Vec<&str> {
        let ids = self.seen.get(kind).into_iter().flat_map(HashMap::keys);
        ids.map(String::as_str).collect()
    }

    /// Adds a resource that an earlier attempt observed.
    pub(super) fn remember(&mut self, kind: ResourceKind, provider_id: String, is_staged: bool) {
        let ids = self.seen.entry(kind).or_default();
        *ids.entry(provider_id).or_default() |= is_staged;
    }

    /// Finds the tags and projects that changed resources lack and that their stored rows have.
    /// DigitalOcean omits both, without an error, if the token lacks the scope to read them.
    pub async fn withheld(&self, observed: &Fingerprinted) -> Result<Vec<Withheld>, StoreError> {
        let (mut kinds, mut ids, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (resource, fingerprint)) in observed.0.iter().enumerate() {
            let lacks_field = resource.tags.is_empty() || resource.project_id.is_none();
            if lacks_field && !self.stored.contains(fingerprint) {
                kinds.push(resource.kind.as_str());
                ids.push(resource.provider_id.as_str());
                places.push(place);
            }
        }
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let stored = sqlx::query!(
            r#"
            select observed.number as "number!", r.tags, r.body_project_id
            from unnest($1::text[], $2::text[]) with ordinality as observed (kind, provider_id, number)
            join cloud_resource_rows r
                on r.provider = 'digitalocean' and r.kind = observed.kind and r.provider_id = observed.provider_id
            where r.tags <> '{}' or r.body_project_id is not null
            order by observed.number
            "#,
            &kinds as &[&str],
            &ids as &[&str],
        )
        .fetch_all(&self.store.pool)
        .await?;
        let mut withheld = Vec::with_capacity(stored.len());
        for row in stored {
            let number = usize::try_from(row.number - 1).unwrap_or_default();
            let Some(place) = places.get(number).copied() else {
                continue;
            };
            let resource = &observed.0[place].0;
            let tags = row.tags.into_iter().filter(|_| resource.tags.is_empty());
            let project_id = row
                .body_project_id
                .filter(|_| resource.project_id.is_none());
            let fields = Withheld {
                place,
                kind: resource.kind.clone(),
                tags: tags.collect(),
                project_id: project_id.and_then(|id| id.parse().ok()),
            };
            if !fields.tags.is_empty() || fields.project_id.is_some() {
                withheld.push(fields);
            }
        }
        Ok(withheld)
    }

    /// Adds observed resources. A resource that is observed twice replaces its earlier version.
    pub async fn add(&mut self, resources: Vec<ObservedResource>) -> Result<(), StoreError> {
        self.add_fingerprinted(Fingerprinted::new(resources)).await
    }

    /// Like [`Self::add`].
    pub async fn add_fingerprinted(&mut self, observed: Fingerprinted) -> Result<(), StoreError> {
        let mut staged: HashMap<(ResourceKind, String), (ObservedResource, Fingerprint)> =
            HashMap::new();
        let mut order = Vec::new();
        let mut replaced = Vec::new();
        self.latest.clear();
        for (resource, fingerprint) in observed.0 {
            if self.pages.is_some() {
                let (kind, id) = (&resource.kind, &resource.provider_id);
                self.latest.push((kind.clone(), id.clone()));
            }
            let ids = self.seen.entry(resource.kind.clone()).or_default();
            let was_staged = ids.get(&resource.provider_id).copied().unwrap_or_default();
            if self.stored.contains(&fingerprint) && !was_staged {
                ids.insert(resource.provider_id, false);
                continue;
            }
            ids.insert(resource.provider_id.clone(), true);
            let key = (resource.kind.clone(), resource.provider_id.clone());
            match staged.insert(key.clone(), (resource, fingerprint)) {
                // Twice on one page: the later version has replaced the earlier one.
                Some(_) => {}
                None if was_staged => {
                    replaced.push(key.clone());
                    order.push(key);
                }
                None => order.push(key),
            }
        }
        if order.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = order.iter().filter_map(|key| staged.get(key)).collect();
        self.stage(&rows, &replaced).await
    }

    async fn stage(
        &self,
        rows: &[&(ObservedResource, Fingerprint)],
        replaced: &[(ResourceKind, String)],
    ) -> Result<(), StoreError> {
        let mut connection = self.store.pool.acquire().await?;
        if !replaced.is_empty() {
            let kinds: Vec<&str> = replaced.iter().map(|(kind, _)| kind.as_str()).collect();
            let ids: Vec<&str> = replaced.iter().map(|(_, id)| id.as_str()).collect();
            sqlx::query!(
                "delete from cloud_staged_resources s using unnest($2::text[], $3::text[]) as again (kind, provider_id)
                 where s.listing = $1 and s.kind = again.kind and s.provider_id = again.provider_id",
                self.listing,
                &kinds as &[&str],
                &ids as &[&str],
            )
            .execute(&mut *connection)
            .await?;
        }
        // Array parameters: five times as fast as JSON for large bodies, and one message where COPY
        // needs two.
        let ids: Vec<Uuid> = rows.iter().map(|_| Uuid::now_v7()).collect();
        let column = |value: fn(&ObservedResource) -> &str| -> Vec<&str> {
            rows.iter().map(|(resource, _)| value(resource)).collect()
        };
        let kinds = column(|resource| resource.kind.as_str());
        let provider_ids = column(|resource| &resource.provider_id);
        let names = column(|resource| &resource.name);
        let regions: Vec<Option<&str>> = rows
            .iter()
            .map(|(resource, _)| resource.region.as_deref())
            .collect();
        let statuses: Vec<Option<&str>> = rows
            .iter()
            .map(|(resource, _)| resource.status.as_deref())
            .collect();
        // PostgreSQL has no arrays of arrays with different lengths.
        let tags: Vec<String> = rows
            .iter()
            .map(|(resource, _)| array_literal(&sorted_tags(resource)))
            .collect();
        let attrs = column(|resource| resource.attrs.as_json());
        let fingerprints: Vec<&[u8]> = rows
            .iter()
            .map(|(_, fingerprint)| fingerprint.as_slice())
            .collect();
        let projects: Vec<Option<String>> = rows
            .iter()
            .map(|(resource, _)| resource.project_id.map(|id| id.to_string()))
            .collect();
        let relations: Vec<Option<String>> = rows
            .iter()
            .map(|(resource, _)| relations_json(&resource.relations))
            .collect();
        let owners: Vec<Option<&Relation>> = rows
            .iter()
            .map(|(resource, _)| owner(&resource.relations))
            .collect();
        let owner_relations: Vec<Option<&str>> = owners
            .iter()
            .map(|owner| owner.map(|owner| owner.relation.as_str()))
            .collect();
        let owner_kinds: Vec<Option<&str>> = owners
            .iter()
            .map(|owner| owner.map(|owner| owner.other.kind.as_str()))
            .collect();
        let owner_ids: Vec<Option<&str>> = owners
            .iter()
            .map(|owner| owner.map(|owner| owner.other.provider_id.as_str()))
            .collect();
        sqlx::query!(
            "insert into cloud_staged_resources
                 (listing, id, kind, provider_id, name, region, status, tags, attrs, fingerprint, body_project_id, relations,
                  owner_relation, owner_kind, owner_provider_id)
             select $1, id, kind, provider_id, name, region, status, tags::text[], attrs::jsonb, fingerprint, body_project_id,
                 relations::jsonb, owner_relation, owner_kind, owner_provider_id
             from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                 $10::bytea[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[])
                 as seen (id, kind, provider_id, name, region, status, tags, attrs, fingerprint, body_project_id, relations,
                     owner_relation, owner_kind, owner_provider_id)",
            self.listing,
            // Ascending ids keep related rows close together in the indexes.
            &ids,
            &kinds as &[&str],
            &provider_ids as &[&str],
            &names as &[&str],
            &regions as &[Option<&str>],
            &statuses as &[Option<&str>],
            &tags,
            &attrs as &[&str],
            &fingerprints as &[&[u8]],
            &projects as &[Option<String>],
            &relations as &[Option<String>],
            &owner_relations as &[Option<&str>],
            &owner_kinds as &[Option<&str>],
            &owner_ids as &[Option<&str>],
        )
        .execute(&mut *connection)
        .await?;
        Ok(())
    }
}

/// Formats an array of texts as a PostgreSQL literal.
fn array_literal(texts: &[String]) -> String {
    let quoted = texts
        .iter()
        .map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
    let joined = quoted.collect::<Vec<_>>().join(",");
    format!("{{{joined}}}")
}
