//! Two fetches that are stored in the opposite order: the older one changes nothing.

mod of_bills;

use std::collections::BTreeSet;

use domain::{Completeness, ResourceKind};
use store::inventory::Commit;
use store::projects::ProjectChange;

use super::bills::{APRIL, header, ingest};
use super::support::{Fixture, by, droplet, fixture, incomplete, members, project};

const WEB: u128 = 1;
const SHOP: u128 = 2;
const INTERNAL: u128 = 3;
const LATE: u128 = 4;
const CENTS: i64 = -99_501;

/// Returns the rows of all tables of the domain, except the record of each run's listings.
async fn rows(fixture: &Fixture) -> BTreeSet<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables
         where table_schema = 'public' and table_type = 'BASE TABLE' and table_name like 'cloud\\_%'
           and table_name <> 'cloud_listings'",
    )
    .fetch_all(&fixture.pool)
    .await
    .unwrap();
    let mut rows = BTreeSet::new();
    for table in tables {
        let query = format!("select '{table} ' || to_jsonb(t)::text from {table} t");
        let of_table: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_all(&fixture.pool)
            .await
            .unwrap();
        rows.extend(of_table);
    }
    rows
}

async fn assert_unchanged(fixture: &Fixture, before: &BTreeSet<String>) {
    let after = rows(fixture).await;
    let changed: Vec<_> = after.symmetric_difference(before).collect();
    assert!(changed.is_empty(), "{changed:#?}");
}

async fn assign_tenant(fixture: &Fixture, project: &str, tenant: &str) {
    let change = ProjectChange {
        tenant_id: Some(Some(tenant.parse().unwrap())),
        tenant_since: Some("2015-01-01T00:00:00Z".parse().unwrap()),
        purpose: None,
    };
    let project = fixture.project_row(project).await;
    fixture
        .change_project(project, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_older_membership_pass_changes_nothing() {
    let fixture = fixture().await;
    let projects = [project(WEB, "web"), project(SHOP, "shop")];
    fixture.sweep_projects(&projects).await;
    assign_tenant(&fixture, "web", "acme").await;
    assign_tenant(&fixture, "shop", "globex").await;
    fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "web-2")])
        .await;
    let listed = [header(1, "2026-04", CENTS)];
    fixture.discover_invoices(&listed).await.unwrap();
    ingest(&fixture, 1, APRIL).await;
    let older_pass = [members(
        WEB,
        &["do:droplet:1", "do:space:emptied", "do:space:assets"],
    )];
    fixture.store_members(&older_pass).await;

    let older = fixture.facts(Completeness::Complete).await;
    // The droplet moves, another one gets its first project, and a bucket is deleted.
    let urns = ["do:droplet:1", "do:droplet:2", "do:space:assets"];
    fixture.store_members(&[members(SHOP, &urns)]).await;
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("shop"));
    let before = rows(&fixture).await;
    let outcome = fixture.store_members_of(&older_pass, &older).await;
    assert_eq!((outcome.moved, outcome.discovered), (0, 0));
    assert_unchanged(&fixture, &before).await;
}

#[tokio::test]
async fn a_member_that_a_later_incomplete_pass_lists_stays_in_its_project() {
    let fixture = fixture().await;
    let projects = [
        project(WEB, "web"),
        project(SHOP, "shop"),
        project(INTERNAL, "internal"),
    ];
    fixture.sweep_projects(&projects).await;
    fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "web-2")])
        .await;
    fixture
        .store_members(&[members(WEB, &["do:droplet:1"])])
        .await;
    let older = fixture.facts(Completeness::Complete).await;
    let moved = [members(SHOP, &["do:droplet:1", "do:droplet:2"])];
    fixture.store_members_with(&moved, incomplete()).await;
    let before = rows(&fixture).await;
    let without = members(WEB, &["do:droplet:1"]);
    fixture.store_members_of(&[without], &older).await;
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("shop"));
    assert_eq!(fixture.project_of("2").await.as_deref(), Some("shop"));
    let after = rows(&fixture).await;
    let mut changed = after.difference(&before);
    // Only the freshness, since the older pass is the latest complete one.
    assert!(
        changed.all(|row| row.starts_with("cloud_kind_freshness ")),
        "{changed:#?}"
    );
}

#[tokio::test]
async fn a_failed_retry_of_a_complete_pass_keeps_the_fallback() {
    let fixture = fixture().await;
    let projects = [project(WEB, "web"), project(INTERNAL, "internal")];
    fixture.sweep_projects(&projects).await;
    fixture.store_members(&[members(WEB, &[])]).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    let complete = fixture.facts(Completeness::Complete).await;
    fixture
        .store_members_of(&[members(WEB, &[])], &complete)
        .await;
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("internal"));
    let mut retry = fixture.facts(incomplete()).await;
    retry.run = complete.run;
    fixture.store_members_of(&[], &retry).await;
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("internal"));
}

#[tokio::test]
async fn an_attempt_that_a_later_one_replaced_completes_no_kind() {
    let fixture = fixture().await;
    let first = fixture.facts(Completeness::Complete).await;
    let mut second = fixture.facts(incomplete()).await;
    second.run = first.run.clone();
    let droplets = [droplet(1, "web-1")];
    let kind = &droplets[0].kind;
    fixture.sweep_with(kind, &droplets, &second).await;
    fixture.sweep_with(kind, &[], &first).await;
    let freshness = fixture.freshness(Some(&["droplet".to_owned()])).await;
    assert_eq!(freshness.unwrap()[0].last_complete_at, None);
}

#[tokio::test]
async fn an_older_list_of_projects_changes_nothing() {
    let fixture = fixture().await;
    let older_list = [
        project(WEB, "web"),
        project(SHOP, "shop"),
        project(INTERNAL, "internal"),
    ];
    fixture.sweep_projects(&older_list).await;
    let without = [older_list[0].clone(), older_list[2].clone()];
    for _ in 0..2 {
        fixture.sweep_projects(&without).await;
    }
    let older = fixture.facts(Completeness::Complete).await;
    // A project is renamed, another one is deleted, and one is created.
    let newer_list = [
        project(WEB, "www"),
        older_list[2].clone(),
        project(LATE, "late"),
    ];
    assert_eq!(fixture.sweep_projects(&newer_list).await.deleted, 1);
    let before = rows(&fixture).await;
    let outcome = fixture.sweep_projects_with(&older_list, &older).await;
    assert_eq!((outcome.discovered, outcome.struck), (0, 0));
    assert_unchanged(&fixture, &before).await;
}

#[tokio::test]
async fn a_project_of_a_later_incomplete_list_keeps_its_name_and_no_strike() {
    let fixture = fixture().await;
    let older_list = [project(WEB, "web"), project(INTERNAL, "internal")];
    fixture.sweep_projects(&older_list).await;
    let older = fixture.facts(Completeness::Complete).await;
    let newer = fixture.facts(incomplete()).await;
    let newer_list = [project(WEB, "www"), project(LATE, "late")];
    fixture.sweep_projects_with(&newer_list, &newer).await;
    let outcome = fixture.sweep_projects_with(&older_list, &older).await;
    assert_eq!((outcome.struck, outcome.deleted), (0, 0));
    let stored = fixture.projects(None, None, 10).await.unwrap();
    let names: BTreeSet<_> = stored.iter().map(|project| project.name.as_str()).collect();
    assert_eq!(names, ["internal", "late", "www"].into());
}

#[tokio::test]
async fn an_older_attempt_does_not_replace_the_result_of_its_runs_listing() {
    let fixture = fixture().await;
    let projects = [project(WEB, "web"), project(INTERNAL, "internal")];
    let mut older = fixture.facts(incomplete()).await;
    let newer = fixture.facts(Completeness::Complete).await;
    older.run = newer.run.clone();
    fixture.sweep_projects_with(&projects, &newer).await;
    fixture.sweep_projects_with(&projects[..1], &older).await;
    let (seen, completeness) = fixture.projects_seen_by(&newer.run).await.unwrap();
    assert_eq!((seen.len(), completeness), (2, Completeness::Complete));
}

#[tokio::test]
async fn an_older_listing_of_resources_changes_nothing() {
    let fixture = fixture().await;
    let older_list = [
        droplet(1, "web-1"),
        droplet(2, "web-2"),
        droplet(3, "web-3"),
    ];
    fixture.sweep(&older_list[..2]).await;
    let older = fixture.facts(Completeness::Complete).await;
    // A droplet is renamed, and two are deleted, one of which was never stored.
    assert_eq!(fixture.sweep(&[droplet(1, "www-1")]).await.struck, 1);
    let before = rows(&fixture).await;
    let kind = ResourceKind::DROPLET;
    let outcome = fixture.sweep_with(&kind, &older_list, &older).await;
    assert_eq!((outcome.discovered, outcome.updated), (0, 0));
    assert_unchanged(&fixture, &before).await;
}
