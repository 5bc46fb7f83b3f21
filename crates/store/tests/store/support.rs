//! The fixture of all tests: a store, and helpers to observe resources and projects.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use devstack::testing::TestDatabase;
use domain::balance::BalanceReading;
use domain::inventory::{Direction, ObservedResource, Relation, RelationKind};
use domain::invoices::InvoiceHeader;
use domain::ledger::BillingEntry;
use domain::projects::{MemberStatus, ObservedProject, ProjectMember};
use domain::{Completeness, InvoiceUuid, ResourceKind};
use serde_json::json;
use sqlx::PgPool;
use store::inventory::{
    Guard, ListingFacts, Observations, Resource, ResourceEvent, ResourceFilter, Rules, Shortfall,
    State, SweepOutcome,
};
use store::invoices::{IngestOutcome, InvoiceContent, InvoicesDiscovered};
use store::ledger::LedgerOutcome;
use store::projects::{
    MembershipOutcome, MembershipPass, ProjectMembers, ProjectSweep, ProjectSweepOutcome,
};
use store::{Actor, Evidence, Run, Store, StoreError};
use uuid::Uuid;

/// A store with its own migrated database, and a pool to query the database directly.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) pool: PgPool,
    runs: AtomicU32,
    database: TestDatabase,
}

impl Deref for Fixture {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

pub(crate) async fn fixture() -> Fixture {
    let database = devstack::testing::migrated_database(async |url| {
        let store = Store::connect(&url, 1).await.unwrap();
        store.migrate().await.unwrap();
    })
    .await;
    let store = Store::connect(&database.url(), 8).await.unwrap();
    let pool = PgPool::connect(&database.url()).await.unwrap();
    Fixture {
        store,
        pool,
        runs: AtomicU32::new(0),
        database,
    }
}

/// Returns the author of an act by a command.
pub(crate) fn by(name: &str) -> Actor {
    Actor::of_command(name)
}

pub(crate) fn droplet(id: u32, name: &str) -> ObservedResource {
    ObservedResource {
        kind: ResourceKind::DROPLET,
        provider_id: id.to_string(),
        name: name.to_owned(),
        region: Some("nyc3".to_owned()),
        status: Some("active".to_owned()),
        tags: vec!["web".to_owned()],
        project_id: None,
        relations: Vec::new(),
        attrs: json!({ "memory": 1024 }).into(),
    }
}

/// Returns a resource of any kind with the fields of a droplet.
pub(crate) fn resource(kind: ResourceKind, id: &str) -> ObservedResource {
    ObservedResource {
        kind,
        provider_id: id.to_owned(),
        ..droplet(0, id)
    }
}

/// Returns the relation "the resource is RELATION the other".
pub(crate) fn to(relation: RelationKind, kind: ResourceKind, id: &str) -> Relation {
    Relation {
        relation,
        other: kind.with_id(id),
        direction: Direction::ToOther,
    }
}

/// Returns the relation "the other is RELATION the resource".
pub(crate) fn from(relation: RelationKind, kind: ResourceKind, id: &str) -> Relation {
    Relation {
        direction: Direction::FromOther,
        ..to(relation, kind, id)
    }
}

pub(crate) fn zone(name: &str) -> ObservedResource {
    ObservedResource {
        kind: ResourceKind::DNS_ZONE,
        provider_id: name.to_owned(),
        name: name.to_owned(),
        region: None,
        status: None,
        ..droplet(0, name)
    }
}

pub(crate) fn project(id: u128, name: &str) -> ObservedProject {
    ObservedProject {
        provider_id: Uuid::from_u128(id),
        name: name.to_owned(),
        description: String::new(),
        environment: None,
        is_default: false,
        attrs: json!({}),
    }
}

pub(crate) fn members(project: u128, urns: &[&str]) -> ProjectMembers {
    let members = urns
        .iter()
        .map(|urn| ProjectMember {
            urn: urn.parse().unwrap(),
            status: MemberStatus::Ok,
            assigned_at: None,
        })
        .collect();
    ProjectMembers {
        project: Uuid::from_u128(project),
        members,
    }
}

/// Returns rules with this strike interval and the default guard, which does not hold the few rows
/// of a test.
pub(crate) fn every(strike_interval: Duration) -> Rules {
    Rules {
        strike_interval,
        guard: Guard::default(),
    }
}

pub(crate) fn incomplete() -> Completeness {
    Completeness::Incomplete("page 2 answered 503".to_owned())
}

impl Fixture {
    pub(crate) fn database_url(&self) -> String {
        self.database.url()
    }

    /// Returns a new run, like a start of a workflow.
    pub(crate) fn new_run(&self) -> Run {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        Run {
            workflow_id: format!("sync-{number}"),
            run_id: format!("run-{number}"),
        }
    }

    pub(crate) async fn facts(&self, completeness: Completeness) -> ListingFacts {
        let evidence = self.store.begin_fetch().await.unwrap();
        ListingFacts {
            evidence,
            finished_at: evidence.began_at(),
            completeness,
            shortfall: Shortfall::default(),
            total: None,
            requests: 1,
            rules: every(Duration::ZERO),
            run: self.new_run(),
        }
    }

    /// Begins a fetch.
    pub(crate) async fn evidence(&self) -> Evidence {
        self.store.begin_fetch().await.unwrap()
    }

    /// Stores invoices that a list just returned.
    pub(crate) async fn discover_invoices(
        &self,
        headers: &[InvoiceHeader],
    ) -> Result<InvoicesDiscovered, StoreError> {
        let evidence = self.evidence().await;
        self.store
            .store_invoice_list(headers, evidence, false)
            .await
    }

    /// Ingests content that was just fetched.
    pub(crate) async fn ingest_invoice(
        &self,
        invoice: InvoiceUuid,
        content: InvoiceContent<'_>,
    ) -> Result<IngestOutcome, StoreError> {
        let evidence = self.evidence().await;
        self.store.ingest_invoice(invoice, evidence, content).await
    }

    /// Records a check that just failed.
    pub(crate) async fn fail_invoice(
        &self,
        invoice: InvoiceUuid,
        reason: &str,
    ) -> Result<(), StoreError> {
        let evidence = self.evidence().await;
        self.store.fail_invoice(invoice, evidence, reason).await
    }

    /// Stores a billing history that was just fetched.
    pub(crate) async fn store_ledger(
        &self,
        entries: &[BillingEntry],
        is_complete: bool,
    ) -> Result<LedgerOutcome, StoreError> {
        let evidence = self.evidence().await;
        self.store
            .store_ledger(entries, evidence, is_complete)
            .await
    }

    /// Stores a balance that was just fetched.
    pub(crate) async fn store_balance(&self, reading: &BalanceReading) -> Result<bool, StoreError> {
        let evidence = self.evidence().await;
        self.store.store_balance(reading, evidence).await
    }

    pub(crate) async fn sweep_with(
        &self,
        kind: &ResourceKind,
        resources: &[ObservedResource],
        facts: &ListingFacts,
    ) -> SweepOutcome {
        let mut seen = self
            .store
            .observe(std::slice::from_ref(kind))
            .await
            .unwrap();
        seen.add(resources.to_vec()).await.unwrap();
        self.store.sweep(&seen, kind, facts).await.unwrap()
    }

    /// Sweeps observed droplets.
    pub(crate) async fn sweep_seen(
        &self,
        seen: &Observations,
        facts: &ListingFacts,
    ) -> Result<SweepOutcome, StoreError> {
        self.store.sweep(seen, &ResourceKind::DROPLET, facts).await
    }

    /// Runs a complete sweep of the droplets.
    pub(crate) async fn sweep(&self, resources: &[ObservedResource]) -> SweepOutcome {
        let facts = self.facts(Completeness::Complete).await;
        self.sweep_with(&ResourceKind::DROPLET, resources, &facts)
            .await
    }

    /// Runs a complete sweep of one kind.
    pub(crate) async fn sweep_kind(&self, resources: &[ObservedResource]) -> SweepOutcome {
        let facts = self.facts(Completeness::Complete).await;
        let kind = resources[0].kind.clone();
        self.sweep_with(&kind, resources, &facts).await
    }

    /// Returns the last event of a resource.
    pub(crate) async fn last_event(&self, provider_id: &str) -> ResourceEvent {
        let id = self.resource(provider_id).await.id;
        let mut events = self.store.resource_events(id, None, 1).await.unwrap();
        events.pop().unwrap()
    }

    /// Returns the id of a project by name.
    pub(crate) async fn project_row(&self, name: &str) -> Uuid {
        let projects = self.store.projects(None, None, 1_000).await.unwrap();
        projects
            .into_iter()
            .find(|project| project.name == name)
            .unwrap()
            .id
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    pub(crate) async fn sweep_projects(&self, projects: &[ObservedProject]) -> ProjectSweepOutcome {
        let facts = self.facts(Completeness::Complete).await;
        self.sweep_projects_with(projects, &facts).await
    }

    pub(crate) async fn sweep_projects_with(
        &self,
        projects: &[ObservedProject],
        facts: &ListingFacts,
    ) -> ProjectSweepOutcome {
        let sweep = ProjectSweep {
            projects,
            internal_name: "internal",
            facts,
        };
        self.store.sweep_projects(sweep).await.unwrap()
    }

    pub(crate) async fn store_members_with(
        &self,
        projects: &[ProjectMembers],
        completeness: Completeness,
    ) -> MembershipOutcome {
        let facts = self.facts(completeness).await;
        self.store_members_of(projects, &facts).await
    }

    pub(crate) async fn store_members_of(
        &self,
        projects: &[ProjectMembers],
        facts: &ListingFacts,
    ) -> MembershipOutcome {
        let listed_kinds = [
            ResourceKind::DROPLET,
            ResourceKind::DNS_ZONE,
            ResourceKind::KUBERNETES_CLUSTER,
            ResourceKind::LOAD_BALANCER,
            ResourceKind::VOLUME,
        ];
        self.store
            .store_memberships(MembershipPass {
                projects,
                listed_kinds: &listed_kinds,
                facts,
            })
            .await
            .unwrap()
    }

    pub(crate) async fn store_members(&self, projects: &[ProjectMembers]) -> MembershipOutcome {
        self.store_members_with(projects, Completeness::Complete)
            .await
    }

    /// Syncs three projects, each with a droplet: 1 "web" with "web-1", 2 "data" with "db-1",
    /// 3 "free" with "free-1".
    pub(crate) async fn sync_three_projects(&self) {
        self.sweep_projects(&[project(1, "web"), project(2, "data"), project(3, "free")])
            .await;
        self.sweep(&[
            droplet(1, "web-1"),
            droplet(2, "db-1"),
            droplet(3, "free-1"),
        ])
        .await;
        self.store_members(&[
            members(1, &["do:droplet:1"]),
            members(2, &["do:droplet:2"]),
            members(3, &["do:droplet:3"]),
        ])
        .await;
    }

    pub(crate) async fn all_resources(&self) -> Vec<Resource> {
        let filter = ResourceFilter {
            state: State::All,
            ..ResourceFilter::default()
        };
        self.store.resources(&filter, None, 1_000).await.unwrap()
    }

    pub(crate) async fn resource(&self, provider_id: &str) -> Resource {
        let all = self.all_resources().await;
        all.into_iter()
            .find(|resource| resource.provider_id == provider_id)
            .unwrap()
    }

    /// Returns the events of a resource, oldest first.
    pub(crate) async fn events(&self, provider_id: &str) -> Vec<String> {
        let resource = self.resource(provider_id).await;
        let mut events = self
            .store
            .resource_events(resource.id, None, 1_000)
            .await
            .unwrap();
        events.reverse();
        events.into_iter().map(|event| event.event).collect()
    }

    /// Returns the name of a resource's project.
    pub(crate) async fn project_of(&self, provider_id: &str) -> Option<String> {
        let project_id = self.resource(provider_id).await.cloud_project_id?;
        let projects = self.store.projects(None, None, 1_000).await.unwrap();
        projects
            .into_iter()
            .find(|project| project.id == project_id)
            .map(|project| project.name)
    }
}
