//! Statements of a month: attribution of lines and allocation of shared costs.

use chrono::{DateTime, Utc};
use domain::costs::AllocationRule;
use rust_decimal::Decimal;
use store::costs::GroupBy;
use store::inventory::Commit;
use store::invoices::Share;
use store::projects::ProjectChange;

use super::bills::{assert_balanced, header, ingest, lines_of, statements};
use super::support::{Fixture, by, fixture};

const TENANTS: [(u128, &str); 2] = [(1, "acme"), (2, "beta")];

/// Project 1, "web", is assigned to acme and contains droplet 1; project 2, "data", is assigned to
/// beta and contains droplet 2; project 3, "free", is unassigned and contains droplet 3.
pub(crate) async fn two_tenants() -> Fixture {
    let fixture = fixture().await;
    fixture.sync_three_projects().await;
    for (id, tenant) in TENANTS {
        assign(&fixture, id, Some(tenant)).await;
    }
    fixture
}

/// A time before every bill of these tests.
const LONG_AGO: &str = "2015-01-01T00:00:00Z";

/// Assigns a project to a tenant for all time, or deletes its assignments.
pub(crate) async fn assign(fixture: &Fixture, project_number: u128, tenant: Option<&str>) {
    let id = sqlx::query_scalar("select id from cloud_projects where provider_id = $1")
        .bind(uuid::Uuid::from_u128(project_number).to_string())
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
    let change = ProjectChange {
        tenant_id: Some(tenant.map(|tenant| tenant.parse().unwrap())),
        tenant_since: tenant.map(|_| LONG_AGO.parse().unwrap()),
        purpose: None,
    };
    fixture
        .change_project(id, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
}

pub(crate) fn line(name: &str, project_name: &str, dollars: &str) -> String {
    format!(
        "Droplets,,{name} (s-1vcpu-1gb),720,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,{dollars},{project_name},iaas\n"
    )
}

pub(crate) fn tax(dollars: &str) -> String {
    format!("Taxes,,GST,,2026-04-01 00:00:00 +0000,2026-04-30 23:59:59 +0000,{dollars},,iaas\n")
}

async fn ingest_april(fixture: &Fixture, lines: &[String]) {
    fixture
        .discover_invoices(&[header(1, "2026-04", 0)])
        .await
        .unwrap();
    ingest(fixture, 1, &lines.concat()).await;
    assert_balanced(fixture).await;
}

fn row(tenant: Option<&str>, direct: i64, shared: i64) -> (Option<String>, i64, i64) {
    (tenant.map(str::to_owned), direct, shared)
}

const APRIL: &str = "2026-04-01";

#[tokio::test]
async fn a_month_is_allocated_to_the_cent_with_the_tax_in_proportion() {
    let fixture = two_tenants().await;
    let lines = [
        line("web-1", "web", "$10.00"),
        line("db-1", "data", "$20.00"),
        line("free-1", "free", "$3.00"),
        tax("$3.31"),
    ];
    ingest_april(&fixture, &lines).await;
    assert_eq!(
        statements(&fixture, APRIL).await,
        [
            row(None, 300, 30),
            row(Some("acme"), 1000, 100),
            row(Some("beta"), 2000, 201)
        ]
    );
}

#[tokio::test]
async fn a_line_without_resource_is_attributed_by_its_project_or_unallocated() {
    let fixture = two_tenants().await;
    let lines = [
        line("gone", "WEB", "$1.00"),
        line("gone-too", "no such project", "$2.00"),
        line("gone-as-well", "", "$4.00"),
    ];
    ingest_april(&fixture, &lines).await;
    assert_eq!(
        statements(&fixture, APRIL).await,
        [row(None, 600, 0), row(Some("acme"), 100, 0)]
    );
    let bases: Vec<_> = lines_of(&fixture, APRIL)
        .await
        .into_iter()
        .map(|line| line.attributed_by.unwrap())
        .collect();
    assert_eq!(bases, ["project_name", "none", "none"]);
}

#[tokio::test]
async fn a_tenant_can_be_corrected_for_the_past() {
    let fixture = two_tenants().await;
    ingest_april(&fixture, &[line("web-1", "web", "$10.00")]).await;
    let web = fixture.resource("1").await.cloud_project_id.unwrap();
    let since = async |tenant: Option<&str>, since: &str| {
        let change = ProjectChange {
            tenant_id: Some(tenant.map(|tenant| tenant.parse().unwrap())),
            tenant_since: Some(since.parse().unwrap()),
            purpose: None,
        };
        fixture
            .change_project(web, &change, &by("ann"), Commit::Keep)
            .await
            .unwrap();
        assert_balanced(&fixture).await;
        statements(&fixture, APRIL).await
    };
    let right = since(Some("delta"), "2026-04-11T00:00:00Z").await;
    assert_eq!(
        right,
        [row(Some("acme"), 333, 0), row(Some("delta"), 667, 0)]
    );
    let earlier = since(Some("gamma"), "2026-01-01T00:00:00Z").await;
    assert_eq!(earlier, [row(Some("gamma"), 1000, 0)]);
    let later = since(Some("delta"), "2026-04-16T00:00:00Z").await;
    assert_eq!(
        later,
        [row(Some("delta"), 500, 0), row(Some("gamma"), 500, 0)]
    );
    assert_eq!(
        since(None, "2020-01-01T00:00:00Z").await,
        [row(None, 1000, 0)]
    );
}

/// Changes the stored data as if the mirror had existed since then.
async fn backdate(fixture: &Fixture, when: &str) {
    for table in [
        "update cloud_project_memberships set valid_from = $1",
        "update cloud_project_tenants set valid_from = $1",
        "update cloud_project_names set valid_from = $1",
    ] {
        sqlx::query(table)
            .bind(when.parse::<DateTime<Utc>>().unwrap())
            .execute(&fixture.pool)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_line_of_a_resource_that_moved_is_split_by_time() {
    let fixture = two_tenants().await;
    backdate(&fixture, "2026-01-01T00:00:00Z").await;
    // On April 11, after a third of the month.
    sqlx::query(
        "with moved as (
             update cloud_project_memberships m set valid_to = '2026-04-11' from cloud_resources r
             where r.id = m.resource_id and r.provider_id = '1' returning m.resource_id)
         insert into cloud_project_memberships (resource_id, cloud_project_id, valid_from)
         select moved.resource_id, p.id, '2026-04-11' from moved, cloud_projects p where p.name = 'data'",
    )
    .execute(&fixture.pool)
    .await
    .unwrap();
    ingest_april(&fixture, &[line("web-1", "web", "$10.00"), tax("$0.50")]).await;
    assert_eq!(
        statements(&fixture, APRIL).await,
        [row(Some("acme"), 333, 17), row(Some("beta"), 667, 33)]
    );
    let split = &lines_of(&fixture, APRIL).await[0];
    assert_eq!(split.tenant_id, None);
    let share = |tenant: &str, cents| Share {
        tenant_id: Some(tenant.to_owned()),
        amount: Decimal::new(cents, 2),
    };
    let shares = split.shares.as_ref().unwrap();
    assert_eq!(**shares, [share("acme", 333), share("beta", 667)]);
    // A correction replaces the shares together with the line.
    ingest(&fixture, 1, &line("web-1", "web", "$1.00")).await;
    assert_eq!(
        statements(&fixture, APRIL).await,
        [row(Some("acme"), 33, 0), row(Some("beta"), 67, 0)]
    );
    assert_balanced(&fixture).await;
}

#[tokio::test]
async fn an_export_is_newer_after_a_change_of_tenants_or_of_the_rule() {
    let fixture = two_tenants().await;
    let updated_at = async || {
        let month = fixture.focus_month(APRIL.parse().unwrap()).await.unwrap();
        month.updated_at
    };
    ingest_april(&fixture, &[line("web-1", "web", "$10.00"), tax("$0.50")]).await;
    let ingested = updated_at().await;
    assert_eq!(updated_at().await, ingested);
    assign(&fixture, 1, Some("beta")).await;
    let moved = updated_at().await;
    assert!(moved > ingested);
    let from = APRIL.parse().unwrap();
    fixture
        .set_allocation_rule(from, &AllocationRule::Even, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    assert!(updated_at().await > moved);
}

#[tokio::test]
async fn shared_costs_are_allocated_by_the_rule_of_the_month() {
    let fixture = two_tenants().await;
    let lines = [
        line("web-1", "web", "$10.00"),
        line("db-1", "data", "$30.00"),
        tax("$4.00"),
    ];
    ingest_april(&fixture, &lines).await;
    let set = async |from: &str, rule: AllocationRule| {
        fixture
            .set_allocation_rule(from.parse().unwrap(), &rule, &by("ann"), Commit::Keep)
            .await
            .unwrap();
    };
    set("2026-01-01", AllocationRule::Even).await;
    set("2026-05-01", AllocationRule::Proportional).await;
    assert_eq!(
        statements(&fixture, APRIL).await,
        [row(Some("acme"), 1000, 200), row(Some("beta"), 3000, 200)]
    );
    let weights = [("beta".to_owned(), Decimal::ONE)].into();
    set("2026-04-01", AllocationRule::Fixed(weights)).await;
    assert_eq!(
        statements(&fixture, APRIL).await,
        [row(Some("acme"), 1000, 0), row(Some("beta"), 3000, 400)]
    );
}

#[tokio::test]
async fn costs_add_up_in_every_grouping() {
    let fixture = two_tenants().await;
    let lines = [
        line("web-1", "web", "$10.00"),
        line("gone", "data", "$20.00"),
        tax("$3.01"),
        "Support,,Premier,,,,$5.00,,\n".to_owned(),
    ];
    ingest_april(&fixture, &lines).await;
    for by in [
        GroupBy::Tenant,
        GroupBy::Project,
        GroupBy::Kind,
        GroupBy::Product,
        GroupBy::Resource,
    ] {
        let costs = fixture
            .costs(
                by,
                "2026-01-01".parse().unwrap(),
                "2026-12-01".parse().unwrap(),
            )
            .await
            .unwrap();
        let sum: Decimal = costs.iter().map(store::costs::Cost::total).sum();
        assert_eq!(sum, Decimal::new(3801, 2), "{by:?}: {costs:?}");
    }
}

#[tokio::test]
async fn the_database_rejects_shares_that_do_not_total_their_line() {
    let fixture = two_tenants().await;
    ingest_april(&fixture, &[line("web-1", "web", "$10.00")]).await;
    for sql in [
        "insert into cloud_cost_line_shares select id, 'acme', 9.99 from cloud_cost_lines",
        "update cloud_cost_lines set is_split = true, tenant_id = null",
    ] {
        let error = sqlx::query(sql).execute(&fixture.pool).await.unwrap_err();
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code);
        assert_eq!(code.as_deref(), Some("23514"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_manual_change_of_a_line_is_a_discrepancy() {
    let fixture = two_tenants().await;
    ingest_april(&fixture, &[line("web-1", "web", "$10.00")]).await;
    sqlx::query("update cloud_cost_lines set amount = 9.99")
        .execute(&fixture.pool)
        .await
        .unwrap();
    // The line_total and the part of the invoice.
    let found = fixture.cost_discrepancies().await.unwrap();
    assert_eq!(found.len(), 2);
    for row in found {
        assert_eq!(
            (row.expected, row.found),
            (Decimal::new(1000, 2), Decimal::new(999, 2))
        );
    }
}
