//! Undoing any sequence of overrides and assignments restores every line and every statement.

use chrono::{DateTime, NaiveDate, Utc};
use domain::ResourceKind;
use proptest::prelude::*;
use store::inventory::{Commit, OverrideChange};
use store::projects::ProjectChange;
use uuid::Uuid;

use super::bills::{assert_balanced, estimate, header, ingest};
use super::support::{Fixture, by, fixture, resource, to};

const PROJECTS: [&str; 3] = ["web", "data", "free"];
const RESOURCES: [&str; 4] = ["1", "2", "3", "s"];
const TENANTS: [&str; 2] = ["acme", "globex"];
/// `None`: from now on.
const SINCE: [Option<&str>; 4] = [
    None,
    Some("2026-03-16T00:00:00Z"),
    Some("2026-04-01T00:00:00Z"),
    Some("2015-01-01T00:00:00Z"),
];

#[derive(Debug, Clone)]
enum Step {
    Assign(usize, Option<usize>, usize),
    OverrideTenant(usize, Option<usize>, usize),
    OverrideProject(usize, Option<usize>, usize),
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    let tenant = || prop::option::weighted(0.7, 0..TENANTS.len());
    prop_oneof![
        3 => (0..PROJECTS.len(), tenant(), 0..SINCE.len())
            .prop_map(|(project, tenant, since)| Step::Assign(project, tenant, since)),
        3 => (0..RESOURCES.len(), tenant(), 0..SINCE.len())
            .prop_map(|(resource, tenant, since)| Step::OverrideTenant(resource, tenant, since)),
        3 => (0..RESOURCES.len(), prop::option::weighted(0.7, 0..PROJECTS.len()), 0..SINCE.len())
            .prop_map(|(resource, project, since)| Step::OverrideProject(resource, project, since)),
        1 => Just(Step::Sync),
    ]
}

/// Syncs the same account each time.
async fn sync(fixture: &Fixture) {
    fixture.sync_three_projects().await;
    let mut snapshot = resource(ResourceKind::SNAPSHOT, "s");
    snapshot.relations = vec![to(
        domain::inventory::RelationKind::SnapshotOf,
        ResourceKind::DROPLET,
        "1",
    )];
    fixture.sweep_kind(&[snapshot]).await;
}

async fn account() -> Fixture {
    let fixture = fixture().await;
    sync(&fixture).await;
    let line = |product: &str, name: &str, project: &str, month: &str| {
        format!(
            "{product},,{name},480,{month}-01 00:00:00 +0000,{month}-21 00:00:00 +0000,$10.01,{project},iaas\n"
        )
    };
    let lines = |month: &str| {
        [
            line("Droplets", "web-1 (s-1vcpu-1gb)", "web", month),
            line("Droplets", "db-1 (s-1vcpu-1gb)", "web", month),
            line("Droplets", "free-1 (s-1vcpu-1gb)", "", month),
            line("Snapshots", "snapshot-s", "data", month),
            line("Taxes", "GST", "", month),
        ]
        .concat()
    };
    for (number, month) in [(1, "2026-03"), (2, "2026-04")] {
        fixture
            .discover_invoices(&[header(number, month, 5_005)])
            .await
            .unwrap();
        ingest(&fixture, number, &lines(month)).await;
    }
    estimate(&fixture, "2026-05", 5_005, &lines("2026-05")).await;
    // One of the lines has an override.
    let line: Uuid = sqlx::query_scalar(
        "select id from cloud_cost_lines where product = 'Snapshots' and bill_period = '2026-04-01'",
    )
    .fetch_one(&fixture.pool)
    .await
    .unwrap();
    let snapshot = fixture.resource("s").await.id;
    fixture
        .override_match(line, Some(snapshot), true, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    fixture
}

/// Returns all data that determines the amounts of tenants.
async fn books(fixture: &Fixture) -> Vec<String> {
    let mut books: Vec<String> = sqlx::query_scalar(
        "select line.id::text || line.amount || line.match_rule || line.is_split || line.is_shared || line.attributed_by
             || coalesce(line.tenant_id, '-') || coalesce((select string_agg(share.tenant_id || share.amount, ',' order by tenant_id)
                 from cloud_cost_line_shares share where share.line_id = line.id), '')
         from cloud_cost_lines line order by line.id",
    )
    .fetch_all(&fixture.pool)
    .await
    .unwrap();
    for month in 3..=5 {
        let period = NaiveDate::from_ymd_opt(2026, month, 1).unwrap();
        books.push(format!("{:?}", fixture.statements(period).await.unwrap()));
    }
    books
}

/// Returns project, tenant and attribution of every resource.
async fn attributions(fixture: &Fixture) -> Vec<String> {
    sqlx::query_scalar(
        "select provider_id || ':' || coalesce(cloud_project_id::text, '-') || coalesce(tenant_id, '-') || coalesce(attribution, '-')
             || coalesce(overridden_by::text, '-') || coalesce(project_overridden_by::text, '-') from cloud_resources order by kind, provider_id",
    )
    .fetch_all(&fixture.pool)
    .await
    .unwrap()
}

async fn run(fixture: &Fixture, step: &Step) {
    let since = |place: usize| SINCE[place].map(|time| time.parse::<DateTime<Utc>>().unwrap());
    let tenant = |place: Option<usize>| place.map(|place| TENANTS[place].parse().unwrap());
    match *step {
        Step::Sync => sync(fixture).await,
        Step::Assign(project, to, from) => {
            let change = ProjectChange {
                tenant_id: Some(tenant(to)),
                tenant_since: since(from),
                purpose: None,
            };
            let id = fixture.project_row(PROJECTS[project]).await;
            fixture
                .change_project(id, &change, &by("ann"), Commit::Keep)
                .await
                .unwrap();
        }
        Step::OverrideTenant(resource, to, from) => {
            let change = OverrideChange {
                tenant_id: Some(tenant(to)),
                cloud_project_id: None,
                since: since(from),
            };
            override_resource(fixture, resource, &change).await;
        }
        Step::OverrideProject(resource, to, from) => {
            let project = match to {
                Some(place) => Some(fixture.project_row(PROJECTS[place]).await),
                None => None,
            };
            let change = OverrideChange {
                tenant_id: None,
                cloud_project_id: Some(project),
                since: since(from),
            };
            override_resource(fixture, resource, &change).await;
        }
    }
}

async fn override_resource(fixture: &Fixture, resource: usize, change: &OverrideChange) {
    let id = fixture.resource(RESOURCES[resource]).await.id;
    let before = books(fixture).await;
    let dry = fixture
        .change_override(id, change, &by("ann"), Commit::DryRun)
        .await
        .unwrap();
    assert_eq!(books(fixture).await, before, "a dry run changed the books");
    let kept = fixture
        .change_override(id, change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    assert_eq!(dry.effect.months.len(), kept.effect.months.len());
}

async fn undo_all(fixture: &Fixture) {
    for place in 0..PROJECTS.len() {
        run(fixture, &Step::Assign(place, None, 0)).await;
    }
    for place in 0..RESOURCES.len() {
        run(fixture, &Step::OverrideTenant(place, None, 0)).await;
        run(fixture, &Step::OverrideProject(place, None, 0)).await;
    }
}

/// `ARCADIA_LONG_TESTS` increases the number of cases.
fn cases() -> u32 {
    std::env::var_os("ARCADIA_LONG_TESTS").map_or(8, |_| 24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn undone_overrides_and_assignments_leave_no_trace(steps in prop::collection::vec(step(), 1..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = account().await;
            let (books_before, attributions_before) = (books(&fixture).await, attributions(&fixture).await);
            for step in &steps {
                run(&fixture, step).await;
                assert_balanced(&fixture).await;
            }
            undo_all(&fixture).await;
            prop_assert_eq!(books(&fixture).await, books_before);
            prop_assert_eq!(attributions(&fixture).await, attributions_before);
            Ok(())
        })?;
    }
}
