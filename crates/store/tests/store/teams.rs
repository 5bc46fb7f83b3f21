//! Whose resources and bills are here.

use futures::future::join_all;

use super::support::fixture;

#[tokio::test]
async fn the_first_team_is_the_one_and_may_change_its_name() {
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
async fn teams_that_come_first_at_once_hear_of_the_same_one() {
    let store = fixture().await;
    let names: Vec<String> = (0..8).map(|number| format!("team-{number}")).collect();
    let asked = names.iter().map(|name| store.mirrored_team_or(name, name));
    let answers = join_all(asked).await;
    let known = store.mirrored_team().await.unwrap().unwrap();
    for answer in answers {
        assert_eq!(answer.unwrap(), known);
    }
}
