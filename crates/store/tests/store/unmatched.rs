//! Members of projects that match no resource.

use domain::ResourceKind;
use domain::projects::MemberStatus;
use store::projects::{ProjectMembers, UnmatchedMembers};

use super::support::{Fixture, droplet, fixture, members, project, resource, zone};

const WEB: u128 = 1;
const VOLUME: &str = "do:volume:5F1B0C3E-0A4D-4B7C-9D5E-2A1F3C4B5D6E";

async fn with_project() -> Fixture {
    let fixture = fixture().await;
    fixture.sweep_projects(&[project(WEB, "web")]).await;
    fixture
}

async fn unmatched(fixture: &Fixture) -> Vec<(String, i64)> {
    let counted = fixture.unmatched_members().await.unwrap().into_iter();
    let pair = |UnmatchedMembers { kind, count }| (kind, count);
    counted.map(pair).collect()
}

fn with_status(urn: &str, status: MemberStatus) -> ProjectMembers {
    let mut members = members(WEB, &[urn]);
    members.members[0].status = status;
    members
}

#[tokio::test]
async fn members_that_a_later_complete_listing_lacks_are_counted_by_kind() {
    let fixture = with_project().await;
    let urns = ["do:droplet:1", "do:droplet:2", "do:droplet:3", VOLUME];
    fixture.store_members(&[members(WEB, &urns)]).await;
    // No listing has happened since.
    assert_eq!(unmatched(&fixture).await, []);
    fixture.sweep(&[droplet(1, "web-1")]).await;
    assert_eq!(unmatched(&fixture).await, [("droplet".to_owned(), 2)]);
    fixture
        .sweep_kind(&[resource(ResourceKind::VOLUME, "another")])
        .await;
    assert_eq!(
        unmatched(&fixture).await,
        [("droplet".to_owned(), 2), ("volume".to_owned(), 1)]
    );
    fixture
        .sweep(&[
            droplet(1, "web-1"),
            droplet(2, "web-2"),
            droplet(3, "web-3"),
        ])
        .await;
    assert_eq!(unmatched(&fixture).await, [("volume".to_owned(), 1)]);
}

#[tokio::test]
async fn an_incomplete_or_earlier_listing_makes_no_member_unmatched() {
    let fixture = with_project().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture
        .store_members(&[members(WEB, &["do:droplet:1", "do:droplet:2"])])
        .await;
    assert_eq!(unmatched(&fixture).await, []);
    let incomplete = fixture.facts(super::support::incomplete()).await;
    fixture
        .sweep_with(&ResourceKind::DROPLET, &[], &incomplete)
        .await;
    assert_eq!(unmatched(&fixture).await, []);
}

#[tokio::test]
async fn a_member_assigned_after_the_listing_is_not_unmatched_yet() {
    let fixture = with_project().await;
    fixture
        .store_members(&[members(WEB, &["do:droplet:1"])])
        .await;
    fixture.sweep(&[]).await;
    assert_eq!(unmatched(&fixture).await, [("droplet".to_owned(), 1)]);
    let mut moved = members(WEB, &["do:droplet:1"]);
    moved.members[0].assigned_at = Some(fixture.now().await.unwrap());
    fixture.store_members(&[moved]).await;
    assert_eq!(unmatched(&fixture).await, []);
    fixture.sweep(&[]).await;
    assert_eq!(unmatched(&fixture).await, [("droplet".to_owned(), 1)]);
}

#[tokio::test]
async fn a_dangling_or_missing_member_is_not_counted() {
    let fixture = with_project().await;
    let dangling = with_status("do:droplet:1", MemberStatus::NotFound);
    fixture.store_members(&[dangling]).await;
    fixture.sweep(&[]).await;
    assert_eq!(unmatched(&fixture).await, []);
    let down = with_status("do:droplet:1", MemberStatus::from_status("service_down"));
    fixture.store_members(&[down]).await;
    assert_eq!(unmatched(&fixture).await, [("droplet".to_owned(), 1)]);
    fixture.store_members(&[members(WEB, &[])]).await;
    assert_eq!(unmatched(&fixture).await, []);
}

#[tokio::test]
async fn members_of_a_kind_without_listing_become_resources_and_match() {
    let fixture = with_project().await;
    fixture
        .store_members(&[members(WEB, &["do:quantumcomputer:Q-1"])])
        .await;
    fixture
        .store_members(&[members(WEB, &["do:quantumcomputer:Q-1"])])
        .await;
    assert_eq!(unmatched(&fixture).await, []);
    assert_eq!(fixture.project_of("Q-1").await.as_deref(), Some("web"));
}

#[tokio::test]
async fn a_member_matches_its_resource_in_any_notation_of_the_id() {
    let fixture = with_project().await;
    let urns = [
        VOLUME,
        "do:domain:Example.COM",
        "do:reservedipv6:2604:A880:800:14::DC9:C001",
    ];
    fixture.store_members(&[members(WEB, &urns)]).await;
    let address = "2604:a880:800:14::dc9:c001";
    let volume = "5f1b0c3e-0a4d-4b7c-9d5e-2a1f3c4b5d6e";
    for listed in [
        resource(ResourceKind::VOLUME, volume),
        zone("example.com"),
        resource(ResourceKind::RESERVED_IPV6, address),
    ] {
        fixture.sweep_kind(std::slice::from_ref(&listed)).await;
        let id = &listed.provider_id;
        assert_eq!(fixture.project_of(id).await.as_deref(), Some("web"), "{id}");
    }
    assert_eq!(unmatched(&fixture).await, []);
}
