//! Append-only tables, and checks of the connection and the schema.

use store::{Store, StoreError};

use super::support::{droplet, fixture};

#[tokio::test]
async fn events_are_append_only_and_rows_cannot_be_deleted() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    for statement in [
        "update cloud_resource_events set event = 'deleted'",
        "delete from cloud_resource_events",
        "truncate cloud_resource_events",
        "delete from cloud_resources",
        "delete from cloud_resource_rows",
        "truncate cloud_resource_rows cascade",
        "delete from cloud_projects",
    ] {
        let error = sqlx::query(statement)
            .execute(&fixture.pool)
            .await
            .unwrap_err();
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code);
        // restrict_violation, or feature_not_supported for a table with foreign keys.
        assert!(
            matches!(code.as_deref(), Some("23001" | "0A000")),
            "{statement}: {error}"
        );
    }
    assert_eq!(fixture.events("1").await, ["discovered"]);
}

#[tokio::test]
async fn a_database_without_the_schema_is_not_ready() {
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
async fn a_connection_error_names_the_database_without_the_password() {
    let address = devstack::testing::unused_address();
    let url = format!("postgres://arcadia:hunter2@{address}/arcadia");
    let error = Store::connect(&url, 1).await.unwrap_err().to_string();
    assert!(
        error.contains(&format!("{address}/arcadia")) && !error.contains("hunter2"),
        "{error}"
    );
}
