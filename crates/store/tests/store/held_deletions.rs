//! A listing that would delete too many resources deletes none.

use domain::inventory::ObservedResource;
use store::StoreError;
use store::inventory::{Decision, HeldDeletion, SweepOutcome};

use super::support::{Fixture, by, droplet, fixture};

fn droplets(count: u32) -> Vec<ObservedResource> {
    (0..count)
        .map(|id| droplet(id, &format!("web-{id}")))
        .collect()
}

/// Returns the outcome of the third complete listing that contains only the first `left` of `count`
/// droplets.
pub(crate) async fn lose_droplets(fixture: &Fixture, count: u32, left: usize) -> SweepOutcome {
    let all = droplets(count);
    fixture.sweep(&all).await;
    fixture.sweep(&all[..left]).await;
    fixture.sweep(&all[..left]).await;
    fixture.sweep(&all[..left]).await
}

async fn deleted(fixture: &Fixture) -> i64 {
    fixture
        .count("select count(*) from cloud_resources where deleted_at is not null")
        .await
}

async fn only_held_deletion(fixture: &Fixture) -> HeldDeletion {
    let mut holds = fixture.held_deletions(10).await.unwrap();
    assert_eq!(holds.len(), 1);
    holds.pop().unwrap()
}

#[tokio::test]
async fn more_than_a_fifth_and_more_than_ten_deletions_are_held() {
    let fixture = fixture().await;
    let outcome = lose_droplets(&fixture, 40, 28).await;
    let held = outcome.held.unwrap();
    assert_eq!((outcome.deleted, outcome.struck), (0, 0));
    assert_eq!((held.would_delete, held.live), (12, 40));
    assert_eq!(deleted(&fixture).await, 0);
    let freshness = fixture
        .freshness(Some(&["droplet".to_owned()]))
        .await
        .unwrap();
    assert_eq!(freshness[0].last_state, "held");
    let reason = freshness[0].last_reason.as_deref().unwrap();
    assert!(
        reason.contains("12 of 40") && reason.contains(&held.id.to_string()),
        "{reason}"
    );
    let state = "select count(*) from cloud_listings where state = 'held'";
    assert_eq!(fixture.count(state).await, 1);

    // The same result updates the held deletion and creates no other.
    let again = fixture.sweep(&droplets(28)).await;
    assert_eq!(again.held.unwrap().id, held.id);
    assert_eq!(only_held_deletion(&fixture).await.state, "pending");
}

#[tokio::test]
async fn a_decision_does_not_apply_to_rows_that_were_held_later() {
    let fixture = fixture().await;
    let first = lose_droplets(&fixture, 40, 28).await.held.unwrap();
    for _ in 0..2 {
        fixture.sweep(&droplets(10)).await;
    }
    // Further rows wait for the decision on the first ones.
    let more = fixture.sweep(&droplets(10)).await.held.unwrap();
    assert_eq!((more.id, more.would_delete), (first.id, 12));
    // One of the rows is observed again.
    let fewer = fixture.sweep(&droplets(29)).await.held.unwrap();
    assert_eq!((fewer.id, fewer.would_delete), (first.id, 11));
    for _ in 0..3 {
        fixture.sweep(&droplets(10)).await;
    }
    fixture
        .decide_held_deletion(first.id, Decision::Approve, &by("ann"))
        .await
        .unwrap();
    assert_eq!(deleted(&fixture).await, 11);
    let next = fixture.sweep(&droplets(10)).await.held.unwrap();
    assert_ne!(next.id, first.id);
    assert_eq!(next.would_delete, 19);
    // Only other rows are missing: the decision is about these.
    fixture.sweep(&droplets(29)).await;
    for _ in 0..2 {
        fixture.sweep(&[]).await;
    }
    let others = fixture.sweep(&[]).await.held.unwrap();
    assert_eq!(others.would_delete, 29);
}

#[tokio::test]
async fn up_to_ten_rows_or_a_fifth_are_deleted_without_a_decision() {
    let few = fixture().await;
    let outcome = lose_droplets(&few, 12, 2).await;
    assert_eq!((outcome.deleted, outcome.held), (10, None));

    let many = fixture().await;
    let outcome = lose_droplets(&many, 100, 80).await;
    assert_eq!((outcome.deleted, outcome.held), (20, None));
}

#[tokio::test]
async fn the_loss_of_all_rows_of_a_small_kind_is_held() {
    for count in [2, 5] {
        let small = fixture().await;
        let outcome = lose_droplets(&small, count, 0).await;
        assert_eq!((outcome.deleted, outcome.struck), (0, 0));
        let held = outcome.held.unwrap();
        let all = i32::try_from(count).unwrap();
        assert_eq!((held.would_delete, held.live), (all, all));
        small
            .decide_held_deletion(held.id, Decision::Approve, &by("ann"))
            .await
            .unwrap();
        assert_eq!(deleted(&small).await, i64::from(count));
    }
    let single = fixture().await;
    let outcome = lose_droplets(&single, 1, 0).await;
    assert_eq!((outcome.deleted, outcome.held), (1, None));
}

#[tokio::test]
async fn approved_deletions_are_executed_and_record_the_operator() {
    let fixture = fixture().await;
    let held = lose_droplets(&fixture, 40, 20).await.held.unwrap();
    let decided = fixture
        .decide_held_deletion(held.id, Decision::Approve, &by("ann"))
        .await
        .unwrap();
    assert_eq!(
        (decided.state.as_str(), decided.deleted),
        ("approved", Some(20))
    );
    assert_eq!(decided.decided_by.as_deref(), Some("ann"));
    assert!(decided.decided_at.is_some());
    assert_eq!(deleted(&fixture).await, 20);
    let event = fixture.last_event("39").await;
    assert_eq!(event.event, "deleted");
    assert_eq!(event.changes["approved_by"]["after"], "ann");

    // The same decision again changes nothing; a different one is rejected.
    let again = fixture
        .decide_held_deletion(held.id, Decision::Approve, &by("bob"))
        .await
        .unwrap();
    assert_eq!(again, decided);
    let refused = fixture
        .decide_held_deletion(held.id, Decision::Reject, &by("bob"))
        .await;
    assert!(
        matches!(refused, Err(StoreError::Decided { .. })),
        "{refused:?}"
    );
    assert_eq!(fixture.events("39").await, ["discovered", "deleted"]);
}

#[tokio::test]
async fn a_resource_observed_before_the_approval_is_not_deleted() {
    let fixture = fixture().await;
    let held = lose_droplets(&fixture, 40, 20).await.held.unwrap();
    // An incomplete listing observes one resource and decides nothing else.
    let facts = fixture.facts(super::support::incomplete()).await;
    let kind = domain::ResourceKind::DROPLET;
    fixture
        .sweep_with(&kind, &[droplet(39, "web-39")], &facts)
        .await;
    let decided = fixture
        .decide_held_deletion(held.id, Decision::Approve, &by("ann"))
        .await
        .unwrap();
    assert_eq!(decided.deleted, Some(19));
    assert_eq!(fixture.resource("39").await.deleted_at, None);
}

#[tokio::test]
async fn rejected_deletions_are_held_again_after_three_listings() {
    let fixture = fixture().await;
    let held = lose_droplets(&fixture, 40, 20).await.held.unwrap();
    let decided = fixture
        .decide_held_deletion(held.id, Decision::Reject, &by("ann"))
        .await
        .unwrap();
    assert_eq!(
        (decided.state.as_str(), decided.deleted),
        ("rejected", Some(0))
    );
    for _ in 0..2 {
        let outcome = fixture.sweep(&droplets(20)).await;
        assert_eq!((outcome.struck, outcome.held), (20, None));
    }
    let held_again = fixture.sweep(&droplets(20)).await.held.unwrap();
    assert_ne!(held_again.id, held.id);
    assert_eq!(deleted(&fixture).await, 0);
}

#[tokio::test]
async fn a_held_deletion_is_superseded_when_most_resources_are_observed() {
    let fixture = fixture().await;
    lose_droplets(&fixture, 40, 20).await;
    let outcome = fixture.sweep(&droplets(38)).await;
    assert_eq!((outcome.deleted, outcome.held), (2, None));
    assert_eq!(only_held_deletion(&fixture).await.state, "superseded");
}

#[tokio::test]
async fn one_of_two_concurrent_decisions_applies() {
    let fixture = fixture().await;
    let held = lose_droplets(&fixture, 40, 20).await.held.unwrap();
    let (ann, bob) = (by("ann"), by("bob"));
    let (approved, rejected) = tokio::join!(
        fixture.decide_held_deletion(held.id, Decision::Approve, &ann),
        fixture.decide_held_deletion(held.id, Decision::Reject, &bob),
    );
    assert!(approved.is_ok() != rejected.is_ok());
    let expected = if approved.is_ok() { 20 } else { 0 };
    assert_eq!(deleted(&fixture).await, expected);
}
