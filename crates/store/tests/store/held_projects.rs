//! Projects have the guard, strikes and events of resources.

use domain::projects::ObservedProject;
use store::inventory::{Decision, HeldDeletion};

use super::support::{Fixture, by, fixture, project};

/// Returns the default project, the internal one and this many others.
fn projects(others: u128) -> Vec<ObservedProject> {
    let mut projects = vec![project(1, "default"), project(2, "internal")];
    projects[0].is_default = true;
    projects.extend((0..others).map(|id| project(10 + id, &format!("team-{id}"))));
    projects
}

/// Sweeps all projects, and then three lists with only the first `left` of them.
async fn lose_projects(fixture: &Fixture, others: u128, left: usize) {
    let all = projects(others);
    fixture.sweep_projects(&all).await;
    for _ in 0..3 {
        fixture.sweep_projects(&all[..left]).await;
    }
}

async fn holds(fixture: &Fixture) -> Vec<HeldDeletion> {
    let mut holds = fixture.held_deletions(10).await.unwrap();
    holds.retain(|hold| hold.kind == "project" && hold.state == "pending");
    holds
}

async fn live(fixture: &Fixture) -> usize {
    fixture.projects(None, None, 1_000).await.unwrap().len()
}

/// Returns the events of a project, oldest first.
async fn events(fixture: &Fixture, provider_id: u128) -> Vec<(String, serde_json::Value)> {
    sqlx::query_as(
        "select e.event, e.changes from cloud_project_events e
         join cloud_projects p on p.id = e.cloud_project_id where p.provider_id = $1 order by e.id",
    )
    .bind(uuid::Uuid::from_u128(provider_id).to_string())
    .fetch_all(&fixture.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn many_missing_projects_are_held_and_deleted_when_approved() {
    let fixture = fixture().await;
    lose_projects(&fixture, 28, 18).await;
    assert_eq!(live(&fixture).await, 30);
    let hold = holds(&fixture).await.pop().unwrap();
    assert_eq!((hold.would_delete, hold.live), (12, 30));
    let states =
        "select count(*) from cloud_kind_freshness where kind = 'project' and last_state = 'held'";
    assert_eq!(fixture.count(states).await, 1);
    let missing = fixture.held_resources(hold.id, None, 100).await.unwrap();
    assert_eq!(missing.len(), 12);
    assert!(missing.iter().any(|project| project.name == "team-27"));

    // One of them is listed again before the decision.
    let back = [&projects(28)[..18], &[project(37, "team-27")]].concat();
    let facts = fixture.facts(super::support::incomplete()).await;
    fixture.sweep_projects_with(&back, &facts).await;
    let decided = fixture
        .decide_held_deletion(hold.id, Decision::Approve, &by("ann"))
        .await
        .unwrap();
    assert_eq!((decided.deleted, live(&fixture).await), (Some(11), 19));
    let (event, changes) = events(&fixture, 36).await.pop().unwrap();
    assert_eq!(event, "deleted");
    assert_eq!(changes["approved_by"]["after"], "ann");
    let open = "select count(*) from cloud_project_names where valid_to is null";
    assert_eq!(fixture.count(open).await, 19);
}

#[tokio::test]
async fn a_list_of_only_default_and_internal_projects_is_held() {
    let fixture = fixture().await;
    lose_projects(&fixture, 3, 2).await;
    assert_eq!(live(&fixture).await, 5);
    assert_eq!(holds(&fixture).await[0].would_delete, 3);

    // Without the decision nothing changes; a list with all of them supersedes it.
    fixture.sweep_projects(&projects(3)[..2]).await;
    assert_eq!(live(&fixture).await, 5);
    fixture.sweep_projects(&projects(3)).await;
    assert_eq!(holds(&fixture).await, []);
}

#[tokio::test]
async fn rejected_deletions_of_projects_need_three_more_lists() {
    let fixture = fixture().await;
    lose_projects(&fixture, 3, 2).await;
    let hold = holds(&fixture).await.pop().unwrap();
    fixture
        .decide_held_deletion(hold.id, Decision::Reject, &by("ann"))
        .await
        .unwrap();
    let strikes = "select sum(stale_strike_count)::bigint from cloud_projects";
    assert_eq!(fixture.count(strikes).await, 0);
    for _ in 0..2 {
        fixture.sweep_projects(&projects(3)[..2]).await;
        assert_eq!(holds(&fixture).await, []);
    }
    fixture.sweep_projects(&projects(3)[..2]).await;
    assert_ne!(holds(&fixture).await[0].id, hold.id);
    assert_eq!(live(&fixture).await, 5);
}

#[tokio::test]
async fn the_changes_of_a_project_are_events() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects(2)).await;
    let mut renamed = projects(2);
    renamed[3].name = "team-z".to_owned();
    renamed[3].attrs = serde_json::json!({ "purpose": "Web", "updated_at": "2026-05-01" });
    fixture.sweep_projects(&renamed).await;
    // Only the time of DigitalOcean's last update differs.
    renamed[3].attrs = serde_json::json!({ "purpose": "Web", "updated_at": "2026-05-02" });
    fixture.sweep_projects(&renamed).await;
    for _ in 0..3 {
        fixture.sweep_projects(&renamed[..3]).await;
    }
    fixture.sweep_projects(&renamed).await;
    let events = events(&fixture, 11).await;
    let names: Vec<&str> = events.iter().map(|(event, _)| event.as_str()).collect();
    assert_eq!(names, ["discovered", "updated", "deleted", "restored"]);
    assert_eq!(events[0].1["name"]["after"], "team-1");
    let name = &events[1].1["name"];
    assert_eq!(
        (&name["before"], &name["after"]),
        (&"team-1".into(), &"team-z".into())
    );
    assert_eq!(events[1].1["attrs.purpose"]["after"], "Web");
    assert_eq!(events[1].1.as_object().unwrap().len(), 2);
    let deleted_at = &events[2].1["deleted_at"]["after"];
    assert!(deleted_at.is_string(), "{deleted_at}");
    assert!(events[3].1["deleted_at"]["after"].is_null());
}
