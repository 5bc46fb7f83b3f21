//! The account, its syncs, and what the mirror holds after them.

use std::collections::BTreeMap;
use std::time::Duration;

use activities::inventory::InventoryActivities;
use activities::projects::ProjectActivities;
use chrono::{DateTime, Utc};
use digitalocean::Client;
use domain::{ResourceKind, TenantId};
use serde_json::{Map, Value, json};
use simulator::{Account, DEMO_TOKEN, Fault, FaultKind, Simulator};
use sqlx::PgPool;
use store::inventory::{Guard, PinChange, Resource, ResourceFilter, Rules, State};
use store::projects::ProjectChange;
use store::{Run, Store};
use uuid::Uuid;

use crate::reference::{Body, Key, Reference};
use crate::steps::{Kind, Step};

const INTERNAL: &str = "internal";
const PAGE: i64 = 10_000;

pub(crate) struct World {
    database: String,
    simulator: Simulator,
    store: Store,
    pool: PgPool,
    inventory: InventoryActivities,
    projects: ProjectActivities,
    runs: u32,
    /// The latest run of each kind.
    latest: BTreeMap<Kind, Run>,
    names: u32,
    /// Whether an attempt may have left staged rows behind, for a later one to clear away.
    was_killed: bool,
    /// What the mirror held, and when.
    past: Vec<(DateTime<Utc>, Vec<Value>)>,
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
        let digitalocean = Client::new(&simulator.url(), DEMO_TOKEN.into()).unwrap();
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
            past: Vec::new(),
        }
    }

    pub(crate) async fn take(&mut self, step: &Step, reference: &mut Reference) {
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
                let fault = Fault::new(trouble.fault(), kind.path()).times(1);
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
                tokio::join!(self.sync_as(kind, one), self.sync_as(kind, two));
            }
            Step::SyncProjects => self.sync_projects().await,
            Step::SyncProjectsInTrouble(place) => {
                // The internal project must be there first, so that it is the same place for all.
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
            Step::Pin(kind, place, project) => {
                self.pin(kind, place, Some(project), reference).await;
            }
            Step::Unpin(kind, place) => self.pin(kind, place, None, reference).await,
        }
        reference.follow(step, self);
    }

    fn create(&mut self, kind: Kind) {
        let name = self.new_name();
        self.simulator.change(|account| match kind {
            Kind::Droplet => drop(account.add_droplet(&name, "s-1vcpu-1gb", "nyc3")),
            Kind::Volume => drop(account.add_volume(&name, "nyc3", 10)),
            Kind::Zone => account.add_domain(&format!("{name}.example")),
        });
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

    /// Whether it succeeds is Temporal's business.
    async fn sync_as(&self, kind: Kind, run: Run) {
        let kind = ResourceKind::named(kind.word());
        drop(self.inventory.sync(kind, run).await);
    }

    /// As in a process of its own that dies after so long: its connections break wherever they are.
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
            drop(doomed.sync(ResourceKind::named(kind.word()), run).await);
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
        };
        let row = self.project_row(project).await;
        self.store
            .change_project(row, &change, "ann")
            .await
            .unwrap();
        reference.assign(project, tenant);
    }

    async fn pin(
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
        if project.is_none() && !reference.pinned(key) {
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
        .bind(kind.word())
        .bind(&key.1)
        .fetch_one(&self.pool)
        .await
        .unwrap();
        let change = PinChange {
            tenant_id: None,
            cloud_project_id: Some(row),
        };
        self.store
            .change_pin(resource, &change, "ann")
            .await
            .unwrap();
        reference.pin(key, project);
    }

    async fn project_row(&self, project: Uuid) -> Uuid {
        sqlx::query_scalar("select id from cloud_projects where provider_id = $1")
            .bind(project.to_string())
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// What the account has of a kind.
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

    /// Whether the mirror holds what the model says, its events replay to its rows, and its intervals fit them.
    pub(crate) async fn compare(&mut self, reference: &Reference) -> Result<(), String> {
        let rows = self.rows().await;
        let projects: BTreeMap<Uuid, String> =
            sqlx::query_as("select id, provider_id from cloud_projects")
                .fetch_all(&self.pool)
                .await
                .unwrap()
                .into_iter()
                .collect();
        let project = |row: &Resource| {
            row.cloud_project_id
                .and_then(|id| projects.get(&id)?.parse::<Uuid>().ok())
        };
        let held: BTreeMap<(String, String), &Resource> = rows
            .iter()
            .map(|row| ((row.kind.clone(), row.provider_id.clone()), row))
            .collect();
        if held.len() != reference.rows.len() {
            return Err(format!("{} rows, not {}", held.len(), reference.rows.len()));
        }
        for ((kind, id), expected) in &reference.rows {
            let Some(row) = held.get(&(kind.word().to_owned(), id.clone())) else {
                return Err(format!("{kind:?} {id} is missing"));
            };
            let differs = row.name != expected.body.name
                || row.tags != expected.body.tags
                || row.stale_strike_count != expected.strikes
                || row.deleted_at.is_some() != expected.is_deleted
                || project(row) != expected.project
                || row.tenant_id != expected.tenant
                || row.attribution.as_deref() != expected.attribution;
            if differs {
                return Err(format!("{row:?} in {:?}, not {expected:?}", project(row)));
            }
        }
        self.compare_replay(&rows).await?;
        let unfit: i64 = sqlx::query_scalar(
            "select count(*) from cloud_resources r
             full join (select * from cloud_project_memberships where valid_to is null) m on m.resource_id = r.id
             where (case when r.deleted_at is null then r.cloud_project_id end) is distinct from m.cloud_project_id",
        )
        .fetch_one(&self.pool)
        .await
        .unwrap();
        if unfit > 0 {
            return Err(format!("{unfit} open intervals do not fit their rows"));
        }
        let left: i64 = sqlx::query_scalar("select count(*) from cloud_staged_resources")
            .fetch_one(&self.pool)
            .await
            .unwrap();
        if left > 0 && !self.was_killed {
            return Err(format!("{left} rows are left staged"));
        }
        let now = self.store.now().await.unwrap();
        self.past.push((now, rows.iter().map(state_of).collect()));
        Ok(())
    }

    /// The events of each resource, applied one after the other to nothing, must give its row.
    async fn compare_replay(&self, rows: &[Resource]) -> Result<(), String> {
        let events: Vec<(Uuid, String, Value)> = sqlx::query_as(
            "select resource_id, event, changes from cloud_resource_events order by id",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        let mut replayed: BTreeMap<Uuid, Map<String, Value>> = BTreeMap::new();
        for (resource, event, changes) in events {
            let is_known = replayed.contains_key(&resource);
            if is_known == (event == "discovered") {
                return Err(format!(
                    "{resource} has {event} as its {is_known} first event"
                ));
            }
            apply(replayed.entry(resource).or_default(), &changes);
        }
        for row in rows {
            let expected = state_of(row);
            let Some(state) = replayed.get(&row.id) else {
                return Err(format!("{} has no events", row.id));
            };
            for field in FIELDS {
                let of_events = state.get(field).cloned().unwrap_or_default();
                if of_events != expected[field] {
                    return Err(format!(
                        "{field} of {} {} is {}, by its events {of_events}",
                        row.kind, row.provider_id, expected[field]
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether each moment of the past can still be seen as it was.
    pub(crate) async fn compare_history(&self) -> Result<(), String> {
        let filter = ResourceFilter {
            state: State::All,
            ..ResourceFilter::default()
        };
        for (at, expected) in &self.past {
            let rows = self
                .store
                .resources_as_of(*at, &filter, None, PAGE)
                .await
                .unwrap();
            let seen: Vec<Value> = rows.iter().map(state_of).collect();
            if seen != *expected {
                return Err(format!("as of {at}: {seen:?}, not {expected:?}"));
            }
        }
        Ok(())
    }

    async fn rows(&self) -> Vec<Resource> {
        let filter = ResourceFilter {
            state: State::All,
            ..ResourceFilter::default()
        };
        self.store.resources(&filter, None, PAGE).await.unwrap()
    }
}

const FIELDS: [&str; 9] = [
    "name",
    "region",
    "status",
    "tags",
    "attrs",
    "cloud_project_id",
    "tenant_id",
    "attribution",
    "deleted_at",
];

fn state_of(row: &Resource) -> Value {
    json!({
        "kind": row.kind,
        "provider_id": row.provider_id,
        "name": row.name,
        "region": row.region,
        "status": row.status,
        "tags": row.tags,
        "attrs": row.attrs,
        "cloud_project_id": row.cloud_project_id,
        "tenant_id": row.tenant_id,
        "attribution": row.attribution,
        "deleted_at": row.deleted_at.map(|at| at.timestamp_micros()),
    })
}

fn apply(state: &mut Map<String, Value>, changes: &Value) {
    for (field, change) in changes.as_object().unwrap() {
        let after = change["after"].clone();
        if let Some(key) = field.strip_prefix("attrs.") {
            let attrs = state["attrs"].as_object_mut().unwrap();
            match after {
                Value::Null => drop(attrs.remove(key)),
                value => drop(attrs.insert(key.to_owned(), value)),
            }
        } else if field == "deleted_at" {
            let at = after.as_str().map(|text| {
                DateTime::parse_from_rfc3339(text)
                    .unwrap()
                    .timestamp_micros()
            });
            state.insert(field.clone(), json!(at));
        } else {
            state.insert(field.clone(), after);
        }
    }
}

/// Rows are never removed, by anyone who does not say so as loudly as this.
async fn empty(pool: &PgPool) {
    sqlx::raw_sql(
        "set session_replication_role = replica;
         truncate cloud_projects, cloud_resources, cloud_project_members, cloud_listings, cloud_resource_events,
             cloud_staged_resources, cloud_resource_relations, cloud_resource_pins, cloud_project_memberships,
             cloud_project_tenants, cloud_kind_freshness, cloud_held_deletions, cloud_held_resources, cloud_cost_lines,
             cloud_invoices;
         set session_replication_role = default",
    )
    .execute(pool)
    .await
    .unwrap();
}
