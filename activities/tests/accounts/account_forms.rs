//! Tests that different forms of the same data from DigitalOcean are stored as one.

use domain::ResourceKind;
use serde_json::{Value, json};
use simulator::{Account, MemberStatus};

use super::support::{World, run};

impl World {
    /// Every event, and every row of a resource without its times.
    async fn all(&self) -> Vec<String> {
        let events = "select event || ' ' || changes::text from cloud_resource_events order by id";
        let rows =
            "select row(id, name, region, status, tags, attrs, encode(fingerprint, 'hex'))::text
            from cloud_resources order by id";
        [self.rows(events).await, self.rows(rows).await].concat()
    }
}

fn rule(ports: &str, addresses: &Value) -> Value {
    json!({ "protocol": "tcp", "ports": ports, "sources": { "addresses": addresses } })
}

#[tokio::test]
async fn a_list_in_another_order_writes_nothing() {
    let mut account = Account::empty();
    let mut lists = Vec::new();
    for (kind, field, one, other) in [
        (
            ResourceKind::FIREWALL,
            "inbound_rules",
            rule("22", &json!(["198.51.100.7"])),
            rule("80", &json!(["0.0.0.0/0", "::/0"])),
        ),
        (
            ResourceKind::LOAD_BALANCER,
            "droplet_ids",
            json!(7),
            json!(11),
        ),
        (
            ResourceKind::SNAPSHOT,
            "regions",
            json!("nyc3"),
            json!("fra1"),
        ),
        (
            ResourceKind::DATABASE_CLUSTER,
            "tags",
            json!("b"),
            json!("a"),
        ),
        (
            ResourceKind::CERTIFICATE,
            "dns_names",
            json!("www.example.com"),
            json!("example.com"),
        ),
    ] {
        let id = account.add_resource(kind.as_str(), "one", "nyc3");
        account.set_resource_field(kind.as_str(), &id, field, json!([one, other]));
        lists.push((kind, id, field, one, other));
    }
    let world = World::of(account, "internal").await;
    for (kind, ..) in &lists {
        world.sync(kind).await;
    }
    let before = world.all().await;
    for turn in 0..3 {
        for (kind, id, field, one, other) in &lists {
            let list = if turn % 2 == 0 {
                json!([other, one])
            } else {
                json!([one, other])
            };
            world.simulator.change(|account| {
                account.set_resource_field(kind.as_str(), id, field, list);
            });
            world.sync(kind).await;
        }
    }
    assert_eq!(world.all().await, before);
    // An added or removed item is still an event, and the event shows nothing else.
    let (kind, id, field, one, other) = &lists[0];
    let third = rule("443", &json!(["::/0", "0.0.0.0/0"]));
    let list = json!([third, other, one]);
    world.simulator.change(|account| {
        account.set_resource_field(kind.as_str(), id, field, list);
    });
    world.sync(kind).await;
    let query = "select changes::text from cloud_resource_events where event = 'updated'";
    let updates = world.rows(query).await;
    let changes: Value = serde_json::from_str(&updates[0]).unwrap();
    let change = &changes["attrs.inbound_rules"];
    assert_eq!(
        (updates.len(), change["before"].as_array().unwrap().len()),
        (1, 2)
    );
    let sorted = rule("443", &json!(["0.0.0.0/0", "::/0"]));
    assert!(change["after"].as_array().unwrap().contains(&sorted));
}

#[tokio::test]
async fn the_last_database_and_the_last_app_are_found_deleted() {
    let mut account = Account::empty();
    let kinds = [
        ResourceKind::DATABASE_CLUSTER,
        ResourceKind::APP,
        ResourceKind::NAT_GATEWAY,
    ];
    let ids = kinds
        .clone()
        .map(|kind| account.add_resource(kind.as_str(), "last", "nyc3"));
    let world = World::of(account, "internal").await;
    for turn in 0..4 {
        for (kind, id) in kinds.iter().zip(&ids) {
            world.sync(kind).await;
            world
                .simulator
                .change(|account| account.remove_resource(kind.as_str(), id));
        }
        let live = "select kind || ' ' || stale_strike_count from cloud_resources where deleted_at is null order by 1";
        let expected = |strikes: u32| {
            ["app", "database_cluster", "nat_gateway"].map(|kind| format!("{kind} {strikes}"))
        };
        let live = world.rows(live).await;
        if turn < 3 {
            assert_eq!(live, expected(turn));
        } else {
            assert!(live.is_empty(), "{live:?}");
        }
    }
}

#[tokio::test]
async fn buckets_are_not_attempted_before_the_first_pass_over_the_projects() {
    let mut account = Account::empty();
    account.add_project("internal");
    account.add_resource("spaces_bucket", "images", "nyc3");
    let world = World::of(account, "internal").await;
    let states = "select kind || ' ' || last_state from cloud_kind_freshness where kind like 'spaces%' order by 1";
    world.sync(&ResourceKind::SPACES_KEY).await;
    assert_eq!(world.rows(states).await, ["spaces_key complete"]);
    world.sync_projects().await.unwrap();
    world.sync(&ResourceKind::SPACES_KEY).await;
    assert_eq!(
        world.rows(states).await,
        ["spaces_bucket complete", "spaces_key complete"]
    );
    // If the token may not list projects, there is no pass to wait for: the buckets of access keys
    // are mirrored nevertheless.
    let mut account = Account::empty();
    let key = account.add_resource("spaces_key", "uploader", "nyc3");
    account.grant_bucket(&key, "exports", "read");
    let world = World::of(account, "internal").await;
    let fault = simulator::Fault::new(simulator::FaultKind::Forbidden, "/v2/projects");
    world.simulator.fail(fault);
    assert!(world.sync_projects().await.is_none());
    drop(world.inventory.sync(ResourceKind::SPACES_KEY, run()).await);
    assert_eq!(
        world.rows(states).await,
        ["spaces_bucket incomplete", "spaces_key complete"]
    );
    let buckets = "select name from cloud_resources where kind = 'spaces_bucket'";
    assert_eq!(world.rows(buckets).await, ["exports"]);
}

#[tokio::test]
async fn members_match_resources_in_every_spelling_of_an_id() {
    let mut account = Account::empty();
    account.add_project("internal");
    let project = account.add_project("storefront");
    account.add_domain("Example.COM");
    let long = "2604:a880:0800:0014:0000:0000:0dc9:c001";
    account.add_resource("reserved_ipv6", long, "nyc3");
    let volume = account.add_resource("volume", "data", "nyc3");
    account.remove_member(&format!("do:volume:{volume}"));
    account.remove_member("do:domain:Example.COM");
    for urn in [
        format!("do:volume:{}", volume.to_uppercase()),
        "do:domain:example.com".to_owned(),
        "do:reservedipv6:2604:A880:800:14::DC9:C001".to_owned(),
        "do:volume:5F1B0C3E-0A4D-4B7C-9D5E-2A1F3C4B5D6E".to_owned(),
    ] {
        account.add_member(project, &urn, MemberStatus::Ok);
    }
    let world = World::of(account, "internal").await;
    world.sync_projects().await.unwrap();
    for kind in [
        ResourceKind::DNS_ZONE,
        ResourceKind::RESERVED_IPV6,
        ResourceKind::VOLUME,
    ] {
        world.sync(&kind).await;
    }
    let attributions =
        "select r.kind || ' in ' || p.name || ' by ' || r.attribution from cloud_resources r
        join cloud_projects p on p.id = r.cloud_project_id order by 1";
    assert_eq!(
        world.rows(attributions).await,
        [
            "dns_zone in storefront by membership",
            "reserved_ipv6 in storefront by membership",
            "volume in storefront by membership",
        ]
    );
    // Only the member without a resource is reported.
    let unmatched = world.store.unmatched_members().await.unwrap();
    let unmatched: Vec<_> = unmatched
        .iter()
        .map(|members| (members.kind.as_str(), members.count))
        .collect();
    assert_eq!(unmatched, [("volume", 1)]);
}

#[tokio::test]
async fn a_list_of_projects_without_the_default_one_changes_nothing() {
    let world = World::of(Account::empty(), "internal").await;
    world.sync_projects().await.unwrap();
    let names = "select name || ' ' || (deleted_at is null) || ' ' || stale_strike_count from cloud_projects order by 1";
    let before = world.rows(names).await;
    assert_eq!(before, ["Default true 0", "internal true 0"]);
    let created = || {
        let requests = world.simulator.requests();
        requests
            .iter()
            .filter(|request| request.method == "POST")
            .count()
    };
    assert_eq!(created(), 1);
    let fault = simulator::Fault::new(simulator::FaultKind::EmptyList, "/v2/projects");
    world.simulator.fail(fault);
    for _ in 0..4 {
        world.sync_projects().await.unwrap();
    }
    assert_eq!(world.rows(names).await, before);
    assert_eq!(created(), 1);
    let state = "select last_state from cloud_kind_freshness where kind = 'project'";
    assert_eq!(world.rows(state).await, ["incomplete"]);
}
