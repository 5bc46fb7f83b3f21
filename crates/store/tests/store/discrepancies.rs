//! Changes of the tables by hand: the database rejects them, or the discrepancies list them.

use rust_decimal::Decimal;

use super::bills::{APRIL, assert_balanced, estimate, header, ingest};
use super::support::{Fixture, droplet, fixture, members, project};

/// Creates a bill of April with a line of acme's droplet, and an estimate of May.
async fn with_bills() -> Fixture {
    let fixture = fixture().await;
    fixture.sweep_projects(&[project(1, "web")]).await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture
        .store_members(&[members(1, &["do:droplet:1"])])
        .await;
    fixture
        .discover_invoices(&[header(1, "2026-04", -99_501)])
        .await
        .unwrap();
    ingest(&fixture, 1, APRIL).await;
    let may = APRIL.replace("2026-04", "2026-05");
    estimate(&fixture, "2026-05", -99_501, &may).await;
    assert_balanced(&fixture).await;
    fixture
}

/// Returns the SQLSTATE of a rejected statement; none if it succeeded.
async fn rejection(fixture: &Fixture, sql: &'static str) -> Option<String> {
    let error = sqlx::raw_sql(sql).execute(&fixture.pool).await.err()?;
    let error = error.as_database_error().unwrap();
    error.code().map(std::borrow::Cow::into_owned)
}

async fn execute(fixture: &Fixture, sql: &'static str) {
    sqlx::raw_sql(sql)
        .execute(&fixture.pool)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

#[tokio::test]
async fn every_changed_sum_is_a_discrepancy() {
    let fixture = with_bills().await;
    // The two lines of droplets have different match rules, and so different totals.
    let both_lines = || {
        vec![
            (0, 9),
            (0, 100),
            (0, 100),
            (0, 600),
            (9, 0),
            (100, 0),
            (100, 0),
            (600, 0),
        ]
    };
    // The statement, its inverse, and the expected and found sums, in hundredths.
    for (change, undo, sums) in [
        (
            "update cloud_cost_totals set amount = amount + 1 where product = 'Taxes' and not is_estimate",
            "update cloud_cost_totals set amount = amount - 1 where product = 'Taxes' and not is_estimate",
            vec![(-100_110, -100_010)],
        ),
        (
            "update cloud_cost_totals set tenant_id = 'evil' where product = 'Droplets' and not is_estimate",
            "update cloud_cost_totals set tenant_id = null where tenant_id is not null",
            both_lines(),
        ),
        (
            "update cloud_cost_totals set project_name = 'evil' where product = 'Droplets' and is_estimate",
            "update cloud_cost_totals set project_name = 'web' where project_name = 'evil'",
            both_lines(),
        ),
        (
            "update cloud_cost_totals set kind = null where product = 'Droplets' and not is_estimate",
            "update cloud_cost_totals set kind = 'droplet' where product = 'Droplets' and kind is null",
            both_lines(),
        ),
        (
            "update cloud_cost_totals set line_and_share_count = 9 where product = 'Droplets' and not is_estimate",
            "update cloud_cost_totals set line_and_share_count = 1 where line_and_share_count = 9",
            vec![(100, 900), (100, 900)],
        ),
        (
            "update cloud_cost_totals set match_rule = 'historic' where product = 'Taxes' and not is_estimate",
            "update cloud_cost_totals set match_rule = 'account' where match_rule = 'historic'",
            vec![(-100_110, 0), (0, -100_110), (0, 100), (100, 0)],
        ),
        (
            "update cloud_invoices set line_count = line_count + 1",
            "update cloud_invoices set line_count = line_count - 1",
            vec![(400, 300)],
        ),
        (
            "update cloud_invoices set line_total = line_total + 1",
            "update cloud_invoices set line_total = line_total - 1",
            vec![(-99_401, -99_501)],
        ),
        (
            "update cloud_invoice_parts set lines = lines + 1 where part = 'product_charges'",
            "update cloud_invoice_parts set lines = lines - 1 where part = 'product_charges'",
            vec![(709, 609)],
        ),
        (
            "update cloud_estimates set line_total = line_total + 1",
            "update cloud_estimates set line_total = line_total - 1",
            // With the amounts of the lines, and with their amounts in the preview.
            vec![(-99_401, -99_501), (-99_401, -99_501)],
        ),
        (
            "update cloud_estimates set line_count = line_count + 1",
            "update cloud_estimates set line_count = line_count - 1",
            vec![(400, 300)],
        ),
        (
            "alter table cloud_cost_line_shares disable trigger user;
             insert into cloud_cost_line_shares select id, 'evil', 3 from cloud_cost_lines where product = 'Taxes' and invoice_id is not null",
            "delete from cloud_cost_line_shares; alter table cloud_cost_line_shares enable trigger user",
            vec![(0, 300), (100, 0), (300, 0)],
        ),
    ] {
        execute(&fixture, change).await;
        let hundredths = |amount: Decimal| (amount * Decimal::ONE_HUNDRED).normalize();
        let found = fixture.cost_discrepancies().await.unwrap();
        let mut found: Vec<_> = found
            .iter()
            .map(|row| (hundredths(row.expected), hundredths(row.found)))
            .collect();
        found.sort_unstable();
        let expected: Vec<_> = sums
            .into_iter()
            .map(|(expected, found): (i64, i64)| (Decimal::from(expected), Decimal::from(found)))
            .collect();
        assert_eq!(found, expected, "{change}");
        execute(&fixture, undo).await;
        assert_balanced(&fixture).await;
    }
}

#[tokio::test]
async fn a_line_that_stops_being_split_has_no_shares() {
    let fixture = with_bills().await;
    execute(
        &fixture,
        "update cloud_cost_lines set is_split = true, tenant_id = null where match_rule = 'name' and invoice_id is not null;
         insert into cloud_cost_line_shares select id, tenant, amount / 2
         from cloud_cost_lines cross join (values ('acme'), ('globex')) as of (tenant) where is_split",
    )
    .await;
    assert_balanced(&fixture).await;
    for sql in [
        "update cloud_cost_lines set is_split = false where is_split",
        "update cloud_cost_lines set is_split = false, tenant_id = 'acme' where is_split",
        "update cloud_cost_lines set amount = amount + 1 where is_split",
        "delete from cloud_cost_line_shares where tenant_id = 'acme'",
    ] {
        assert_eq!(
            rejection(&fixture, sql).await.as_deref(),
            Some("23514"),
            "{sql}"
        );
    }
    execute(
        &fixture,
        "delete from cloud_cost_line_shares; update cloud_cost_lines set is_split = false where is_split",
    )
    .await;
    assert_balanced(&fixture).await;
}

#[tokio::test]
async fn the_database_rejects_invalid_values() {
    let fixture = with_bills().await;
    for sql in [
        "update cloud_cost_lines set amount = 'NaN'",
        "update cloud_cost_lines set amount = '-Infinity'",
        "update cloud_invoices set amount = 'Infinity'",
        "update cloud_cost_totals set amount = 'NaN'",
        "update cloud_cost_lines set tenant_id = '' where match_rule = 'name'",
        "update cloud_resource_rows set tenant_id = ''",
        "update cloud_projects set tenant_id = ''",
        "update cloud_cost_lines set is_shared = true, attributed_by = 'shared' where match_rule = 'name'",
        "update cloud_cost_lines set is_shared = false, attributed_by = 'none' where match_rule = 'account'",
        "update cloud_listings set complete = not complete",
        "update cloud_resource_rows set fingerprint = '\\x00'",
        "update cloud_resource_rows set provider = 'other'",
        "insert into cloud_cost_line_changes (line_id, changes, cause) values (gen_random_uuid(), '{}', 'other')",
        "insert into cloud_allocation_rules (valid_from, rule, weights, set_by) values ('2026-01-01', 'fixed', '[\"1\"]', 'ann')",
        "insert into cloud_allocation_rules (valid_from, rule, weights, set_by) values ('2026-01-01', 'fixed', '{\"acme\": 1}', 'ann')",
        "insert into cloud_allocation_rules (valid_from, rule, weights, set_by) values ('2026-01-01', 'fixed', '{\"acme\": \"-1\"}', 'ann')",
        "insert into cloud_allocation_rules (valid_from, rule, weights, set_by) values ('2026-01-01', 'fixed', '{\"acme\": [\"1\"]}', 'ann')",
        "insert into cloud_allocation_rules (valid_from, rule, weights, set_by) values ('2026-01-01', 'fixed', '{\"\": \"1\"}', 'ann')",
    ] {
        assert_eq!(
            rejection(&fixture, sql).await.as_deref(),
            Some("23514"),
            "{sql}"
        );
    }
    execute(
        &fixture,
        "insert into cloud_allocation_rules (valid_from, rule, weights, set_by) values ('2026-01-01', 'fixed', '{\"acme\": \"0.7\"}', 'ann')",
    )
    .await;
    // A second unallocated share, or a second total of the same lines.
    for sql in [
        "insert into cloud_cost_line_shares select id, null, n from cloud_cost_lines cross join (values (1), (2)) as of (n)",
        "insert into cloud_cost_totals select * from cloud_cost_totals",
    ] {
        assert_eq!(
            rejection(&fixture, sql).await.as_deref(),
            Some("23505"),
            "{sql}"
        );
    }
}
