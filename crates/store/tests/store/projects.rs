//! Projects, their members and their tenants.

use std::slice::from_ref;

use domain::Completeness;
use domain::ResourceKind;
use domain::projects::MemberStatus;
use store::inventory::Commit;
use store::projects::ProjectChange;
use uuid::Uuid;

use super::support::{by, droplet, fixture, incomplete, members, project, zone};

const WEB: u128 = 1;
const SHOP: u128 = 2;
const INTERNAL: u128 = 3;

fn projects() -> [domain::projects::ObservedProject; 3] {
    [
        project(WEB, "web"),
        project(SHOP, "shop"),
        project(INTERNAL, "internal"),
    ]
}

#[tokio::test]
async fn projects_are_mirrored_and_deleted_after_three_strikes() {
    let fixture = fixture().await;
    assert_eq!(fixture.sweep_projects(&projects()).await.discovered, 3);
    assert_eq!(fixture.sweep_projects(&projects()).await.discovered, 0);
    let stored = fixture.projects(None, None, 10).await.unwrap();
    let internal = stored.iter().find(|project| project.is_internal).unwrap();
    assert_eq!(
        (internal.name.as_str(), internal.purpose.as_deref()),
        ("internal", Some("internal"))
    );
    for _ in 0..2 {
        assert_eq!(fixture.sweep_projects(&projects()[..2]).await.struck, 1);
    }
    assert_eq!(fixture.sweep_projects(&projects()[..2]).await.deleted, 1);
    assert_eq!(fixture.projects(None, None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn membership_applies_in_any_order_of_syncs() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture.sweep(&[droplet(1, "before")]).await;
    fixture
        .store_members(&[members(WEB, &["do:droplet:1", "do:droplet:2"])])
        .await;
    fixture
        .sweep(&[droplet(1, "before"), droplet(2, "after")])
        .await;
    for id in ["1", "2"] {
        assert_eq!(fixture.project_of(id).await.as_deref(), Some("web"));
        assert_eq!(
            fixture.resource(id).await.attribution.as_deref(),
            Some("membership")
        );
    }
    assert_eq!(fixture.events("1").await, ["discovered", "updated"]);
}

#[tokio::test]
async fn a_move_between_projects_is_recorded_once_as_drift() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture
        .store_members(&[members(WEB, &["do:droplet:1"])])
        .await;
    let web = fixture.resource("1").await.cloud_project_id;
    assert_eq!(
        fixture
            .store_members(&[members(SHOP, &["do:droplet:1"])])
            .await
            .moved,
        1
    );
    assert_eq!(
        fixture
            .store_members(&[members(SHOP, &["do:droplet:1"])])
            .await
            .moved,
        0
    );
    let resource = fixture.resource("1").await;
    let events = fixture.resource_events(resource.id, None, 1).await.unwrap();
    assert_eq!(events[0].event, "drift_detected");
    assert_eq!(
        events[0].changes["cloud_project_id"]["before"],
        serde_json::json!(web)
    );
    assert_eq!(
        events[0].changes["cloud_project_id"]["after"],
        serde_json::json!(resource.cloud_project_id)
    );
    assert_eq!(
        fixture.events("1").await,
        ["discovered", "updated", "drift_detected"]
    );
}

#[tokio::test]
async fn the_later_assignment_of_a_resource_to_two_projects_wins() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    let mut earlier = members(SHOP, &["do:droplet:1"]);
    earlier.members[0].assigned_at = Some("2026-01-01T00:00:00Z".parse().unwrap());
    let mut later = members(WEB, &["do:droplet:1"]);
    later.members[0].assigned_at = Some("2026-02-01T00:00:00Z".parse().unwrap());
    fixture.store_members(&[later, earlier]).await;
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("web"));
}

#[tokio::test]
async fn the_body_determines_the_project_without_a_membership() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    let mut in_body = droplet(1, "web-1");
    in_body.project_id = Some(Uuid::from_u128(SHOP));
    fixture.sweep(&[in_body.clone()]).await;
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("shop"));
    assert_eq!(
        fixture.resource("1").await.attribution.as_deref(),
        Some("body")
    );
    fixture
        .store_members(&[members(WEB, &["do:droplet:1"])])
        .await;
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("web"));
}

#[tokio::test]
async fn a_resource_in_no_project_gets_the_internal_one_after_a_full_pass() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    let facts = fixture.facts(Completeness::Complete).await;
    fixture
        .sweep_with(&ResourceKind::DNS_ZONE, &[zone("example.com")], &facts)
        .await;
    fixture.store_members_with(&[], incomplete()).await;
    assert_eq!(fixture.project_of("1").await, None);
    fixture.store_members(&[]).await;
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("internal"));
    assert_eq!(
        fixture.resource("1").await.attribution.as_deref(),
        Some("fallback")
    );
    // The resource is newer than the pass, so the pass could not list it.
    fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "web-2")])
        .await;
    assert_eq!(fixture.project_of("2").await, None);
    let zone = fixture.resource("example.com").await;
    assert_eq!((zone.cloud_project_id, zone.attribution), (None, None));
}

#[tokio::test]
async fn a_member_moves_only_after_three_passes_without_it() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "web-2")])
        .await;
    fixture
        .store_members(&[members(WEB, &["do:droplet:1", "do:droplet:2"])])
        .await;
    let without = members(WEB, &["do:droplet:2"]);
    for _ in 0..2 {
        fixture.store_members(from_ref(&without)).await;
        fixture
            .store_members_with(from_ref(&without), incomplete())
            .await;
        assert_eq!(fixture.project_of("1").await.as_deref(), Some("web"));
    }
    fixture.store_members(&[without]).await;
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("internal"));
}

#[tokio::test]
async fn passes_without_most_members_remove_no_membership() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    let droplets: Vec<_> = (1..=30)
        .map(|id| droplet(id, &format!("web-{id}")))
        .collect();
    fixture.sweep(&droplets).await;
    let urns: Vec<String> = (1..=30).map(|id| format!("do:droplet:{id}")).collect();
    let urns: Vec<&str> = urns.iter().map(String::as_str).collect();
    fixture.store_members(&[members(WEB, &urns)]).await;
    // The token of another team sees other droplets.
    for pass in 1..=4 {
        let outcome = fixture
            .store_members(&[members(WEB, &["do:droplet:1", "do:droplet:777"])])
            .await;
        assert_eq!((outcome.moved, outcome.held.is_some()), (0, pass >= 3));
    }
    let held = fixture
        .store_members(&[members(WEB, &["do:droplet:1"])])
        .await
        .held;
    let reason = held.unwrap();
    assert!(reason.contains("29 of 30"), "{reason}");
    assert_eq!(fixture.project_of("30").await.as_deref(), Some("web"));
    // A few missing members are not held.
    for _ in 0..3 {
        fixture.store_members(&[members(WEB, &urns[..25])]).await;
    }
    assert_eq!(fixture.project_of("30").await.as_deref(), Some("internal"));
    assert_eq!(fixture.project_of("25").await.as_deref(), Some("web"));
}

#[tokio::test]
async fn passes_without_any_member_of_a_kind_prove_nothing_about_it() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "web-2")])
        .await;
    fixture
        .store_members(&[members(
            WEB,
            &[
                "do:droplet:1",
                "do:droplet:2",
                "do:quantumcomputer:7",
                "do:space:assets",
            ],
        )])
        .await;
    // The token may read neither droplets nor the unknown kind.
    for _ in 0..4 {
        let outcome = fixture
            .store_members(&[members(WEB, &["do:space:assets"])])
            .await;
        let unseen: Vec<_> = outcome
            .unseen_kinds
            .iter()
            .map(ResourceKind::as_str)
            .collect();
        assert_eq!(unseen, ["droplet", "quantumcomputer"]);
    }
    for id in ["1", "2", "7"] {
        assert_eq!(fixture.project_of(id).await.as_deref(), Some("web"));
        assert_eq!(fixture.resource(id).await.deleted_at, None);
        assert_eq!(fixture.events(id).await.len(), 1 + usize::from(id != "7"));
    }
    // The deletion of a resource that is known only from projects is held.
    let holds = fixture.held_deletions(9).await.unwrap();
    let held: Vec<_> = holds
        .iter()
        .map(|hold| (&*hold.kind, hold.would_delete))
        .collect();
    assert_eq!(held, [("quantumcomputer", 1)]);

    // If there are no droplets any more, their memberships are removed as usual. The second one is
    // deleted later, since the deletion of all droplets at once would be held.
    fixture.sweep(&[droplet(2, "web-2")]).await;
    for _ in 0..4 {
        fixture.sweep(&[]).await;
    }
    for _ in 0..3 {
        fixture
            .store_members(&[members(WEB, &["do:space:assets"])])
            .await;
    }
    let left = "select count(*) from cloud_project_members where kind = 'droplet'";
    assert_eq!(fixture.count(left).await, 0);
}

#[tokio::test]
async fn members_of_kinds_without_listing_become_resources_with_strikes() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    let mut listed = members(
        WEB,
        &[
            "do:space:assets",
            "do:quantumcomputer:7",
            "do:quantumcomputer:8",
            "do:space:dangling",
            "do:droplet:99",
        ],
    );
    listed.members[3].status = MemberStatus::NotFound;
    assert_eq!(fixture.store_members(&[listed]).await.discovered, 3);
    let all = fixture.all_resources().await;
    let kinds: Vec<_> = all
        .iter()
        .map(|resource| (resource.kind.as_str(), resource.name.as_str()))
        .collect();
    assert_eq!(
        kinds,
        [
            ("quantumcomputer", "7"),
            ("quantumcomputer", "8"),
            ("spaces_bucket", "assets")
        ]
    );
    assert_eq!(fixture.project_of("assets").await.as_deref(), Some("web"));
    for _ in 0..3 {
        fixture
            .store_members(&[members(WEB, &["do:space:assets", "do:quantumcomputer:8"])])
            .await;
    }
    assert!(fixture.resource("7").await.deleted_at.is_some());
    assert!(fixture.resource("assets").await.deleted_at.is_none());
}

#[tokio::test]
async fn resources_have_the_tenant_of_their_project() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture
        .store_members(&[members(WEB, &["do:droplet:1"])])
        .await;
    let web = fixture.resource("1").await.cloud_project_id.unwrap();
    let change = ProjectChange {
        tenant_id: Some(Some("acme".parse().unwrap())),
        tenant_since: None,
        purpose: None,
    };
    let (changed, _) = fixture
        .change_project(web, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    assert_eq!(changed.tenant_id.as_deref(), Some("acme"));
    assert_eq!(
        fixture.resource("1").await.tenant_id.as_deref(),
        Some("acme")
    );
    // No sync changes an operator's assignment.
    fixture.sweep_projects(&projects()).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    assert_eq!(
        fixture.resource("1").await.tenant_id.as_deref(),
        Some("acme")
    );

    let unassign = ProjectChange {
        tenant_id: Some(None),
        tenant_since: None,
        purpose: Some(Some("shop front".to_owned())),
    };
    assert_eq!(
        fixture
            .change_project(web, &unassign, &by("ann"), Commit::Keep)
            .await
            .unwrap()
            .0
            .purpose
            .as_deref(),
        Some("shop front")
    );
    assert_eq!(fixture.resource("1").await.tenant_id, None);
    assert!(
        fixture
            .change_project(Uuid::from_u128(77), &unassign, &by("ann"), Commit::Keep)
            .await
            .is_err()
    );
}
