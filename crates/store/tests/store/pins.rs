//! What operators say comes before all else.

use domain::ResourceKind;
use store::StoreError;
use store::inventory::PinChange;
use store::projects::ProjectChange;
use uuid::Uuid;

use super::support::{Fixture, droplet, fixture, members, project, resource, to, zone};

const WEB: u128 = 1;
const SHOP: u128 = 2;

async fn with_droplet_in_web() -> Fixture {
    let fixture = fixture().await;
    fixture
        .sweep_projects(&[project(WEB, "web"), project(SHOP, "shop")])
        .await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture.walk(&[members(WEB, &["do:droplet:1"])]).await;
    fixture
}

async fn pin(fixture: &Fixture, id: &str, tenant: Option<&str>, project: Option<&str>) {
    let change = PinChange {
        tenant_id: tenant.map(|tenant| Some(tenant.parse().unwrap())),
        cloud_project_id: match project {
            Some(name) => Some(Some(fixture.project_row(name).await)),
            None => None,
        },
    };
    let resource = fixture.resource(id).await.id;
    fixture.change_pin(resource, &change, "ann").await.unwrap();
}

#[tokio::test]
async fn a_pin_survives_every_sync_and_shows_as_the_operators() {
    let fixture = with_droplet_in_web().await;
    pin(&fixture, "1", Some("acme"), Some("shop")).await;
    for _ in 0..3 {
        let mut renamed = droplet(1, "renamed");
        renamed.tags.push(fixture.new_run().run_id);
        fixture.sweep(&[renamed]).await;
        fixture.walk(&[members(WEB, &["do:droplet:1"])]).await;
        let resource = fixture.resource("1").await;
        assert_eq!(resource.tenant_id.as_deref(), Some("acme"));
        assert_eq!(resource.attribution.as_deref(), Some("operator"));
        assert_eq!(fixture.project_of("1").await.as_deref(), Some("shop"));
    }
}

#[tokio::test]
async fn a_contradiction_is_told_once_for_each_project_and_not_on_every_sync() {
    let fixture = with_droplet_in_web().await;
    pin(&fixture, "1", None, Some("shop")).await;
    let drifts = async || {
        let events = fixture.events("1").await;
        events
            .iter()
            .filter(|event| *event == "drift_detected")
            .count()
    };
    let before = drifts().await;
    for _ in 0..3 {
        fixture.walk(&[members(WEB, &["do:droplet:1"])]).await;
        fixture.sweep(&[droplet(1, "web-1")]).await;
    }
    // Moved by the pin, and told that DigitalOcean says otherwise: both in the pin's own transaction.
    assert_eq!((before, drifts().await), (2, 2));
    // Agreement is no news; the next contradiction is.
    fixture.walk(&[members(SHOP, &["do:droplet:1"])]).await;
    assert_eq!(drifts().await, 2);
    fixture.walk(&[members(WEB, &["do:droplet:1"])]).await;
    fixture.walk(&[members(WEB, &["do:droplet:1"])]).await;
    assert_eq!(drifts().await, 3);
}

#[tokio::test]
async fn taking_the_pin_away_gives_the_resource_back_to_digitalocean() {
    let fixture = with_droplet_in_web().await;
    pin(&fixture, "1", Some("acme"), Some("shop")).await;
    let nothing = PinChange {
        tenant_id: Some(None),
        cloud_project_id: Some(None),
    };
    let id = fixture.resource("1").await.id;
    fixture.change_pin(id, &nothing, "bob").await.unwrap();
    assert_eq!(fixture.pin(id).await.unwrap(), None);
    let resource = fixture.resource("1").await;
    assert_eq!(
        (
            resource.tenant_id.as_deref(),
            resource.attribution.as_deref()
        ),
        (None, Some("membership"))
    );
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("web"));
    // Both words are on record, with who said them.
    let events = fixture.resource_events(id, None, 100).await.unwrap();
    let said: Vec<_> = events
        .iter()
        .filter_map(|event| event.changes.get("pin")?.get("by")?.as_str())
        .collect();
    assert_eq!(said, ["bob", "ann"]);
}

#[tokio::test]
async fn what_is_a_part_of_a_pinned_resource_follows_the_pin() {
    let fixture = with_droplet_in_web().await;
    let mut snapshot = resource(ResourceKind::SNAPSHOT, "s");
    snapshot.relations = vec![to(
        domain::inventory::RelationKind::SnapshotOf,
        ResourceKind::DROPLET,
        "1",
    )];
    fixture.sweep_kind(&[snapshot]).await;
    pin(&fixture, "1", Some("acme"), None).await;
    let snapshot = fixture.resource("s").await;
    assert_eq!(snapshot.tenant_id.as_deref(), Some("acme"));
    assert_eq!(fixture.project_of("s").await.as_deref(), Some("web"));
}

#[tokio::test]
async fn a_pin_to_a_project_that_is_not_there_is_refused() {
    let fixture = with_droplet_in_web().await;
    let change = PinChange {
        tenant_id: None,
        cloud_project_id: Some(Some(Uuid::from_u128(99))),
    };
    let id = fixture.resource("1").await.id;
    let refused = fixture.change_pin(id, &change, "ann").await;
    assert!(
        matches!(refused, Err(StoreError::NotFound { what, .. }) if what == "live project"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn zones_wait_for_an_operators_word() {
    let fixture = with_droplet_in_web().await;
    let zones = [zone("a.example"), zone("b.example"), zone("c.example")];
    fixture.sweep_kind(&zones).await;
    fixture
        .walk(&[members(WEB, &["do:domain:b.example"])])
        .await;
    pin(&fixture, "c.example", Some("acme"), None).await;
    let waiting = fixture.unclassified_zones(None, 10).await.unwrap();
    let names: Vec<_> = waiting.iter().map(|zone| zone.name.as_str()).collect();
    assert_eq!(names, ["a.example"]);
}

#[tokio::test]
async fn a_projects_tenants_are_dated_and_never_two_at_once() {
    let fixture = with_droplet_in_web().await;
    let web = fixture.project_row("web").await;
    for tenant in [Some("acme"), Some("globex"), Some("globex"), None] {
        let change = ProjectChange {
            tenant_id: Some(tenant.map(|tenant| tenant.parse().unwrap())),
            tenant_since: None,
            purpose: None,
        };
        fixture.change_project(web, &change, "ann").await.unwrap();
    }
    let rows: Vec<(String, bool)> = sqlx::query_as(
        "select tenant_id, valid_to is null from cloud_project_tenants order by valid_from",
    )
    .fetch_all(&fixture.pool)
    .await
    .unwrap();
    let expected = [("acme".to_owned(), false), ("globex".to_owned(), false)];
    assert_eq!(rows, expected);
    let overlap = sqlx::query(
        "insert into cloud_project_tenants (cloud_project_id, tenant_id, valid_from)
         select cloud_project_id, 'intruder', valid_from from cloud_project_tenants limit 1",
    )
    .execute(&fixture.pool)
    .await;
    assert!(overlap.unwrap_err().to_string().contains("overlap"));
}
