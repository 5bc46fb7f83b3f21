use std::slice::from_ref;

use domain::Completeness;
use domain::ResourceKind;
use domain::projects::MemberStatus;
use store::inventory::Commit;
use store::projects::ProjectChange;
use uuid::Uuid;

use super::support::{droplet, fixture, incomplete, members, project, zone};

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
async fn projects_are_mirrored_and_follow_the_three_strikes() {
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
async fn membership_decides_whichever_sync_comes_first() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture.sweep(&[droplet(1, "before")]).await;
    fixture
        .walk(&[members(WEB, &["do:droplet:1", "do:droplet:2"])])
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
async fn a_move_between_projects_is_drift_with_before_and_after_once() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture.walk(&[members(WEB, &["do:droplet:1"])]).await;
    let web = fixture.resource("1").await.cloud_project_id;
    assert_eq!(
        fixture
            .walk(&[members(SHOP, &["do:droplet:1"])])
            .await
            .moved,
        1
    );
    assert_eq!(
        fixture
            .walk(&[members(SHOP, &["do:droplet:1"])])
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
async fn of_two_projects_that_list_one_resource_the_later_assignment_holds() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    let mut earlier = members(SHOP, &["do:droplet:1"]);
    earlier.members[0].assigned_at = Some("2026-01-01T00:00:00Z".parse().unwrap());
    let mut later = members(WEB, &["do:droplet:1"]);
    later.members[0].assigned_at = Some("2026-02-01T00:00:00Z".parse().unwrap());
    fixture.walk(&[later, earlier]).await;
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("web"));
}

#[tokio::test]
async fn the_body_names_the_project_where_no_membership_does() {
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
    fixture.walk(&[members(WEB, &["do:droplet:1"])]).await;
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("web"));
}

#[tokio::test]
async fn what_no_project_lists_falls_to_the_internal_one_only_after_a_complete_pass() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    let facts = fixture.facts(Completeness::Complete).await;
    fixture
        .sweep_with(&ResourceKind::DNS_ZONE, &[zone("example.com")], &facts)
        .await;
    fixture.walk_with(&[], incomplete()).await;
    assert_eq!(fixture.project_of("1").await, None);
    fixture.walk(&[]).await;
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("internal"));
    assert_eq!(
        fixture.resource("1").await.attribution.as_deref(),
        Some("fallback")
    );
    // Newer than the pass: the pass could not have listed it.
    fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "web-2")])
        .await;
    assert_eq!(fixture.project_of("2").await, None);
    let zone = fixture.resource("example.com").await;
    assert_eq!((zone.cloud_project_id, zone.attribution), (None, None));
}

#[tokio::test]
async fn a_pass_that_misses_a_member_does_not_move_it_until_three_have() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "web-2")])
        .await;
    fixture
        .walk(&[members(WEB, &["do:droplet:1", "do:droplet:2"])])
        .await;
    let without = members(WEB, &["do:droplet:2"]);
    for _ in 0..2 {
        fixture.walk(from_ref(&without)).await;
        fixture.walk_with(from_ref(&without), incomplete()).await;
        assert_eq!(fixture.project_of("1").await.as_deref(), Some("web"));
    }
    fixture.walk(&[without]).await;
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("internal"));
}

#[tokio::test]
async fn passes_that_lack_most_of_what_is_there_take_nothing_out_of_its_project() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    let droplets: Vec<_> = (1..=30)
        .map(|id| droplet(id, &format!("web-{id}")))
        .collect();
    fixture.sweep(&droplets).await;
    let urns: Vec<String> = (1..=30).map(|id| format!("do:droplet:{id}")).collect();
    let urns: Vec<&str> = urns.iter().map(String::as_str).collect();
    fixture.walk(&[members(WEB, &urns)]).await;
    // Another team's token sees droplets, and not these.
    for pass in 1..=4 {
        let walked = fixture
            .walk(&[members(WEB, &["do:droplet:1", "do:droplet:777"])])
            .await;
        assert_eq!((walked.moved, walked.held.is_some()), (0, pass >= 3));
    }
    let held = fixture.walk(&[members(WEB, &["do:droplet:1"])]).await.held;
    let told =
        "no project lists 29 of the 30 live resources that were in one: they stay where they were";
    assert_eq!(held.as_deref(), Some(told));
    assert_eq!(fixture.project_of("30").await.as_deref(), Some("web"));
    // A few are believed.
    for _ in 0..3 {
        fixture.walk(&[members(WEB, &urns[..25])]).await;
    }
    assert_eq!(fixture.project_of("30").await.as_deref(), Some("internal"));
    assert_eq!(fixture.project_of("25").await.as_deref(), Some("web"));
}

#[tokio::test]
async fn passes_that_see_nothing_of_a_kind_say_nothing_of_it() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "web-2")])
        .await;
    fixture
        .walk(&[members(
            WEB,
            &[
                "do:droplet:1",
                "do:droplet:2",
                "do:quantumcomputer:7",
                "do:space:assets",
            ],
        )])
        .await;
    // A token that may see neither droplets nor what it has no word for.
    for _ in 0..4 {
        let walked = fixture.walk(&[members(WEB, &["do:space:assets"])]).await;
        let unseen: Vec<_> = walked
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
    // What is known from projects alone waits for an operator's word.
    let holds = fixture.held_deletions(9).await.unwrap();
    let held: Vec<_> = holds
        .iter()
        .map(|hold| (&*hold.kind, hold.would_delete))
        .collect();
    assert_eq!(held, [("quantumcomputer", 1)]);

    // Where there are no droplets any more, their memberships go as ever.
    for _ in 0..3 {
        fixture.sweep(&[]).await;
    }
    for _ in 0..3 {
        fixture.walk(&[members(WEB, &["do:space:assets"])]).await;
    }
    let left = fixture.members_of(&ResourceKind::DROPLET).await.unwrap().0;
    assert_eq!(left, [""; 0]);
}

#[tokio::test]
async fn members_of_kinds_without_a_listing_are_kept_by_their_own_word_and_struck_by_complete_passes()
 {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    let mut listed = members(
        WEB,
        &[
            "do:space:assets",
            "do:quantumcomputer:7",
            "do:quantumcomputer:8",
            "do:space:gone",
            "do:droplet:99",
        ],
    );
    listed.members[3].status = MemberStatus::NotFound;
    assert_eq!(fixture.walk(&[listed]).await.discovered, 3);
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
            .walk(&[members(WEB, &["do:space:assets", "do:quantumcomputer:8"])])
            .await;
    }
    assert!(fixture.resource("7").await.deleted_at.is_some());
    assert!(fixture.resource("assets").await.deleted_at.is_none());
}

#[tokio::test]
async fn a_projects_tenant_is_its_resources_tenant() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture.walk(&[members(WEB, &["do:droplet:1"])]).await;
    let web = fixture.resource("1").await.cloud_project_id.unwrap();
    let change = ProjectChange {
        tenant_id: Some(Some("acme".parse().unwrap())),
        tenant_since: None,
        purpose: None,
    };
    let (changed, _) = fixture
        .change_project(web, &change, "ann", Commit::Keep)
        .await
        .unwrap();
    assert_eq!(changed.tenant_id.as_deref(), Some("acme"));
    assert_eq!(
        fixture.resource("1").await.tenant_id.as_deref(),
        Some("acme")
    );
    // No sync touches what an operator decided.
    fixture.sweep_projects(&projects()).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    assert_eq!(
        fixture.resource("1").await.tenant_id.as_deref(),
        Some("acme")
    );

    let nobody = ProjectChange {
        tenant_id: Some(None),
        tenant_since: None,
        purpose: Some(Some("shop front".to_owned())),
    };
    assert_eq!(
        fixture
            .change_project(web, &nobody, "ann", Commit::Keep)
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
            .change_project(Uuid::from_u128(77), &nobody, "ann", Commit::Keep)
            .await
            .is_err()
    );
}
