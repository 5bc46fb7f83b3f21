//! The account, the mirror, and the steps that change them.

use std::collections::BTreeMap;
use std::time::Duration;

use activities::inventory::InventoryActivities;
use activities::projects::ProjectActivities;
use chrono::{DateTime, Utc};
use digitalocean::Client;
use domain::{ResourceKind, TenantId};
use serde_json::Value;
use simulator::{Account, DEMO_TOKEN, Fault, FaultKind, Simulator};
use sqlx::PgPool;
use store::inventory::{Commit, Guard, OverrideChange, Rules};
use store::projects::ProjectChange;
use store::{Actor, Run, Store};
use uuid::Uuid;

use crate::reference::{Body, Key, Reference};
use crate::steps::{Kind, RESPONSE_TIMEOUT, Step};

const INTERNAL: &str = "internal";

pub(crate) struct World {
    database: String,
    simulator: Simulator,
    pub(crate) store: Store,
    pub(crate) pool: PgPool,
    inventory: InventoryActivities,
    projects: ProjectActivities,
    runs: u32,
    /// The latest run of each kind.
    latest: BTreeMap<Kind, Run>,
    names: u32,
    /// Whether an attempt can have left staged rows, which a later attempt deletes.
    pub(crate) was_killed: bool,
    /// Whether the listings of the latest [`Step::SyncTwice`] overlapped in time.
    pub(crate) did_overlap: bool,
    /// Whether the second of these listings was stored. It is not if the first one began later and
    /// was stored earlier; a retry of its run then lists for the first time.
    pub(crate) is_second_stored: bool,
    /// The start and the end of each step.
    pub(crate) moments: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    /// `last_seen_at` of each row after the latest step.
    pub(crate) last_seen: BTreeMap<Uuid, DateTime<Utc>>,
    /// Past states of the mirror, with their times.
    pub(crate) past: Vec<(DateTime<Utc>, Vec<Value>)>,
}

impl World {
    /// An empty account with three projects, and an empty mirror.
    pub(crate) async fn new(database: &str) -> Self {
        let store = Store::connect(database, 6).await.unwrap();
        store.migrate().await.unwrap();
        let pool = PgPool::connect(database).await.unwrap();
        empty(&pool).await;
        let mut account = Account::empty();
        account.add_project("storefront");
        account.add_project("analytics");
        let simulator = Simulator::start(account).await.unwrap();
        let digitalocean =
            Client::with_timeout(RESPONSE_TIMEOUT, &simulator.url(), DEMO_TOKEN.into()).unwrap();
        let rules = Rules {
            strike_interval: Duration::ZERO,
            guard: Guard::default(),
        };
        Self {
            inventory: InventoryActivities {
                digitalocean: digitalocean.clone(),
                store: store.clone(),
                rules,
                dns_records: false,
                spaces: None,
            },
            projects: ProjectActivities {
                digitalocean,
                store: store.clone(),
                internal_project: INTERNAL.to_owned(),
                rules,
            },
            database: database.to_owned(),
            simulator,
            store,
            pool,
            runs: 0,
            latest: BTreeMap::new(),
            names: 0,
            was_killed: false,
            did_overlap: false,
            is_second_stored: false,
            moments: Vec::new(),
            last_seen: BTreeMap::new(),
            past: Vec::new(),
        }
    }

    pub(crate) async fn take(&mut self, step: &Step, reference: &mut Reference) {
        let start = self.store.now().await.unwrap();
        Box::pin(self.change(step, reference)).await;
        reference.follow(step, self);
        let end = self.store.now().await.unwrap();
        self.moments.push((start, end));
    }

    async fn change(&mut self, step: &Step, reference: &mut Reference) {
        match *step {
            Step::Create(kind) => self.create(kind),
            Step::Remove(kind, place) => self.with(kind, place, |account, id| match kind {
                Kind::Droplet => account.remove_droplet(id.parse().unwrap()),
                Kind::Volume => account.remove_volume(id.parse().unwrap()),
                Kind::Zone => account.remove_domain(id),
            }),
            Step::Rename(kind, place) => {
                let name = self.new_name();
                self.with(kind, place, |account, id| match kind {
                    Kind::Droplet => account.rename_droplet(id.parse().unwrap(), &name),
                    Kind::Volume => account.rename_resource("volume", id, &name),
                    // A zone's name is its id.
                    Kind::Zone => {}
                });
            }
            Step::Retag(place) => {
                let tag = self.new_name();
                self.with(Kind::Droplet, place, |account, id| {
                    account.tag_droplet(id.parse().unwrap(), &tag);
                });
            }
            Step::Move(kind, place, project) => {
                let projects = self.projects();
                let project = projects[project % projects.len()];
                self.with(kind, place, |account, id| {
                    account.assign(project, &kind.urn(id));
                });
            }
            Step::Sync(kind) => self.sync(kind).await,
            Step::SyncInTrouble(kind, trouble) => {
                let fault = Fault::new(trouble.fault(), trouble.target(kind)).times(1);
                self.simulator.fail(fault);
                self.sync(kind).await;
                self.simulator.clear_faults();
            }
            Step::Retry(kind) => {
                let run = self.latest.get(&kind).cloned();
                let run = run.unwrap_or_else(|| self.new_run(kind));
                self.sync_as(kind, run).await;
            }
            Step::SyncKilled(kind, micros) => {
                let run = self.new_run(kind);
                self.sync_and_die(kind, run.clone(), micros).await;
                self.was_killed = true;
                self.sync_as(kind, run).await;
            }
            Step::SyncTwice(kind) => {
                let (one, two) = (self.new_run(kind), self.new_run(kind));
                tokio::join!(
                    self.sync_as(kind, one.clone()),
                    self.sync_as(kind, two.clone())
                );
                self.is_second_stored = self.is_stored(kind, &two.run_id).await;
                self.did_overlap = self.overlap(kind, [one.run_id, two.run_id]).await;
            }
            Step::SyncProjects => self.sync_projects().await,
            Step::SyncProjectsInTrouble(place) => {
                // The internal project is created first, so that its index is the same for the
                // world and the model.
                if self.internal().is_none() {
                    self.sync_projects().await;
                    reference.follow(&Step::SyncProjects, self);
                }
                let projects = self.projects();
                let path = format!(
                    "/v2/projects/{}/resources",
                    projects[place % projects.len()]
                );
                self.simulator
                    .fail(Fault::new(FaultKind::ServerError { status: 500 }, &path));
                self.sync_projects().await;
                self.simulator.clear_faults();
            }
            Step::Assign(place, tenant) => self.assign(place, tenant, reference).await,
            Step::Override(kind, place, project) => {
                self.change_override(kind, place, Some(project), reference)
                    .await;
            }
            Step::RemoveOverride(kind, place) => {
                self.change_override(kind, place, None, reference).await;
            }
        }
    }

    /// Returns true if one of two listings began before the end of the other.
    async fn overlap(&self, kind: Kind, runs: [String; 2]) -> bool {
        sqlx::query_scalar(
            "select max(started_at) < min(finished_at) from cloud_listings where kind = $1 and run_id = any($2)",
        )
        .bind(kind.name())
        .bind(runs)
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// Returns false if a listing that began later was stored before the complete one of this run.
    async fn is_stored(&self, kind: Kind, run: &str) -> bool {
        sqlx::query_scalar("select has_struck from cloud_listings where kind = $1 and run_id = $2")
            .bind(kind.name())
            .bind(run)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    fn create(&mut self, kind: Kind) {
        let name = self.new_name();
        let is_gpu = self.names.is_multiple_of(3);
        self.simulator.change(|account| match kind {
            Kind::Droplet if is_gpu => {
                account.add_gpu_droplet(&name, "gpu-h100x1-80gb", "nyc3");
            }
            Kind::Droplet => drop(account.add_droplet(&name, "s-1vcpu-1gb", "nyc3")),
            Kind::Volume => drop(account.add_volume(&name, "nyc3", 10)),
            Kind::Zone => account.add_domain(&format!("{name}.example")),
        });
    }

    /// Returns the number of the step in progress.
    pub(crate) fn step(&self) -> usize {
        self.moments.len()
    }

    fn with(&self, kind: Kind, place: usize, change: impl FnOnce(&mut Account, &str)) {
        let ids: Vec<String> = self.account(kind).into_keys().collect();
        if let Some(id) = ids.get(place) {
            self.simulator.change(|account| change(account, id));
        }
    }

    fn new_name(&mut self) -> String {
        self.names += 1;
        format!("name-{}", self.names)
    }

    fn new_run(&mut self, kind: Kind) -> Run {
        self.runs += 1;
        let run = Run {
            workflow_id: format!("sync-{}", self.runs),
            run_id: format!("run-{}", self.runs),
        };
        self.latest.insert(kind, run.clone());
        run
    }

    async fn sync(&mut self, kind: Kind) {
        let run = self.new_run(kind);
        self.sync_as(kind, run).await;
    }

    /// The result is ignored: a retry is Temporal's part.
    async fn sync_as(&self, kind: Kind, run: Run) {
        let kind = ResourceKind::named(kind.name());
        drop(self.inventory.sync(kind, run).await);
    }

    /// Runs a sync in a separate process that dies after this time: its connections break at any
    /// point.
    async fn sync_and_die(&self, kind: Kind, run: Run, micros: u64) {
        let store = Store::connect(&self.database, 2).await.unwrap();
        let doomed = InventoryActivities {
            digitalocean: self.inventory.digitalocean.clone(),
            store: store.clone(),
            rules: self.inventory.rules,
            dns_records: false,
            spaces: None,
        };
        let process = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let dead = process.spawn(async move {
            drop(doomed.sync(ResourceKind::named(kind.name()), run).await);
        });
        drop(tokio::time::timeout(Duration::from_micros(micros), dead).await);
        process.shutdown_background();
        drop(store);
    }

    async fn sync_projects(&mut self) {
        self.runs += 1;
        let run = Run {
            workflow_id: "sync-projects".to_owned(),
            run_id: format!("run-{}", self.runs),
        };
        drop(self.projects.sync_projects(run.clone()).await);
        drop(self.projects.walk(run).await);
    }

    async fn assign(&self, place: usize, tenant: Option<u8>, reference: &mut Reference) {
        if !reference.has_projects() {
            return;
        }
        let projects = self.projects();
        let project = projects[place % projects.len()];
        let tenant = tenant.map(|number| format!("tenant-{number}"));
        let change = ProjectChange {
            tenant_id: Some(
                tenant
                    .as_ref()
                    .map(|tenant| tenant.parse::<TenantId>().unwrap()),
            ),
            purpose: None,
            tenant_since: None,
        };
        let row = self.project_row(project).await;
        self.store
            .change_project(row, &change, &Actor::of_command("ann"), Commit::Keep)
            .await
            .unwrap();
        reference.assign(project, tenant);
    }

    async fn change_override(
        &self,
        kind: Kind,
        place: usize,
        project: Option<usize>,
        reference: &mut Reference,
    ) {
        if !reference.has_projects() {
            return;
        }
        let live: Vec<Key> = reference
            .rows
            .iter()
            .filter(|((of, _), row)| *of == kind && !row.is_deleted)
            .map(|(key, _)| key.clone())
            .collect();
        let Some(key) = live.get(place) else { return };
        if project.is_none() && !reference.has_override(key) {
            return;
        }
        let projects = self.projects();
        let project = project.map(|place| projects[place % projects.len()]);
        let mut row = None;
        if let Some(project) = project {
            row = Some(self.project_row(project).await);
        }
        let resource: Uuid = sqlx::query_scalar(
            "select id from cloud_resources where kind = $1 and provider_id = $2",
        )
        .bind(kind.name())
        .bind(&key.1)
        .fetch_one(&self.pool)
        .await
        .unwrap();
        let change = OverrideChange {
            tenant_id: None,
            cloud_project_id: Some(row),
            since: None,
        };
        self.store
            .change_override(resource, &change, &Actor::of_command("ann"), Commit::Keep)
            .await
            .unwrap();
        reference.set_override(key, project);
    }

    async fn project_row(&self, project: Uuid) -> Uuid {
        sqlx::query_scalar("select id from cloud_projects where provider_id = $1")
            .bind(project.to_string())
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Returns the account's resources of a kind.
    pub(crate) fn account(&self, kind: Kind) -> BTreeMap<String, Body> {
        let body = |name: &str, tags: &[String]| {
            let mut tags = tags.to_vec();
            tags.sort();
            Body {
                name: name.to_owned(),
                tags,
            }
        };
        self.simulator.read(|account| match kind {
            Kind::Droplet => account
                .droplets()
                .iter()
                .chain(account.gpu_droplets())
                .map(|droplet| (droplet.id.to_string(), body(&droplet.name, &droplet.tags)))
                .collect(),
            Kind::Volume => account
                .volumes()
                .iter()
                .map(|volume| (volume.id.to_string(), body(&volume.name, &volume.tags)))
                .collect(),
            Kind::Zone => account
                .domains()
                .iter()
                .map(|zone| (zone.name.clone(), body(&zone.name, &[])))
                .collect(),
        })
    }

    /// Returns true for a droplet of the separate list.
    pub(crate) fn is_gpu(&self, kind: Kind, id: &str) -> bool {
        self.simulator.read(|account| {
            let mut gpus = account.gpu_droplets().iter();
            kind == Kind::Droplet && gpus.any(|droplet| droplet.id.to_string() == id)
        })
    }

    pub(crate) fn projects(&self) -> Vec<Uuid> {
        let mut projects: Vec<Uuid> = self.simulator.read(|account| {
            account
                .projects()
                .iter()
                .map(|project| project.id)
                .collect()
        });
        projects.sort();
        projects
    }

    pub(crate) fn internal(&self) -> Option<Uuid> {
        self.simulator.read(|account| {
            let mut projects = account.projects().iter();
            projects
                .find(|project| project.name == INTERNAL)
                .map(|project| project.id)
        })
    }

    pub(crate) fn project_of(&self, kind: Kind, id: &str) -> Option<Uuid> {
        self.simulator
            .read(|account| account.project_of(&kind.urn(id)))
    }
}

/// Empties all tables. Triggers forbid deletions, so this disables them.
async fn empty(pool: &PgPool) {
    sqlx::raw_sql(
        "set session_replication_role = replica;
         truncate cloud_project_rows, cloud_project_events, cloud_held_projects, cloud_resource_rows, cloud_sightings, cloud_project_members, cloud_listings, cloud_resource_events,
             cloud_resource_past_values,
             cloud_staged_resources, cloud_resource_relations, cloud_resource_overrides, cloud_project_memberships,
             cloud_project_tenants, cloud_project_names, cloud_kind_freshness, cloud_held_deletions,
             cloud_held_resources, cloud_invoices, cloud_invoice_parts, cloud_invoice_versions, cloud_superseded_cost_lines,
             cloud_cost_lines, cloud_cost_line_shares, cloud_cost_line_overrides, cloud_cost_totals;
         set session_replication_role = default",
    )
    .execute(pool)
    .await
    .unwrap();
}
