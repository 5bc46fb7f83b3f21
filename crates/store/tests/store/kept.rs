//! Results that the store keeps in memory follow each change of the rows.

use std::time::Duration;

use domain::invoices::read_invoice_csv;
use domain::{Completeness, TenantId};
use store::inventory::{Commit, OverrideChange, ResourceFilter, State};
use store::invoices::{Document, InvoiceContent};

use super::bills::{HEADER, csv_only, estimate, header, ingest_with, summary_of, uuid};
use super::support::{Fixture, by, droplet, every, fixture, zone};

/// Counts the resources that a filter selects.
async fn number(fixture: &Fixture, filter: &ResourceFilter) -> i64 {
    let counts = fixture.resource_counts(filter).await.unwrap();
    counts.iter().map(|count| count.resources).sum()
}

#[tokio::test]
async fn counts_follow_each_change_of_a_resource() {
    let fixture = fixture().await;
    let live = ResourceFilter::default();
    let web = ResourceFilter {
        text: Some("web".to_owned()),
        ..ResourceFilter::default()
    };
    let tagged = ResourceFilter {
        tag: Some("prod".to_owned()),
        ..ResourceFilter::default()
    };
    let of_acme = ResourceFilter {
        tenant: Some("acme".to_owned()),
        ..ResourceFilter::default()
    };
    let deleted = ResourceFilter {
        state: State::Deleted,
        ..ResourceFilter::default()
    };
    let filters = [&live, &web, &tagged, &of_acme, &deleted];
    let numbers = async || {
        let mut numbers = Vec::new();
        for filter in filters {
            let first = number(&fixture, filter).await;
            assert_eq!(number(&fixture, filter).await, first);
            numbers.push(first);
        }
        numbers
    };
    assert_eq!(numbers().await, [0, 0, 0, 0, 0]);

    fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "db-1")])
        .await;
    // Both have the tag `web`.
    assert_eq!(numbers().await, [2, 2, 0, 0, 0]);

    let mut second = droplet(2, "db-1");
    second.tags = vec!["prod".to_owned()];
    fixture.sweep(&[droplet(1, "web-1"), second.clone()]).await;
    assert_eq!(numbers().await, [2, 1, 1, 0, 0]);

    second.name = "web-2".to_owned();
    fixture.sweep(&[droplet(1, "web-1"), second.clone()]).await;
    assert_eq!(numbers().await, [2, 2, 1, 0, 0]);

    let first = fixture.resource("1").await.id;
    let acme: TenantId = "acme".parse().unwrap();
    let change = OverrideChange {
        tenant_id: Some(Some(acme)),
        ..OverrideChange::default()
    };
    fixture
        .change_override(first, &change, &by("admin"), Commit::Keep)
        .await
        .unwrap();
    assert_eq!(numbers().await, [2, 2, 1, 1, 0]);

    for _strike in 0..3 {
        let mut facts = fixture.facts(Completeness::Complete).await;
        facts.rules = every(Duration::ZERO);
        fixture
            .sweep_with(&second.kind, std::slice::from_ref(&second), &facts)
            .await;
    }
    assert_eq!(numbers().await, [1, 1, 1, 0, 1]);

    fixture.sweep(&[droplet(1, "web-1"), second]).await;
    assert_eq!(numbers().await, [2, 2, 1, 1, 0]);
}

#[tokio::test]
async fn counts_follow_a_sweep_that_commits_after_a_later_one() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    let of_name = ResourceFilter {
        text: Some("web-1".to_owned()),
        ..ResourceFilter::default()
    };
    let mut earlier = fixture.pool.begin().await.unwrap();
    sqlx::query("update cloud_resource_rows set name = 'db-1' where kind = 'droplet'")
        .execute(&mut *earlier)
        .await
        .unwrap();
    fixture.sweep_kind(&[zone("example.com")]).await;
    assert_eq!(number(&fixture, &of_name).await, 1);
    earlier.commit().await.unwrap();
    assert_eq!(number(&fixture, &of_name).await, 0);
}

#[tokio::test]
async fn costs_follow_a_rematch_that_commits_after_a_later_event() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    let line = "Droplets,,web-1 (s-1vcpu-1gb),372,2026-04-01 00:00:00 +0000,2026-04-16 00:00:00 +0000,$3.00,web,iaas";
    estimate(&fixture, "2026-04", 300, line).await;
    let resource = fixture.resource("1").await.id;
    let april = "2026-04-01".parse().unwrap();
    let largest = async || {
        let compared = fixture.month_comparison(april, 10).await.unwrap();
        let costs = fixture.largest_costs_by_resource(april, april, 10);
        (
            compared.largest[0].group.clone(),
            costs.await.unwrap().costs[0].group.clone(),
        )
    };
    let of_resource = Some(resource.to_string());
    assert_eq!(largest().await, (of_resource.clone(), of_resource.clone()));

    let mut earlier = fixture.pool.begin().await.unwrap();
    sqlx::query(
        "insert into cloud_resource_events (resource_id, event, changes, occurred_at)
         values ($1, 'updated', '{}', now())",
    )
    .bind(resource)
    .execute(&mut *earlier)
    .await
    .unwrap();
    fixture.sweep_kind(&[zone("example.com")]).await;
    assert_eq!(largest().await, (of_resource.clone(), of_resource));
    sqlx::query("update cloud_cost_lines set resource_id = null, match_rule = 'unmatched'")
        .execute(&mut *earlier)
        .await
        .unwrap();
    earlier.commit().await.unwrap();
    assert_eq!(largest().await, (None, None));
}

#[tokio::test]
async fn costs_follow_an_ingest_that_completes_a_version() {
    let fixture = fixture().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture
        .discover_invoices(&[header(1, "2026-04", 300)])
        .await
        .unwrap();
    let line = "Droplets,,former-1 (s-1vcpu-1gb),372,2026-04-01 00:00:00 +0000,2026-04-16 00:00:00 +0000,$3.00,web,iaas\n";
    let csv = format!("{HEADER}\n{line}");
    let file = read_invoice_csv(csv.as_bytes()).unwrap();
    let document = Document::csv(csv.as_bytes());
    let provisional = InvoiceContent {
        unread: Some("without the items: 500"),
        ..csv_only(&document, &file.lines)
    };
    fixture.ingest_invoice(uuid(1), provisional).await.unwrap();
    let april = "2026-04-01".parse().unwrap();
    let largest = async || {
        let costs = fixture.largest_costs_by_resource(april, april, 10);
        costs.await.unwrap().costs[0].group.clone()
    };
    assert_eq!(largest().await, None);
    let summary = summary_of(&file.lines);
    let outcome = ingest_with(&fixture, 1, line, &[Some("1")], Some(&summary)).await;
    assert_eq!(outcome.version, 1);
    let resource = fixture.resource("1").await.id.to_string();
    assert_eq!(largest().await, Some(resource));
}
