//! What the mirror must hold: the rules of the mirror in their plainest form.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::steps::{Kind, Step, Trouble};
use crate::world::World;

/// How many complete listings in a row must lack a resource.
const STRIKES: i32 = 3;

pub(crate) type Key = (Kind, String);

/// A resource as the account has it.
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
    /// DigitalOcean's id of the project.
    pub(crate) project: Option<Uuid>,
    pub(crate) tenant: Option<String>,
    pub(crate) attribution: Option<&'static str>,
    /// Whether it was there when the latest complete pass over the projects began.
    was_there_at_the_last_pass: bool,
}

#[derive(Default)]
pub(crate) struct Reference {
    pub(crate) rows: BTreeMap<Key, Row>,
    /// Which project lists it, and how many complete passes in a row did not.
    members: BTreeMap<Key, (Uuid, i32)>,
    tenants: BTreeMap<Uuid, String>,
    pins: BTreeMap<Key, Uuid>,
    internal: Option<Uuid>,
    /// Whether the latest run of a kind has struck.
    last_run_has_struck: BTreeMap<Kind, bool>,
}

impl Reference {
    /// The projects that the mirror knows.
    pub(crate) fn has_projects(&self) -> bool {
        self.internal.is_some()
    }

    pub(crate) fn pinned(&self, key: &Key) -> bool {
        self.pins.contains_key(key)
    }

    /// What follows from a step that the world has taken; `world` is the account after it.
    pub(crate) fn follow(&mut self, step: &Step, world: &World) {
        match step {
            Step::Sync(kind) | Step::SyncKilled(kind, _) => self.sync(*kind, None, true, world),
            Step::SyncInTrouble(kind, trouble) => self.sync(*kind, Some(*trouble), true, world),
            Step::Retry(kind) => {
                let may_strike = !self
                    .last_run_has_struck
                    .get(kind)
                    .copied()
                    .unwrap_or_default();
                let struck_before = !may_strike;
                self.sync(*kind, None, may_strike, world);
                let has_struck = self.last_run_has_struck.entry(*kind).or_default();
                *has_struck |= struck_before;
            }
            Step::SyncTwice(kind) => {
                self.sync(*kind, None, true, world);
                self.sync(*kind, None, true, world);
            }
            Step::SyncProjects => self.walk(None, world),
            Step::SyncProjectsInTrouble(place) => self.walk(Some(*place), world),
            Step::Create(_)
            | Step::Remove(..)
            | Step::Rename(..)
            | Step::Retag(_)
            | Step::Move(..)
            | Step::Assign(..)
            | Step::Pin(..)
            | Step::Unpin(..) => {}
        }
    }

    pub(crate) fn assign(&mut self, project: Uuid, tenant: Option<String>) {
        match tenant {
            Some(tenant) => drop(self.tenants.insert(project, tenant)),
            None => drop(self.tenants.remove(&project)),
        }
        self.attribute();
    }

    pub(crate) fn pin(&mut self, key: &Key, project: Option<Uuid>) {
        match project {
            Some(project) => drop(self.pins.insert(key.clone(), project)),
            None => drop(self.pins.remove(key)),
        }
        self.attribute();
    }

    fn sync(&mut self, kind: Kind, trouble: Option<Trouble>, may_strike: bool, world: &World) {
        let account = world.account(kind);
        let (sees, is_complete) = match trouble {
            // A short page contradicts its total and is read again.
            None | Some(Trouble::ShortPage) => (true, true),
            Some(Trouble::EmptyList) => (false, true),
            Some(_) => (false, false),
        };
        if sees {
            for (id, body) in &account {
                let row = self.rows.entry((kind, id.clone())).or_insert_with(|| Row {
                    body: body.clone(),
                    strikes: 0,
                    is_deleted: false,
                    project: None,
                    tenant: None,
                    attribution: None,
                    was_there_at_the_last_pass: false,
                });
                row.body = body.clone();
                row.strikes = 0;
                row.is_deleted = false;
            }
        }
        if is_complete && may_strike {
            let lacked = self.rows.iter_mut().filter(|((of, id), row)| {
                *of == kind && !row.is_deleted && !(sees && account.contains_key(id))
            });
            for (_, row) in lacked {
                row.strikes += 1;
                row.is_deleted = row.strikes >= STRIKES;
            }
        }
        self.last_run_has_struck.insert(kind, is_complete);
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
                // A pass that sees nothing of a kind that is there says nothing of it: the token may not see it.
                let is_there = self
                    .rows
                    .iter()
                    .any(|((of, _), row)| *of == key.0 && !row.is_deleted);
                if !listed.contains_key(key) && (is_listed(key.0) || !is_there) {
                    *strikes += 1;
                }
            }
            self.members.retain(|_, (_, strikes)| *strikes < STRIKES);
            for row in self.rows.values_mut() {
                row.was_there_at_the_last_pass = true;
            }
        }
        for (key, project) in listed {
            self.members.insert(key, (project, 0));
        }
        self.attribute();
    }

    /// Sets project, tenant and attribution of live rows; those of tombstoned ones stay as they were.
    fn attribute(&mut self) {
        for (key, row) in self.rows.iter_mut().filter(|(_, row)| !row.is_deleted) {
            let member = self.members.get(key).map(|(project, _)| *project);
            let internal = self.internal.filter(|_| {
                key.0.falls_to_the_internal_project() && row.was_there_at_the_last_pass
            });
            (row.project, row.attribution) = if let Some(pinned) = self.pins.get(key) {
                (Some(*pinned), Some("operator"))
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
