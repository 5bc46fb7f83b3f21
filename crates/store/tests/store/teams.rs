//! The mirrored team.

use futures::future::join_all;

use super::support::fixture;

#[tokio::test]
async fn the_first_team_is_mirrored_and_may_be_renamed() {
    let store = fixture().await;
    assert_eq!(store.mirrored_team().await.unwrap(), None);
    let first = store.mirrored_team_or("a1", "Kestrel").await.unwrap();
    assert_eq!(
        (first.team_uuid.as_str(), first.name.as_str()),
        ("a1", "Kestrel")
    );

    let other = store.mirrored_team_or("b2", "Merlin").await.unwrap();
    assert_eq!(other, first);
    assert_eq!(store.mirrored_team().await.unwrap(), Some(first.clone()));

    let renamed = store.mirrored_team_or("a1", "Kestrel Ltd").await.unwrap();
    assert_eq!(renamed.name, "Kestrel Ltd");
    assert_eq!(renamed.first_seen_at, first.first_seen_at);
    assert_eq!(store.mirrored_team().await.unwrap(), Some(renamed));
}

#[tokio::test]
async fn concurrent_first_teams_receive_the_same_team() {
    let store = fixture().await;
    let names: Vec<String> = (0..8).map(|number| format!("team-{number}")).collect();
    let calls = names.iter().map(|name| store.mirrored_team_or(name, name));
    let results = join_all(calls).await;
    let known = store.mirrored_team().await.unwrap().unwrap();
    for result in results {
        assert_eq!(result.unwrap(), known);
    }
}
