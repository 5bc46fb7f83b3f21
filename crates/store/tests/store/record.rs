//! What the database itself refuses.

use store::{Store, StoreError};

use super::support::{droplet, fixture};

#[tokio::test]
async fn events_can_only_be_added_and_rows_never_removed() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    for statement in [
        "update cloud_resource_events set event = 'deleted'",
        "delete from cloud_resource_events",
        "truncate cloud_resource_events",
        "delete from cloud_resources",
        "truncate cloud_resources cascade",
        "delete from cloud_projects",
    ] {
        let error = sqlx::query(statement)
            .execute(&fixture.pool)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("refused") || error.contains("truncate"),
            "{statement}: {error}"
        );
    }
    assert_eq!(fixture.events("1").await, ["discovered"]);
}

#[tokio::test]
async fn a_database_without_the_schema_is_told_from_one_that_has_it() {
    let database = devstack::testing::database().await;
    let store = Store::connect(&database.url(), 1).await.unwrap();
    let behind = store.check_ready().await;
    assert!(
        matches!(behind, Err(StoreError::SchemaBehind { applied: 0, .. })),
        "{behind:?}"
    );
    let (one, two) = tokio::join!(store.migrate(), store.migrate());
    one.unwrap();
    two.unwrap();
    store.check_ready().await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_without_its_password() {
    let address = devstack::testing::unused_address();
    let url = format!("postgres://arcadia:hunter2@{address}/arcadia");
    let error = Store::connect(&url, 1).await.unwrap_err().to_string();
    assert!(
        error.contains(&format!("{address}/arcadia")) && !error.contains("hunter2"),
        "{error}"
    );
}
