//! A clock of the database that went back: stored times are later than now.

use super::support::{droplet, fixture, members, project};

#[tokio::test]
async fn intervals_that_begin_later_than_now_end_after_their_beginning() {
    let fixture = fixture().await;
    fixture.sync_three_projects().await;
    for table in ["cloud_project_names", "cloud_project_memberships"] {
        let later = format!("update {table} set valid_from = now() + interval '1 hour'");
        let later = sqlx::raw_sql(sqlx::AssertSqlSafe(later));
        later.execute(&fixture.pool).await.unwrap();
    }
    let renamed = [project(1, "www"), project(2, "data"), project(3, "free")];
    fixture.sweep_projects(&renamed).await;
    let moved = [
        members(2, &["do:droplet:1", "do:droplet:2"]),
        members(3, &["do:droplet:3"]),
    ];
    fixture.store_members(&moved).await;
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("data"));
    let others = [droplet(1, "web-1"), droplet(2, "db-1")];
    for _ in 0..3 {
        fixture.sweep(&others).await;
    }
    let intervals = "select count(*) from cloud_project_names n full join cloud_project_names next
        on next.cloud_project_id = n.cloud_project_id and next.valid_from = n.valid_to
        where n.name = 'web' and next.name = 'www' and next.valid_to is null";
    assert_eq!(fixture.count(intervals).await, 1);
    let ended = "select count(*) from cloud_project_memberships where valid_to > valid_from";
    assert_eq!(fixture.count(ended).await, 2);
    let open = "select count(*) from cloud_project_memberships where valid_to is null";
    assert_eq!(fixture.count(open).await, 2);
}
