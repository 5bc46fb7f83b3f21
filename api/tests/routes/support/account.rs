//! The test account: projects of two tenants and the internal project, live and deleted
//! resources, and two invoices.

use std::slice;
use std::time::Duration;

use domain::inventory::ObservedResource;
use domain::invoices::{InvoiceHeader, read_invoice_csv};
use domain::projects::{MemberStatus, ObservedProject, ProjectMember};
use domain::{Completeness, ResourceKind, TenantId};
use serde_json::json;
use store::inventory::{Commit, Guard, ListingFacts, Rules, Shortfall};
use store::invoices::InvoiceContent;
use store::projects::{MembershipPass, ProjectChange, ProjectMembers, ProjectSweep};
use store::{Actor, Run, Store};
use uuid::Uuid;

use super::bills::{content, list_invoices, summary_of};

/// The invoice of April 2026: a line for each tenant, one for the deleted droplet, and a shared
/// one.
pub(crate) const APRIL: &str = "22737513-0ea7-4206-8ceb-98a575af7681";
/// The invoice of March 2026, not ingested.
pub(crate) const MARCH: &str = "fdabb512-6faf-443c-ba2e-665452332a9e";

const PROJECTS: [(&str, Option<&str>); 3] = [
    ("alpha", Some("acme")),
    ("beta", Some("globex")),
    ("skyai-internal", None),
];

const DROPLETS: [(&str, &str); 4] = [
    ("web-1", "alpha"),
    ("web-2", "alpha"),
    ("gone-1", "alpha"),
    ("db-1", "beta"),
];

const DOMAINS: [(&str, Option<&str>); 2] =
    [("acme.example", Some("alpha")), ("orphan.example", None)];

const APRIL_CSV: &str = "\
product,group_description,description,hours,start,end,USD,project_name,category
Droplets,,web-1 (s-1vcpu-1gb),720,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$6.00,alpha,iaas
Droplets,,db-1 (s-1vcpu-1gb),720,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$24.50,beta,iaas
Droplets,,gone-1 (s-1vcpu-1gb),1,2026-04-01 00:00:00 +0000,2026-04-01 01:00:00 +0000,$0.10,alpha,iaas
Taxes,,GST (10%),,2026-04-01 00:00:00 +0000,2026-04-30 23:59:59 +0000,$3.06,,iaas
";

/// Returns the facts of a complete listing that starts now, in a separate run.
pub(crate) async fn facts(store: &Store) -> ListingFacts {
    ListingFacts {
        evidence: store.begin_fetch().await.unwrap(),
        finished_at: store.now().await.unwrap(),
        completeness: Completeness::Complete,
        shortfall: Shortfall::default(),
        total: None,
        requests: 1,
        rules: Rules {
            strike_interval: Duration::ZERO,
            guard: Guard::default(),
        },
        run: Run {
            workflow_id: "sync-inventory".to_owned(),
            run_id: Uuid::new_v4().to_string(),
        },
    }
}

pub(crate) async fn fill(store: &Store) {
    projects(store).await;
    resources(store).await;
    invoices(store).await;
}

fn project_uuid(name: &str) -> Uuid {
    let index = PROJECTS
        .iter()
        .position(|(project, _)| *project == name)
        .unwrap();
    Uuid::from_u128(0xa000 + index as u128)
}

async fn projects(store: &Store) {
    let observed = PROJECTS.map(|(name, _)| ObservedProject {
        provider_id: project_uuid(name),
        name: name.to_owned(),
        description: format!("project {name}"),
        environment: Some("Production".to_owned()),
        is_default: name == "beta",
        attrs: json!({ "purpose": "Service or API" }),
    });
    let sweep = ProjectSweep {
        projects: &observed,
        internal_name: "skyai-internal",
        facts: &facts(store).await,
    };
    store.sweep_projects(sweep).await.unwrap();
    for project in store.projects(None, None, 10).await.unwrap() {
        let (_, tenant) = PROJECTS
            .iter()
            .find(|(name, _)| *name == project.name)
            .unwrap();
        let tenant: Option<TenantId> = tenant.map(|tenant| tenant.parse().unwrap());
        let change = ProjectChange {
            tenant_id: Some(tenant),
            tenant_since: Some("2015-01-01T00:00:00Z".parse().unwrap()),
            purpose: None,
        };
        store
            .change_project(project.id, &change, &Actor::of_command("ann"), Commit::Keep)
            .await
            .unwrap();
    }
}

/// Returns a resource with this id and name.
pub(crate) fn resource(kind: ResourceKind, provider_id: String, name: &str) -> ObservedResource {
    ObservedResource {
        kind,
        provider_id,
        name: name.to_owned(),
        region: Some("nyc3".to_owned()),
        status: Some("active".to_owned()),
        tags: vec!["production".to_owned()],
        project_id: None,
        relations: Vec::new(),
        attrs: json!({ "size_slug": "s-1vcpu-1gb" }).into(),
    }
}

/// Stores a complete listing of one kind.
pub(crate) async fn sweep(store: &Store, kind: &ResourceKind, resources: &[ObservedResource]) {
    sweep_with(store, kind, resources, &facts(store).await).await;
}

pub(crate) async fn sweep_with(
    store: &Store,
    kind: &ResourceKind,
    resources: &[ObservedResource],
    facts: &ListingFacts,
) {
    let mut seen = store.observe(slice::from_ref(kind)).await.unwrap();
    seen.add(resources.to_vec()).await.unwrap();
    store.sweep(&seen, kind, facts).await.unwrap();
}

fn droplet(id: usize, name: &str) -> ObservedResource {
    resource(ResourceKind::DROPLET, id.to_string(), name)
}

/// Returns the live droplets of the account, as its listings have them.
pub(crate) fn live_droplets() -> Vec<ObservedResource> {
    (1..)
        .zip(DROPLETS)
        .filter(|(_, (name, _))| *name != "gone-1")
        .map(|(id, (name, _))| droplet(id, name))
        .collect()
}

async fn resources(store: &Store) {
    let droplets: Vec<_> = (1..)
        .zip(DROPLETS)
        .map(|(id, (name, _))| droplet(id, name))
        .collect();
    let domains = DOMAINS.map(|(name, _)| resource(ResourceKind::DNS_ZONE, name.to_owned(), name));
    sweep(store, &ResourceKind::DROPLET, &droplets).await;
    sweep(store, &ResourceKind::DNS_ZONE, &domains).await;
    memberships(store).await;

    for _strike in 0..3 {
        sweep(store, &ResourceKind::DROPLET, &live_droplets()).await;
    }
}

async fn memberships(store: &Store) {
    let droplets = (1..)
        .zip(DROPLETS)
        .map(|(id, (_, project))| (project, format!("do:droplet:{id}")));
    let domains = DOMAINS
        .iter()
        .filter_map(|(name, project)| Some(((*project)?, format!("do:domain:{name}"))));
    let urns: Vec<_> = droplets.chain(domains).collect();
    let projects = PROJECTS.map(|(name, _)| ProjectMembers {
        project: project_uuid(name),
        members: urns
            .iter()
            .filter(|(project, _)| *project == name)
            .map(|(_, urn)| ProjectMember {
                urn: urn.parse().unwrap(),
                status: MemberStatus::Ok,
                assigned_at: None,
            })
            .collect(),
    });
    let pass = MembershipPass {
        projects: &projects,
        listed_kinds: &[ResourceKind::DROPLET, ResourceKind::DNS_ZONE],
        facts: &facts(store).await,
    };
    store.store_memberships(pass).await.unwrap();
}

async fn invoices(store: &Store) {
    let header = |uuid: &str, period: &str, amount: &str| InvoiceHeader {
        invoice_uuid: uuid.parse().unwrap(),
        invoice_id: Some("489977".to_owned()),
        period: period.parse().unwrap(),
        amount: amount.parse().unwrap(),
    };
    let headers = [
        header(APRIL, "2026-04", "33.66"),
        header(MARCH, "2026-03", "-10.50"),
    ];
    list_invoices(store, &headers).await;
    let csv = read_invoice_csv(APRIL_CSV.as_bytes()).unwrap();
    let evidence = store.begin_fetch().await.unwrap();
    let summary = summary_of("2026-04".parse().unwrap(), &csv.lines);
    let content = InvoiceContent {
        summary: Some(&summary),
        ..content(&csv.lines)
    };
    store
        .ingest_invoice(APRIL.parse().unwrap(), evidence, content)
        .await
        .unwrap();
}
