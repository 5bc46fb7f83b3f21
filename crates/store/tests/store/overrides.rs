//! Overrides: they take precedence over DigitalOcean's data, apply from a time on, and can be
//! undone completely.

use chrono::{DateTime, Utc};
use domain::ResourceKind;
use domain::inventory::RelationKind;
use rust_decimal::Decimal;
use store::StoreError;
use store::inventory::{Commit, OverrideChange};
use store::projects::ProjectChange;
use uuid::Uuid;

use super::bills::{assert_balanced, header, ingest, lines_of, statements};
use super::support::{Fixture, by, droplet, fixture, members, project, resource, to, zone};

const WEB: u128 = 1;
const SHOP: u128 = 2;

async fn with_droplet_in_web() -> Fixture {
    let fixture = fixture().await;
    fixture
        .sweep_projects(&[project(WEB, "web"), project(SHOP, "shop")])
        .await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture
        .store_members(&[members(WEB, &["do:droplet:1"])])
        .await;
    fixture
}

async fn override_resource(
    fixture: &Fixture,
    id: &str,
    tenant: Option<&str>,
    project: Option<&str>,
) {
    let change = OverrideChange {
        since: None,
        tenant_id: tenant.map(|tenant| Some(tenant.parse().unwrap())),
        cloud_project_id: match project {
            Some(name) => Some(Some(fixture.project_row(name).await)),
            None => None,
        },
    };
    let resource = fixture.resource(id).await.id;
    fixture
        .change_override(resource, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_override_survives_every_sync() {
    let fixture = with_droplet_in_web().await;
    override_resource(&fixture, "1", Some("acme"), Some("shop")).await;
    for _ in 0..3 {
        let mut renamed = droplet(1, "renamed");
        renamed.tags.push(fixture.new_run().run_id);
        fixture.sweep(&[renamed]).await;
        fixture
            .store_members(&[members(WEB, &["do:droplet:1"])])
            .await;
        let resource = fixture.resource("1").await;
        assert_eq!(resource.tenant_id.as_deref(), Some("acme"));
        assert_eq!(resource.attribution.as_deref(), Some("operator"));
        assert_eq!(fixture.project_of("1").await.as_deref(), Some("shop"));
    }
}

#[tokio::test]
async fn a_contradiction_is_recorded_once_per_project() {
    let fixture = with_droplet_in_web().await;
    override_resource(&fixture, "1", None, Some("shop")).await;
    let drifts = async || {
        let events = fixture.events("1").await;
        events
            .iter()
            .filter(|event| *event == "drift_detected")
            .count()
    };
    let before = drifts().await;
    for _ in 0..3 {
        fixture
            .store_members(&[members(WEB, &["do:droplet:1"])])
            .await;
        fixture.sweep(&[droplet(1, "web-1")]).await;
    }
    // The move and the contradiction, both in the transaction of the override.
    assert_eq!((before, drifts().await), (2, 2));
    // The return to the overriding project is not recorded; the next contradiction is.
    fixture
        .store_members(&[members(SHOP, &["do:droplet:1"])])
        .await;
    assert_eq!(drifts().await, 2);
    fixture
        .store_members(&[members(WEB, &["do:droplet:1"])])
        .await;
    fixture
        .store_members(&[members(WEB, &["do:droplet:1"])])
        .await;
    assert_eq!(drifts().await, 3);
}

#[tokio::test]
async fn an_undone_override_restores_digitaloceans_attribution() {
    let fixture = with_droplet_in_web().await;
    override_resource(&fixture, "1", Some("acme"), Some("shop")).await;
    let nothing = OverrideChange {
        tenant_id: Some(None),
        cloud_project_id: Some(None),
        since: None,
    };
    let id = fixture.resource("1").await.id;
    fixture
        .change_override(id, &nothing, &by("bob"), Commit::Keep)
        .await
        .unwrap();
    assert_eq!(fixture.resource_override(id).await.unwrap(), None);
    let resource = fixture.resource("1").await;
    assert_eq!(
        (
            resource.tenant_id.as_deref(),
            resource.attribution.as_deref()
        ),
        (None, Some("membership"))
    );
    assert_eq!(fixture.project_of("1").await.as_deref(), Some("web"));
    // Both changes are recorded with the name of the token.
    let events = fixture.resource_events(id, None, 100).await.unwrap();
    let operators: Vec<_> = events
        .iter()
        .filter_map(|event| event.changes.get("override")?.get("by")?.as_str())
        .collect();
    assert_eq!(operators, ["bob", "ann"]);
}

#[tokio::test]
async fn parts_of_a_resource_follow_its_override() {
    let fixture = with_droplet_in_web().await;
    let mut snapshot = resource(ResourceKind::SNAPSHOT, "s");
    snapshot.relations = vec![to(RelationKind::SnapshotOf, ResourceKind::DROPLET, "1")];
    fixture.sweep_kind(&[snapshot]).await;
    override_resource(&fixture, "1", Some("acme"), None).await;
    let snapshot = fixture.resource("s").await;
    assert_eq!(snapshot.tenant_id.as_deref(), Some("acme"));
    assert_eq!(fixture.project_of("s").await.as_deref(), Some("web"));
}

#[tokio::test]
async fn project_and_tenant_are_each_of_the_nearest_override() {
    let fixture = with_droplet_in_web().await;
    let web = fixture.project_row("web").await;
    let change = ProjectChange {
        tenant_id: Some(Some("acme".parse().unwrap())),
        ..ProjectChange::default()
    };
    fixture
        .change_project(web, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    let mut volume = resource(ResourceKind::VOLUME, "v");
    volume.relations = vec![to(RelationKind::PartOf, ResourceKind::DROPLET, "1")];
    fixture.sweep_kind(&[volume]).await;
    let mut snapshot = resource(ResourceKind::SNAPSHOT, "s");
    snapshot.relations = vec![to(RelationKind::SnapshotOf, ResourceKind::VOLUME, "v")];
    fixture.sweep_kind(&[snapshot]).await;

    let attribution = async |id: &str| {
        let resource = fixture.resource(id).await;
        (
            fixture.project_of(id).await,
            resource.tenant_id,
            resource.attribution,
        )
    };
    let expected = |project: &str, tenant: Option<&str>, attribution: &str| {
        (
            Some(project.to_owned()),
            tenant.map(str::to_owned),
            Some(attribution.to_owned()),
        )
    };
    override_resource(&fixture, "1", None, Some("shop")).await;
    assert_eq!(
        attribution("s").await,
        expected("shop", None, "parent"),
        "the project of the droplet's override has no tenant"
    );
    // The override of the tenant alone does not hide that of the project.
    override_resource(&fixture, "v", Some("globex"), None).await;
    assert_eq!(
        attribution("v").await,
        expected("shop", Some("globex"), "operator")
    );
    assert_eq!(
        attribution("s").await,
        expected("shop", Some("globex"), "parent")
    );
    // The tenant of a nearer project precedes.
    override_resource(&fixture, "s", None, Some("web")).await;
    assert_eq!(
        attribution("s").await,
        expected("web", Some("acme"), "operator")
    );
    // Without the nearest override, the next one applies again.
    for (id, is_tenant) in [("s", false), ("v", true), ("1", false)] {
        let change = OverrideChange {
            tenant_id: is_tenant.then_some(None),
            cloud_project_id: (!is_tenant).then_some(None),
            since: None,
        };
        let resource = fixture.resource(id).await.id;
        fixture
            .change_override(resource, &change, &by("ann"), Commit::Keep)
            .await
            .unwrap();
        let shop_or_web = if id == "1" { "web" } else { "shop" };
        assert_eq!(fixture.project_of("s").await.as_deref(), Some(shop_or_web));
    }
    assert_eq!(
        attribution("s").await,
        expected("web", Some("acme"), "parent")
    );
}

#[tokio::test]
async fn a_time_after_the_databases_clock_counts_as_now() {
    let fixture = with_droplet_in_web().await;
    let since = fixture.now().await.unwrap() + chrono::TimeDelta::hours(1);
    let id = fixture.resource("1").await.id;
    let change = OverrideChange {
        tenant_id: Some(Some("acme".parse().unwrap())),
        cloud_project_id: None,
        since: Some(since),
    };
    fixture
        .change_override(id, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    let web = fixture.project_row("web").await;
    let change = ProjectChange {
        tenant_id: Some(Some("acme".parse().unwrap())),
        tenant_since: Some(since),
        purpose: None,
    };
    fixture
        .change_project(web, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    let now = fixture.now().await.unwrap();
    let found = fixture.resource_override(id).await.unwrap().unwrap();
    assert!(found.tenant_since.unwrap() <= now);
    let tenancies = fixture.tenancies(web).await.unwrap();
    assert!(tenancies[0].valid_from <= now);
}

#[tokio::test]
async fn an_override_to_an_unknown_project_is_rejected() {
    let fixture = with_droplet_in_web().await;
    let change = OverrideChange {
        tenant_id: None,
        cloud_project_id: Some(Some(Uuid::from_u128(99))),
        since: None,
    };
    let id = fixture.resource("1").await.id;
    let refused = fixture
        .change_override(id, &change, &by("ann"), Commit::Keep)
        .await;
    assert!(
        matches!(refused, Err(StoreError::NotFound { entity, .. }) if entity == "live project"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn unassigned_zones_are_listed_for_an_operator() {
    let fixture = with_droplet_in_web().await;
    let zones = [zone("a.example"), zone("b.example"), zone("c.example")];
    fixture.sweep_kind(&zones).await;
    fixture
        .store_members(&[members(WEB, &["do:domain:b.example"])])
        .await;
    override_resource(&fixture, "c.example", Some("acme"), None).await;
    let waiting = fixture.unclassified_zones(None, 10).await.unwrap();
    let names: Vec<_> = waiting.iter().map(|zone| zone.name.as_str()).collect();
    assert_eq!(names, ["a.example"]);
}

#[tokio::test]
async fn tenants_of_a_project_are_dated_and_do_not_overlap() {
    let fixture = with_droplet_in_web().await;
    let web = fixture.project_row("web").await;
    for tenant in ["acme", "globex", "globex"] {
        let change = ProjectChange {
            tenant_id: Some(Some(tenant.parse().unwrap())),
            tenant_since: None,
            purpose: None,
        };
        fixture
            .change_project(web, &change, &by("ann"), Commit::Keep)
            .await
            .unwrap();
    }
    let rows: Vec<(String, bool)> = sqlx::query_as(
        "select tenant_id, valid_to is null from cloud_project_tenants order by valid_from",
    )
    .fetch_all(&fixture.pool)
    .await
    .unwrap();
    let expected = [("acme".to_owned(), false), ("globex".to_owned(), true)];
    assert_eq!(rows, expected);
    let overlap = sqlx::query(
        "insert into cloud_project_tenants (cloud_project_id, tenant_id, valid_from, assigned_by)
         select cloud_project_id, 'intruder', valid_from, 'ann' from cloud_project_tenants limit 1",
    )
    .execute(&fixture.pool)
    .await;
    let error = overlap.unwrap_err();
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    assert_eq!(code.as_deref(), Some("23P01"), "{error}");
}

#[tokio::test]
async fn an_assignment_without_the_name_of_its_token_is_rejected() {
    let fixture = fixture().await;
    fixture.sweep_projects(&[project(1, "web")]).await;
    let unnamed = sqlx::query(
        "insert into cloud_project_tenants (cloud_project_id, tenant_id, valid_from)
         select id, 'acme', now() from cloud_project_rows",
    )
    .execute(&fixture.pool)
    .await;
    let error = unnamed.unwrap_err();
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    assert_eq!(code.as_deref(), Some("23502"), "{error}");
}

/// Creates two projects with a droplet each and a droplet in the internal project, with bills of
/// March and April 2026.
async fn with_bills() -> Fixture {
    let fixture = fixture().await;
    fixture.sync_three_projects().await;
    for (number, month) in [(1, "2026-03"), (2, "2026-04")] {
        fixture
            .discover_invoices(&[header(number, month, 6_000)])
            .await
            .unwrap();
        let (from, to) = (
            format!("{month}-01 00:00:00 +0000"),
            format!("{month}-21 00:00:00 +0000"),
        );
        let line = |name: &str, project: &str, amount: &str| {
            format!("Droplets,,{name} (s-1vcpu-1gb),480,{from},{to},{amount},{project},iaas\n")
        };
        let lines = [
            line("web-1", "web", "$10.00"),
            line("db-1", "data", "$20.00"),
            line("free-1", "free", "$30.00"),
        ];
        ingest(&fixture, number, &lines.concat()).await;
    }
    fixture
}

/// Returns tenants and direct costs of April, in cents.
async fn april(fixture: &Fixture) -> Vec<(Option<String>, i64)> {
    let rows = statements(fixture, "2026-04-01").await;
    rows.into_iter()
        .map(|(tenant, direct, _)| (tenant, direct))
        .collect()
}

fn cents(tenant: Option<&str>, cents: i64) -> (Option<String>, i64) {
    (tenant.map(str::to_owned), cents)
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

async fn set_tenant(fixture: &Fixture, id: &str, tenant: Option<&str>, since: Option<&str>) {
    let change = OverrideChange {
        tenant_id: Some(tenant.map(|tenant| tenant.parse().unwrap())),
        cloud_project_id: None,
        since: since.map(time),
    };
    let id = fixture.resource(id).await.id;
    fixture
        .change_override(id, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    assert_balanced(fixture).await;
}

async fn assign(fixture: &Fixture, name: &str, tenant: Option<&str>, since: Option<&str>) {
    let change = ProjectChange {
        tenant_id: Some(tenant.map(|tenant| tenant.parse().unwrap())),
        tenant_since: since.map(time),
        purpose: None,
    };
    let id = fixture.project_row(name).await;
    fixture
        .change_project(id, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    assert_balanced(fixture).await;
}

#[tokio::test]
async fn an_override_without_since_leaves_past_months_as_they_are() {
    let fixture = with_bills().await;
    set_tenant(&fixture, "3", Some("acme"), None).await;
    assert_eq!(april(&fixture).await, [cents(None, 6_000)]);
    assign(&fixture, "web", Some("beta"), None).await;
    assert_eq!(april(&fixture).await, [cents(None, 6_000)]);
}

#[tokio::test]
async fn an_override_with_since_moves_charges_from_that_time_on() {
    let fixture = with_bills().await;
    set_tenant(&fixture, "3", Some("acme"), Some("2026-04-11T00:00:00Z")).await;
    let half = [cents(None, 4_500), cents(Some("acme"), 1_500)];
    assert_eq!(april(&fixture).await, half);
    // First an earlier time for the same tenant, then an end.
    set_tenant(&fixture, "3", Some("acme"), Some("2026-04-01T00:00:00Z")).await;
    let whole = [cents(None, 3_000), cents(Some("acme"), 3_000)];
    assert_eq!(april(&fixture).await, whole);
    set_tenant(&fixture, "3", None, Some("2026-04-11T00:00:00Z")).await;
    assert_eq!(april(&fixture).await, half);
    let march = statements(&fixture, "2026-03-01").await;
    assert_eq!(march, [(None, 6_000, 0)]);
}

#[tokio::test]
async fn an_override_of_the_project_moves_charges_to_its_tenant() {
    let fixture = with_bills().await;
    assign(&fixture, "web", Some("beta"), Some("2026-01-01T00:00:00Z")).await;
    let change = OverrideChange {
        tenant_id: None,
        cloud_project_id: Some(Some(fixture.project_row("web").await)),
        since: Some(time("2026-04-11T00:00:00Z")),
    };
    let id = fixture.resource("3").await.id;
    fixture
        .change_override(id, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    assert_eq!(
        april(&fixture).await,
        [cents(None, 3_500), cents(Some("beta"), 2_500)]
    );
    // The override follows a change of the project's tenant.
    assign(&fixture, "web", Some("gamma"), Some("2026-01-01T00:00:00Z")).await;
    assert_eq!(
        april(&fixture).await,
        [cents(None, 3_500), cents(Some("gamma"), 2_500)]
    );
}

#[tokio::test]
async fn a_manually_matched_line_follows_the_tenant_of_its_resource() {
    let fixture = with_bills().await;
    assign(&fixture, "web", Some("acme"), Some("2026-01-01T00:00:00Z")).await;
    assign(&fixture, "data", Some("beta"), Some("2026-01-01T00:00:00Z")).await;
    let lines = lines_of(&fixture, "2026-04-01").await;
    let line = lines
        .iter()
        .find(|line| line.project_name == "web")
        .unwrap()
        .id;
    let database = fixture.resource("2").await.id;
    let dry = fixture
        .override_match(line, Some(database), true, &by("ann"), Commit::DryRun)
        .await
        .unwrap();
    assert_eq!(dry.effect.moved(), Decimal::new(1_000, 2));
    assert_eq!(fixture.override_of(line).await.unwrap(), None);
    fixture
        .override_match(line, Some(database), true, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    let expected = [cents(None, 3_000), cents(Some("beta"), 3_000)];
    assert_eq!(april(&fixture).await, expected);
    // Also after an ingest of a correction, until the override is deleted.
    fixture
        .withdraw_override(line, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    let expected = [
        cents(None, 3_000),
        cents(Some("acme"), 1_000),
        cents(Some("beta"), 2_000),
    ];
    assert_eq!(april(&fixture).await, expected);
}

#[tokio::test]
async fn a_dry_run_measures_the_effect_and_changes_nothing() {
    let fixture = with_bills().await;
    let id = fixture.resource("3").await.id;
    let change = OverrideChange {
        tenant_id: Some(Some("acme".parse().unwrap())),
        cloud_project_id: None,
        since: Some(time("2026-04-01T00:00:00Z")),
    };
    let measured = fixture
        .change_override(id, &change, &by("ann"), Commit::DryRun)
        .await
        .unwrap();
    let [month] = measured.effect.months.as_slice() else {
        panic!("{measured:?}");
    };
    assert_eq!(month.period.to_string(), "2026-04-01");
    assert_eq!(month.moved(), Decimal::new(3_000, 2));
    assert_eq!(fixture.resource_override(id).await.unwrap(), None);
    assert_eq!(april(&fixture).await, [cents(None, 6_000)]);

    // Without `since` it moves no past costs, and `with_since` contains the costs that `since`
    // would move.
    let from_now = OverrideChange {
        since: None,
        ..change.clone()
    };
    let measured = fixture
        .change_override(id, &from_now, &by("ann"), Commit::DryRun)
        .await
        .unwrap();
    assert_eq!(measured.effect.months, []);
    let (since, effect) = measured.with_since.unwrap();
    assert_eq!(since, time("2026-03-01T00:00:00Z"));
    assert_eq!(effect.moved(), Decimal::new(6_000, 2));

    // The effect of the change equals the one that the dry run measured.
    let kept = fixture
        .change_override(id, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    assert_eq!(kept.effect.moved(), Decimal::new(3_000, 2));
}
