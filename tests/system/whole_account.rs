//! Syncs of an account with resources of every kind.

use std::collections::{BTreeMap, BTreeSet};

use simulator::{Account, Fault, FaultKind, Scopes};
use uuid::Uuid;

use crate::support::TestSystem;

/// Returns the account's resources as `kind id`, including DNS records.
fn live(account: &Account) -> BTreeSet<String> {
    let own_lists = ["droplet", "dns_zone", "volume", "reserved_ip", "dns_record"];
    let kinds: BTreeSet<&str> = Account::resource_kinds().chain(own_lists).collect();
    let mut live: BTreeSet<String> = kinds
        .into_iter()
        .flat_map(|kind| {
            let ids = account.resource_ids(kind).into_iter();
            ids.map(move |id| format!("{kind} {id}"))
        })
        .collect();
    live.retain(|resource| !resource.ends_with(" not-there"));
    live
}

async fn mirrored(system: &TestSystem) -> BTreeSet<String> {
    let rows = system
        .rows("select kind || ' ' || provider_id from cloud_resources where deleted_at is null")
        .await;
    let count = rows.len();
    let set: BTreeSet<String> = rows.into_iter().collect();
    assert_eq!(set.len(), count, "a resource is mirrored twice");
    set
}

/// Returns DigitalOcean's project id of each mirrored resource, by `kind id`.
async fn projects_of(system: &TestSystem) -> BTreeMap<String, Uuid> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select r.kind || ' ' || r.provider_id, p.provider_id
         from cloud_resources r join cloud_projects p on p.id = r.cloud_project_id",
    )
    .fetch_all(&system.pool)
    .await
    .unwrap();
    rows.into_iter()
        .map(|(resource, project)| (resource, project.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn every_live_resource_is_mirrored_once_with_the_fewest_requests() {
    let system = TestSystem::start(Account::everything()).await;
    system.sync_projects().await.unwrap();
    let before = system.simulator.requests().len();
    let report = system.sync_inventory().await.unwrap();
    let sent = system.simulator.requests().len() - before;

    let mut expected = system.simulator.read(live);
    // Only known as a member of a project.
    expected.insert("quantumcomputer q-1".to_owned());
    let mirrored = mirrored(&system).await;
    let missing: Vec<_> = expected.difference(&mirrored).collect();
    let too_many: Vec<_> = mirrored
        .difference(&expected)
        .filter(|resource| {
            !["kubernetes_node_pool", "spaces_bucket", "quantumcomputer"]
                .iter()
                .any(|kind| resource.starts_with(kind))
        })
        .collect();
    assert!(
        missing.is_empty() && too_many.is_empty(),
        "missing {missing:?}; too many {too_many:?}"
    );
    assert!(
        report.kinds.iter().all(|kind| kind.incomplete.is_none()),
        "{report:?}"
    );

    // The fewest requests: one page per list, and one per parent for kinds without an account-wide
    // list.
    assert_eq!(usize::try_from(report.requests).unwrap(), sent);
    let lists: usize = digitalocean::kinds::listings()
        .iter()
        .map(|listing| listing.paths.len())
        .sum();
    let parents = mirrored
        .iter()
        .filter(|resource| {
            resource.starts_with("database_cluster ") || resource.starts_with("dns_zone ")
        })
        .count();
    assert_eq!(sent, lists + parents);
}

/// Resources that DigitalOcean itself creates in the default project belong to the project of their
/// cluster; all others to the project that lists them.
#[tokio::test]
async fn every_resource_has_its_project_and_relations() {
    let system = TestSystem::start(Account::everything()).await;
    system.sync_projects().await.unwrap();
    system.sync_inventory().await.unwrap();
    let mirrored = mirrored(&system).await;
    let projects = projects_of(&system).await;
    let (cluster_of, default) = system.simulator.read(|account| {
        let clusters = account.resource_ids("kubernetes_cluster");
        let nodes = clusters.into_iter().flat_map(|cluster| {
            let nodes = account.kubernetes_nodes(&cluster).into_iter();
            nodes.map(move |node| (format!("droplet {node}"), cluster.clone()))
        });
        (
            nodes.collect::<BTreeMap<String, String>>(),
            account.default_project(),
        )
    });
    assert_eq!(cluster_of.len(), 4);
    let mut in_default = 0;
    for resource in &mirrored {
        let (kind, id) = resource.split_once(' ').unwrap();
        if ["kubernetes_node_pool", "quantumcomputer"].contains(&kind) {
            continue;
        }
        let Some(urn) = Account::resource_urn(kind, id) else {
            continue;
        };
        let Some(listed) = system.simulator.read(|account| account.project_of(&urn)) else {
            continue;
        };
        let Some(found) = projects.get(resource) else {
            panic!("{resource} has no project, expected {listed}");
        };
        if let Some(cluster) = cluster_of.get(resource) {
            let of_cluster = projects[&format!("kubernetes_cluster {cluster}")];
            assert_eq!(*found, of_cluster, "{resource}");
        } else if listed == default && *found != default {
            let made_by = "select r.kind || ' ' || r.provider_id from cloud_resources r
                join cloud_resource_relations o on o.stated_by = r.id where o.relation = 'made_by_kubernetes'";
            assert!(system.rows(made_by).await.contains(resource), "{resource}");
        } else {
            assert_eq!(*found, listed, "{resource}");
        }
        in_default += usize::from(*found == default);
    }
    assert!(in_default > 0);
    // A snapshot has the project of its droplet or volume.
    let apart = "select s.name from cloud_resources s
        join cloud_relations r on r.resource_id = s.id and r.relation in ('snapshot_of', 'backup_of', 'replica_of')
        join cloud_resources of on of.id = r.related_id
        where s.cloud_project_id is distinct from of.cloud_project_id";
    assert_eq!(system.rows(apart).await, [""; 0]);
    let relations = "select distinct relation from cloud_relations order by 1";
    assert_eq!(
        system.rows(relations).await,
        [
            "attached_to",
            "backup_of",
            "in_vpc",
            "made_by_kubernetes",
            "node_of",
            "part_of",
            "record_of",
            "replica_of",
            "serves",
            "snapshot_of",
        ]
    );
    // The next sync of projects assigns buckets without a project to the internal one. Later syncs
    // change nothing.
    system.sync_projects().await.unwrap();
    let events = system
        .count("select count(*) from cloud_resource_events")
        .await;
    system.sync_projects().await.unwrap();
    system.sync_inventory().await.unwrap();
    let news = "select r.kind || ' ' || r.provider_id || ' ' || e.event || ' ' || e.changes::text
        from cloud_resource_events e join cloud_resources r on r.id = e.resource_id order by e.id";
    let all = system.rows(news).await;
    let later = &all[usize::try_from(events).unwrap()..];
    assert_eq!(later, [""; 0]);
}

#[tokio::test]
async fn a_token_with_few_scopes_mirrors_and_reports_by_kind() {
    const TOKEN: &str = "dop_v1_of_few_scopes_that_opens_nothing_else";
    let mut account = Account::everything();
    let scopes = [
        "project:read",
        "droplet:read",
        "domain:read",
        "database:read",
    ];
    account.accept_token(TOKEN, Scopes::only(scopes));
    let system = TestSystem::start_with_token(account, TOKEN).await;
    let report = system.sync_inventory().await.unwrap();
    let readable: Vec<_> = report
        .kinds
        .iter()
        .filter(|kind| !kind.not_readable)
        .map(|kind| kind.kind.as_str())
        .collect();
    assert!(readable.contains(&"droplet") && readable.contains(&"database_cluster"));
    assert!(!readable.contains(&"volume"), "{readable:?}");
    let volume = report
        .kinds
        .iter()
        .find(|kind| kind.kind.as_str() == "volume")
        .unwrap();
    let reason = volume.incomplete.as_deref().unwrap();
    assert!(
        reason.contains("403") && reason.contains("scope"),
        "{reason}"
    );
    let state = "select last_state from cloud_kind_freshness where kind = 'volume'";
    assert_eq!(system.rows(state).await, ["not_readable"]);
}

#[tokio::test]
async fn a_failed_kind_and_a_failed_project_affect_no_others() {
    let system = TestSystem::start(Account::everything()).await;
    system.sync_projects().await.unwrap();
    system.sync_inventory().await.unwrap();
    let analytics = system.simulator.change(|account| {
        account.add_resource("app", "new-app", "syd1");
        account.add_resource("certificate", "new-certificate", "syd1");
        let mut projects = account.projects().iter();
        projects
            .find(|project| project.name == "Analytics")
            .unwrap()
            .id
    });
    let broken = FaultKind::HtmlError { status: 502 };
    system
        .simulator
        .fail(Fault::new(broken.clone(), "/v2/apps"));
    let members = format!("/v2/projects/{analytics}/resources");
    system.simulator.fail(Fault::new(broken, &members));
    let (kinds, projects) = tokio::join!(system.sync_inventory(), system.sync_projects());
    let kinds = kinds.unwrap_err();
    projects.unwrap_err();
    assert!(kinds.contains("not synced: app: GET /v2/apps"), "{kinds}");
    assert!(kinds.contains("certificate"), "{kinds}");
    let pass = "select reason from cloud_listings where kind = 'project_member' and not complete";
    assert!(system.rows(pass).await[0].contains(&members));
    let names = "select name from cloud_resources where name like 'new-%' order by name";
    assert_eq!(system.rows(names).await, ["new-certificate"]);
    system.simulator.clear_faults();
    system.sync_inventory().await.unwrap();
    assert_eq!(system.rows(names).await, ["new-app", "new-certificate"]);
}
