//! The model of the mirror: its rules in their simplest form.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::steps::{Kind, Step, Trouble};
use crate::world::World;

/// Complete listings in a row that must lack a resource before it is deleted.
const STRIKES: i32 = 3;

pub(crate) type Key = (Kind, String);

/// A resource in the account.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Body {
    pub(crate) name: String,
    pub(crate) tags: Vec<String>,
}

/// A row of the mirror.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) body: Body,
    pub(crate) strikes: i32,
    pub(crate) is_deleted: bool,
    /// The number of the latest step with a listing that showed it.
    pub(crate) seen_in: usize,
    /// DigitalOcean's id of the project.
    pub(crate) project: Option<Uuid>,
    pub(crate) tenant: Option<String>,
    pub(crate) attribution: Option<&'static str>,
    /// Whether it existed when the latest complete pass over the projects began.
    existed_at_the_last_pass: bool,
}

#[derive(Default)]
pub(crate) struct Reference {
    pub(crate) rows: BTreeMap<Key, Row>,
    /// The project that lists each member, and the number of complete passes in a row that did not
    /// list it.
    members: BTreeMap<Key, (Uuid, i32)>,
    tenants: BTreeMap<Uuid, String>,
    overrides: BTreeMap<Key, Uuid>,
    internal: Option<Uuid>,
    /// Whether the latest run of each kind added strikes.
    last_run_added_strikes: BTreeMap<Kind, bool>,
}

impl Reference {
    /// Whether the mirror has projects.
    pub(crate) fn has_projects(&self) -> bool {
        self.internal.is_some()
    }

    pub(crate) fn has_override(&self, key: &Key) -> bool {
        self.overrides.contains_key(key)
    }

    /// Applies a step that the world has taken; `world` is the account after it.
    pub(crate) fn follow(&mut self, step: &Step, world: &World) {
        match step {
            Step::Sync(kind) | Step::SyncKilled(kind, _) => self.sync(*kind, None, true, world),
            Step::SyncInTrouble(kind, trouble) => self.sync(*kind, Some(*trouble), true, world),
            Step::Retry(kind) => {
                let may_strike = !self
                    .last_run_added_strikes
                    .get(kind)
                    .copied()
                    .unwrap_or_default();
                let added_before = !may_strike;
                self.sync(*kind, None, may_strike, world);
                let added_strikes = self.last_run_added_strikes.entry(*kind).or_default();
                *added_strikes |= added_before;
            }
            Step::SyncTwice(kind) => {
                self.sync(*kind, None, true, world);
                // Listings that overlap are not apart in time.
                if !world.did_overlap {
                    self.sync(*kind, None, true, world);
                }
                self.last_run_added_strikes
                    .insert(*kind, world.is_second_stored);
            }
            Step::SyncProjects => self.walk(None, world),
            Step::SyncProjectsInTrouble(place) => self.walk(Some(*place), world),
            Step::Create(_)
            | Step::Remove(..)
            | Step::Rename(..)
            | Step::Retag(_)
            | Step::Move(..)
            | Step::Assign(..)
            | Step::Override(..)
            | Step::RemoveOverride(..) => {}
        }
    }

    pub(crate) fn assign(&mut self, project: Uuid, tenant: Option<String>) {
        match tenant {
            Some(tenant) => drop(self.tenants.insert(project, tenant)),
            None => drop(self.tenants.remove(&project)),
        }
        self.attribute();
    }

    pub(crate) fn set_override(&mut self, key: &Key, project: Option<Uuid>) {
        match project {
            Some(project) => drop(self.overrides.insert(key.clone(), project)),
            None => drop(self.overrides.remove(key)),
        }
        self.attribute();
    }

    fn sync(&mut self, kind: Kind, trouble: Option<Trouble>, may_strike: bool, world: &World) {
        let mut shown = world.account(kind);
        let is_complete = match trouble {
            // A short page contradicts its total and is read a second time.
            None | Some(Trouble::ShortPage) => true,
            Some(Trouble::EmptyList) => {
                shown.retain(|id, _| world.is_gpu(kind, id));
                true
            }
            Some(Trouble::SecondList) => {
                shown.retain(|id, _| !world.is_gpu(kind, id));
                kind != Kind::Droplet
            }
            Some(_) => {
                shown.clear();
                false
            }
        };
        for (id, body) in &shown {
            let row = self.rows.entry((kind, id.clone())).or_insert_with(|| Row {
                body: body.clone(),
                strikes: 0,
                is_deleted: false,
                seen_in: world.step(),
                project: None,
                tenant: None,
                attribution: None,
                existed_at_the_last_pass: false,
            });
            row.body = body.clone();
            row.strikes = 0;
            row.is_deleted = false;
            row.seen_in = world.step();
        }
        if is_complete && may_strike {
            let live = || {
                let rows = self.rows.iter();
                rows.filter(|((of, _), row)| *of == kind && !row.is_deleted)
            };
            let is_last = |row: &Row| row.strikes + 1 >= STRIKES;
            let doomed = live().filter(|((_, id), row)| !shown.contains_key(id) && is_last(row));
            let doomed = doomed.count();
            // Without the deletion of all rows of a kind, which is held.
            let is_held = doomed >= 2 && doomed == live().count();
            let missing = self.rows.iter_mut().filter(|((of, id), row)| {
                *of == kind && !row.is_deleted && !shown.contains_key(id)
            });
            for (_, row) in missing.filter(|(_, row)| !(is_held && is_last(row))) {
                row.strikes += 1;
                row.is_deleted = row.strikes >= STRIKES;
            }
        }
        self.last_run_added_strikes.insert(kind, is_complete);
        self.attribute();
    }

    fn walk(&mut self, unreadable: Option<usize>, world: &World) {
        let projects = world.projects();
        self.internal = world.internal();
        let unreadable = unreadable.map(|place| projects[place % projects.len()]);
        let mut listed = BTreeMap::new();
        for kind in Kind::ALL {
            for id in world.account(kind).into_keys() {
                let project = world.project_of(kind, &id);
                if let Some(project) = project.filter(|_| project != unreadable) {
                    listed.insert((kind, id), project);
                }
            }
        }
        if unreadable.is_none() {
            let is_listed = |kind| listed.keys().any(|(of, _)| *of == kind);
            for (key, (_, strikes)) in &mut self.members {
                // A pass without any member of an existing kind proves nothing for it: the token
                // may lack its scope.
                let exists = self
                    .rows
                    .iter()
                    .any(|((of, _), row)| *of == key.0 && !row.is_deleted);
                if !listed.contains_key(key) && (is_listed(key.0) || !exists) {
                    *strikes += 1;
                }
            }
            self.members.retain(|_, (_, strikes)| *strikes < STRIKES);
            for row in self.rows.values_mut() {
                row.existed_at_the_last_pass = true;
            }
        }
        for (key, project) in listed {
            self.members.insert(key, (project, 0));
        }
        self.attribute();
    }

    /// Sets project, tenant and attribution of live rows; those of deleted ones are kept.
    fn attribute(&mut self) {
        for (key, row) in self.rows.iter_mut().filter(|(_, row)| !row.is_deleted) {
            let member = self.members.get(key).map(|(project, _)| *project);
            let internal = self
                .internal
                .filter(|_| key.0.uses_the_internal_project() && row.existed_at_the_last_pass);
            (row.project, row.attribution) = if let Some(project) = self.overrides.get(key) {
                (Some(*project), Some("operator"))
            } else if let Some(project) = member {
                (Some(project), Some("membership"))
            } else if let Some(internal) = internal {
                (Some(internal), Some("fallback"))
            } else {
                (None, None)
            };
            row.tenant = row
                .project
                .and_then(|project| self.tenants.get(&project).cloned());
        }
    }
}
