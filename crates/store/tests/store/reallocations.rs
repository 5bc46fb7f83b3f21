//! Reallocations: changes that affect many cost lines or resources, and the portions that follow.

use std::fmt::Write as _;

use rust_decimal::Decimal;
use sqlx::{Connection as _, PgConnection};
use store::StoreError;
use store::costs::Measured;
use store::inventory::{Commit, OverrideChange};
use store::projects::ProjectChange;
use store::reallocations::{AT_ONCE, ReallocationState};
use uuid::Uuid;

use super::bills::{assert_balanced, header, ingest, statements};
use super::support::{Fixture, by, droplet, fixture, members, project};

/// Lines of each of two months: together more than a portion, and each more than a transaction
/// updates at once.
const LINES: usize = 1_250;
const APRIL: &str = "2026-04-01";
const MAY: &str = "2026-05-01";
const MONTHS: [(u128, &str, &str); 2] = [(1, APRIL, MAY), (2, MAY, "2026-06-01")];
const LONG_AGO: &str = "2015-01-01T00:00:00Z";
const MID_APRIL: &str = "2026-04-16T00:00:00Z";
/// The advisory locks that sweeps and ingests share, as ranks of `locks.rs`.
const INVENTORY: i32 = 2;
const COST_LINES: i32 = 4;

async fn assign(
    fixture: &Fixture,
    project: &str,
    tenant: Option<&str>,
    since: Option<&str>,
    commit: Commit,
) -> Measured {
    let change = ProjectChange {
        tenant_id: Some(tenant.map(|tenant| tenant.parse().unwrap())),
        tenant_since: since.map(|since| since.parse().unwrap()),
        purpose: None,
    };
    let id = fixture.project_row(project).await;
    let ann = by("ann");
    let changed = fixture.change_project(id, &change, &ann, commit).await;
    changed.unwrap().1
}

async fn assigned(fixture: &Fixture, tenant: &str, since: &str) -> Option<Uuid> {
    let measured = assign(fixture, "web", Some(tenant), Some(since), Commit::Keep).await;
    measured.reallocation
}

/// Two months with many lines of the droplet of the project "web", and one line of "data".
async fn two_months() -> Fixture {
    let fixture = fixture().await;
    fixture.sync_three_projects().await;
    for (project, tenant) in [("web", "acme"), ("data", "beta")] {
        assign(
            &fixture,
            project,
            Some(tenant),
            Some(LONG_AGO),
            Commit::Keep,
        )
        .await;
    }
    for (number, from, to) in MONTHS {
        let mut lines = String::new();
        let times = format!("{from} 00:00:00 +0000,{to} 00:00:00 +0000");
        for _ in 0..LINES {
            let _ = writeln!(
                lines,
                "Droplets,,web-1 (s-1vcpu-1gb),720,{times},$1.00,web,iaas"
            );
        }
        let _ = writeln!(
            lines,
            "Droplets,,db-1 (s-1vcpu-1gb),720,{times},$7.00,data,iaas"
        );
        let cents = i64::try_from(LINES * 100 + 700).unwrap();
        let listed = [header(number, &from[..7], cents)];
        fixture.discover_invoices(&listed).await.unwrap();
        ingest(&fixture, number, &lines).await;
    }
    fixture
}

/// Executes all portions. The books balance after each.
async fn execute(fixture: &Fixture) -> usize {
    let mut portions = 0;
    loop {
        let portion = fixture.reallocate_portion().await.unwrap();
        portions += 1;
        assert_balanced(fixture).await;
        for (_, month, _) in MONTHS {
            statements(fixture, month).await;
        }
        if !portion.is_more {
            return portions;
        }
    }
}

/// Returns the attribution of every line, with its shares.
async fn attributions(fixture: &Fixture) -> Vec<String> {
    sqlx::query_scalar(
        "select concat_ws(' ', bill_period, line_no, tenant_id, is_split, attributed_by,
             (select string_agg(concat(tenant_id, ' ', amount), ', ' order by tenant_id)
              from cloud_cost_line_shares share where share.line_id = line.id))
         from cloud_cost_lines line order by bill_period, line_no",
    )
    .fetch_all(&fixture.pool)
    .await
    .unwrap()
}

/// Recomputes every line, and returns the number of lines with another attribution than stored.
pub(crate) async fn recomputed(fixture: &Fixture) -> i64 {
    sqlx::query(
        "insert into cloud_reallocations (cause, project_ids, resource_ids, resources_done)
         select 'inventory', array(select id from cloud_projects), array(select id from cloud_resource_rows), true",
    )
    .execute(&fixture.pool)
    .await
    .unwrap();
    while fixture.reallocate_portion().await.unwrap().is_more {}
    fixture.reallocations().await.unwrap()[0].lines_changed
}

/// Holds an advisory lock in another session.
async fn hold(fixture: &Fixture, rank: i32, shared: &str) -> PgConnection {
    let options = fixture.pool.connect_options();
    let mut session = PgConnection::connect_with(&options).await.unwrap();
    let hold = format!("select pg_advisory_lock{shared}({rank}, hashtext(''))");
    sqlx::query(sqlx::AssertSqlSafe(hold))
        .execute(&mut session)
        .await
        .unwrap();
    session
}

#[tokio::test]
async fn a_change_of_many_lines_stores_the_fact_and_leaves_the_lines() {
    let fixture = two_months().await;
    let before = statements(&fixture, APRIL).await;
    assert!(
        fixture
            .statements(APRIL.parse().unwrap())
            .await
            .unwrap()
            .is_final()
    );
    // A sync and an ingest are in progress, and hold their locks until the end of the test.
    let _sync = hold(&fixture, INVENTORY, "_shared").await;
    let _ingest = hold(&fixture, COST_LINES, "_shared").await;
    let left = assigned(&fixture, "gamma", LONG_AGO).await.unwrap();

    let web = fixture.project_row("web").await;
    let tenants = fixture.tenancies(web).await.unwrap();
    assert_eq!(tenants[0].tenant_id, "gamma");
    assert_eq!(statements(&fixture, APRIL).await, before);
    let waiting = fixture.reallocation(left).await.unwrap();
    assert_eq!(waiting.state, ReallocationState::Pending);
    assert_eq!(waiting.changed_by.as_deref(), Some("ann"));
    let entries: i64 = fixture
        .count("select max(number) from audit_entries where action = 'project_changed'")
        .await;
    assert_eq!(waiting.audit_entry, Some(entries));
    let month = fixture.statements(APRIL.parse().unwrap()).await.unwrap();
    assert_eq!((month.is_reallocating, month.is_final()), (true, false));
    let months = fixture.month_summaries(None, 10).await.unwrap();
    assert!(months.iter().all(|month| month.is_reallocating));
    let locks: i64 = fixture
        .count(
            "select count(*) from pg_locks where locktype = 'advisory' and mode = 'ExclusiveLock'
             and database = (select oid from pg_database where datname = current_database())",
        )
        .await;
    assert_eq!(locks, 0);
}

#[tokio::test]
async fn a_month_with_a_charge_after_its_end_is_reallocating() {
    let fixture = fixture().await;
    fixture.sync_three_projects().await;
    let charge = "2026-04-30 00:00:00 +0000,2026-05-02 00:00:00 +0000";
    let line = format!("Droplets,,web-1 (s-1vcpu-1gb),48,{charge},$1.00,web,iaas\n");
    let listed = [header(1, &APRIL[..7], 100)];
    fixture.discover_invoices(&listed).await.unwrap();
    ingest(&fixture, 1, &line).await;
    sqlx::query(
        "insert into cloud_reallocations (cause, project_ids, resource_ids, affects_from, resources_done)
         select 'inventory', '{}', array(select id from cloud_resource_rows), '2026-05-01Z', true",
    )
    .execute(&fixture.pool)
    .await
    .unwrap();
    let is_reallocating = async || {
        let april = fixture.statements(APRIL.parse().unwrap()).await.unwrap();
        april.is_reallocating
    };
    assert!(is_reallocating().await, "its lines are not counted yet");
    while fixture.reallocate_portion().await.unwrap().is_more {}
    assert!(!is_reallocating().await);
    let done = &fixture.reallocations().await.unwrap()[0];
    assert_eq!(done.lines, Some(1));
}

#[tokio::test]
async fn the_portions_reach_the_state_of_a_direct_recomputation() {
    let fixture = two_months().await;
    assigned(&fixture, "gamma", MID_APRIL).await.unwrap();
    let portions = execute(&fixture).await;
    // The start, the resources, the count, and two portions of lines.
    assert_eq!(portions, 5);
    let cents = i64::try_from(LINES * 50).unwrap();
    let april = statements(&fixture, APRIL).await;
    let row = |tenant: &str, cents| (Some(tenant.to_owned()), cents, 0);
    assert_eq!(
        april,
        [row("acme", cents), row("beta", 700), row("gamma", cents)]
    );
    assert_eq!(
        fixture.resource("1").await.tenant_id.as_deref(),
        Some("gamma")
    );
    let month = fixture.statements(APRIL.parse().unwrap()).await.unwrap();
    assert_eq!((month.is_reallocating, month.is_final()), (false, true));
    let done = &fixture.reallocations().await.unwrap()[0];
    let lines = i64::try_from(LINES * 2).unwrap();
    assert_eq!(done.state, ReallocationState::Done);
    assert_eq!(
        (done.lines, done.lines_done, done.lines_changed),
        (Some(lines), lines, lines)
    );
    // Each line has one recorded change, by the operator.
    let changes = "select count(*) from cloud_cost_line_changes where cause = 'operator' and changed_by = 'ann'
        and changes ? 'tenant_id'";
    assert_eq!(fixture.count(changes).await, lines);

    let after = attributions(&fixture).await;
    assert_eq!(recomputed(&fixture).await, 0);
    assert_eq!(attributions(&fixture).await, after);
}

#[tokio::test]
async fn the_later_of_two_overlapping_changes_wins() {
    let fixture = two_months().await;
    assigned(&fixture, "gamma", LONG_AGO).await.unwrap();
    // The start, the resources, the count, and one portion of lines.
    for _ in 0..4 {
        assert!(fixture.reallocate_portion().await.unwrap().is_more);
    }
    let first = &fixture.reallocations().await.unwrap()[0];
    assert_eq!(
        (first.state, first.lines_done),
        (ReallocationState::Running, 2_000)
    );
    assigned(&fixture, "delta", MID_APRIL).await.unwrap();
    execute(&fixture).await;
    let half = i64::try_from(LINES * 50).unwrap();
    let row = |tenant: &str, cents| (Some(tenant.to_owned()), cents, 0);
    assert_eq!(
        statements(&fixture, APRIL).await,
        [row("beta", 700), row("delta", half), row("gamma", half)]
    );
    assert_eq!(
        statements(&fixture, MAY).await,
        [row("beta", 700), row("delta", half * 2)]
    );
    assert_eq!(recomputed(&fixture).await, 0);
}

#[tokio::test]
async fn concurrent_workers_lose_and_double_no_portion() {
    let fixture = two_months().await;
    assigned(&fixture, "gamma", LONG_AGO).await.unwrap();
    let worker = async || while fixture.reallocate_portion().await.unwrap().is_more {};
    tokio::join!(worker(), worker(), worker());
    let done = &fixture.reallocations().await.unwrap()[0];
    let lines = i64::try_from(LINES * 2).unwrap();
    assert_eq!((done.lines_done, done.lines_changed), (lines, lines));
    assert_balanced(&fixture).await;
    assert_eq!(recomputed(&fixture).await, 0);
}

#[tokio::test]
async fn an_aborted_portion_is_repeated_whole() {
    let fixture = two_months().await;
    assigned(&fixture, "gamma", LONG_AGO).await.unwrap();
    for _ in 0..3 {
        fixture.reallocate_portion().await.unwrap();
    }
    let before = attributions(&fixture).await;
    // The commit of the next portion fails.
    sqlx::raw_sql(
        "create function fail() returns trigger language plpgsql as $$ begin raise exception 'aborted'; end $$;
         create constraint trigger fails after update on cloud_reallocations deferrable initially deferred
             for each row execute function fail();",
    )
    .execute(&fixture.pool)
    .await
    .unwrap();
    let failed: Result<_, StoreError> = fixture.reallocate_portion().await;
    failed.unwrap_err();
    assert_eq!(attributions(&fixture).await, before);
    sqlx::raw_sql("drop trigger fails on cloud_reallocations")
        .execute(&fixture.pool)
        .await
        .unwrap();
    execute(&fixture).await;
    assert_eq!(recomputed(&fixture).await, 0);
    let lines = i64::try_from(LINES * 2).unwrap();
    let changes = "select count(*) from cloud_cost_line_changes where changes ? 'tenant_id'";
    assert_eq!(fixture.count(changes).await, lines);
}

#[tokio::test]
async fn a_dry_run_of_many_lines_writes_none_and_measures_the_change() {
    let fixture = two_months().await;
    let sync = hold(&fixture, INVENTORY, "").await;
    let ingest = hold(&fixture, COST_LINES, "").await;
    let since = Some(MID_APRIL);
    let dry = assign(&fixture, "web", Some("beta"), since, Commit::DryRun).await;
    // An update that was rolled back would leave its transaction in the row.
    let written = "select count(*) from cloud_cost_lines where xmax <> 0";
    assert_eq!(fixture.count(written).await, 0);
    drop((sync, ingest));
    assign(&fixture, "web", Some("beta"), since, Commit::Keep).await;
    execute(&fixture).await;
    for month in &dry.effect.months {
        let rows = statements(&fixture, &month.period.to_string()).await;
        for tenant in &month.tenants {
            let after = rows.iter().find(|(name, ..)| *name == tenant.tenant_id);
            let cents = after.map_or(0, |(_, direct, shared)| direct + shared);
            assert_eq!(Decimal::new(cents, 2), tenant.after, "{month:?}");
        }
    }
    let months: Vec<_> = dry
        .effect
        .months
        .iter()
        .map(|month| month.period.to_string())
        .collect();
    assert_eq!(months, [APRIL, MAY]);
    let moved = Decimal::from(LINES) + Decimal::from(LINES / 2);
    assert_eq!(dry.effect.moved(), moved);
}

#[tokio::test]
async fn undoing_a_change_of_many_lines_restores_the_figures() {
    let fixture = two_months().await;
    let before = attributions(&fixture).await;
    assigned(&fixture, "gamma", MID_APRIL).await.unwrap();
    execute(&fixture).await;
    assert_ne!(attributions(&fixture).await, before);
    assigned(&fixture, "acme", LONG_AGO).await.unwrap();
    execute(&fixture).await;
    assert_eq!(attributions(&fixture).await, before);
}

#[tokio::test]
async fn a_change_from_now_on_leaves_closed_months_alone() {
    let fixture = two_months().await;
    let changed = assign(&fixture, "web", Some("gamma"), None, Commit::Keep).await;
    assert_eq!(changed.reallocation, None);
    assert!(changed.effect.months.is_empty());
    assert_eq!(
        fixture.resource("1").await.tenant_id.as_deref(),
        Some("gamma")
    );
    assert_eq!(recomputed(&fixture).await, 0);
}

#[tokio::test]
async fn an_override_of_a_resource_with_many_lines_leaves_them() {
    let fixture = two_months().await;
    let id = fixture.resource("1").await.id;
    let change = |tenant: Option<&str>| OverrideChange {
        tenant_id: Some(tenant.map(|tenant| tenant.parse().unwrap())),
        cloud_project_id: None,
        since: tenant.map(|_| MID_APRIL.parse().unwrap()),
    };
    let before = attributions(&fixture).await;
    let set = change(Some("gamma"));
    let ann = by("ann");
    let dry = fixture
        .change_override(id, &set, &ann, Commit::DryRun)
        .await
        .unwrap();
    let made = fixture
        .change_override(id, &set, &ann, Commit::Keep)
        .await
        .unwrap();
    assert!(made.reallocation.is_some());
    assert_eq!(
        fixture.resource("1").await.tenant_id.as_deref(),
        Some("gamma")
    );
    assert_eq!(attributions(&fixture).await, before);
    execute(&fixture).await;
    let half = i64::try_from(LINES * 50).unwrap();
    let row = |tenant: &str, cents| (Some(tenant.to_owned()), cents, 0);
    let april = statements(&fixture, APRIL).await;
    assert_eq!(
        april,
        [row("acme", half), row("beta", 700), row("gamma", half)]
    );
    let gamma = &dry.effect.months[0].tenants;
    assert_eq!(gamma.last().unwrap().after, Decimal::new(half, 2));

    let removed = fixture
        .change_override(id, &change(None), &ann, Commit::Keep)
        .await;
    assert!(removed.unwrap().reallocation.is_some());
    execute(&fixture).await;
    assert_eq!(attributions(&fixture).await, before);
}

#[tokio::test]
async fn a_pass_that_moves_a_resource_with_many_lines_leaves_them() {
    let fixture = fixture().await;
    fixture.sync_three_projects().await;
    for (project, tenant) in [("web", "acme"), ("data", "beta")] {
        assign(
            &fixture,
            project,
            Some(tenant),
            Some(LONG_AGO),
            Commit::Keep,
        )
        .await;
    }
    // Without times, a line charges for the whole month. A share of its first or last minute is
    // above a cent.
    let mut lines = String::new();
    for _ in 0..LINES {
        lines.push_str("Droplets,,web-1 (s-1vcpu-1gb),720,,,$1000.00,web,iaas\n");
    }
    let this_month = chrono::Utc::now().format("%Y-%m").to_string();
    let cents = i64::try_from(LINES * 100_000).unwrap();
    let invoice = header(9, &this_month, cents);
    fixture.discover_invoices(&[invoice]).await.unwrap();
    ingest(&fixture, 9, &lines).await;
    fixture
        .store_members(&[
            members(1, &[]),
            members(2, &["do:droplet:2", "do:droplet:1"]),
        ])
        .await;
    let waiting = &fixture.reallocations().await.unwrap()[0];
    assert_eq!(waiting.state, ReallocationState::Pending);
    assert_eq!(
        (waiting.cause.as_str(), waiting.resources),
        ("inventory", 1)
    );
    execute(&fixture).await;
    let split = "select count(*) from cloud_cost_lines where is_split";
    assert_eq!(fixture.count(split).await, i64::try_from(LINES).unwrap());
    let by_run = "select count(distinct run_id) from cloud_cost_line_changes where cause = 'inventory' and run_id like 'run-%'";
    assert_eq!(fixture.count(by_run).await, 1);
    assert_eq!(recomputed(&fixture).await, 0);
}

#[tokio::test]
async fn the_resources_of_a_large_project_follow_in_portions() {
    let fixture = fixture().await;
    fixture.sweep_projects(&[project(1, "web")]).await;
    let count = u32::try_from(AT_ONCE).unwrap() + 1;
    let droplets: Vec<_> = (1..=count)
        .map(|id| droplet(id, &format!("web-{id}")))
        .collect();
    fixture.sweep(&droplets).await;
    let urns: Vec<String> = (1..=count).map(|id| format!("do:droplet:{id}")).collect();
    let urns: Vec<&str> = urns.iter().map(String::as_str).collect();
    fixture.store_members(&[members(1, &urns)]).await;
    assigned(&fixture, "acme", LONG_AGO).await.unwrap();
    let with_tenant = "select count(*) from cloud_resources where tenant_id = 'acme'";
    assert_eq!(fixture.count(with_tenant).await, 0);
    let mut resources = 0;
    loop {
        let portion = fixture.reallocate_portion().await.unwrap();
        assert!(portion.resources <= 200);
        resources += portion.resources;
        if !portion.is_more {
            break;
        }
    }
    assert_eq!(i64::try_from(resources).unwrap(), AT_ONCE + 1);
    assert_eq!(fixture.count(with_tenant).await, AT_ONCE + 1);
    let updated = "select count(*) from cloud_resource_events where event = 'updated' and changes ? 'tenant_id'";
    assert_eq!(fixture.count(updated).await, AT_ONCE + 1);
}
