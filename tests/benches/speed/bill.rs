//! A year's bill of a million lines: what is learned of one resource, and what a year costs by tenant.

use std::time::Instant;

use domain::costs::SpreadRule;
use store::costs::GroupBy;

use crate::child::{Contents, SimulatorProcess};
use crate::database::Database;
use crate::report::{Report, Unit, median};
use crate::sweep::sync;

const MONTHS: usize = 12;
const TENANTS: usize = 50;
const ASKED: usize = 200;

pub(crate) async fn measure(report: &mut Report, lines: usize) -> anyhow::Result<()> {
    let database = Database::new().await?;
    let store = database.store().await?;
    let contents = Contents::Droplets(1_000);
    let simulator = SimulatorProcess::start(contents).await?;
    sync(&simulator, &store, contents).await?;
    let started = Instant::now();
    database.execute(&bill(lines / MONTHS)).await?;
    report.known(
        "putting the lines there",
        started.elapsed().as_secs_f64(),
        Unit::Seconds,
    )?;
    database.execute("vacuum analyze").await?;

    // The new sizes of a few droplets concern the lines of their names.
    let before = database
        .number("select count(*) from cloud_cost_line_changes")
        .await?;
    let unchanged = timed_sync(&simulator, &store, contents).await?;
    let mut learned = Vec::new();
    for round in 1..=5 {
        // One that was called so, and is seen under its present name.
        // Another droplet each time: one renamed twice had the first of its names.
        let former = format!(
            "update cloud_resources set name = 'node-{round:06}.gone', fingerprint = '' where id = (
                 select id from cloud_resources where kind = 'droplet' order by provider_id offset {round} limit 1)"
        );
        database.execute(&former).await?;
        learned.push(timed_sync(&simulator, &store, contents).await? - unchanged);
    }
    let touched = database
        .number("select count(*) from cloud_cost_line_changes")
        .await?
        - before;
    anyhow::ensure!(
        touched > 0,
        "no line was matched otherwise: nothing was measured"
    );
    report.limited(
        "a sweep that finds one droplet renamed, over one without change",
        median(learned) * 1_000.0,
        100.0,
        Unit::Milliseconds,
    )?;
    report.known(
        "lines that were matched otherwise, in five rounds",
        touched as f64,
        Unit::Count("lines"),
    )?;

    let (from, to) = ("2026-06-01".parse()?, "2027-05-01".parse()?);
    store
        .set_spread_rule(from, &SpreadRule::Proportional, "bench")
        .await?;
    for (by, what) in [
        (GroupBy::Tenant, "a year by tenant, the 99th of a hundred"),
        (GroupBy::Product, "a year by product, the 99th of a hundred"),
        (GroupBy::Project, "a year by project, the 99th of a hundred"),
    ] {
        let mut taken = Vec::new();
        for _ in 0..ASKED {
            let started = Instant::now();
            let costs = store.costs(by, from, to).await?;
            taken.push(started.elapsed().as_secs_f64() * 1_000.0);
            anyhow::ensure!(costs.len() >= MONTHS, "{} rows", costs.len());
        }
        taken.sort_by(f64::total_cmp);
        report.limited(what, taken[ASKED * 99 / 100], 100.0, Unit::Milliseconds)?;
    }
    Ok(())
}

async fn timed_sync(
    simulator: &SimulatorProcess,
    store: &store::Store,
    contents: Contents,
) -> anyhow::Result<f64> {
    let started = Instant::now();
    sync(simulator, store, contents).await?;
    Ok(started.elapsed().as_secs_f64())
}

/// A year of invoices whose lines are of fifty tenants in twenty projects, of ten products; a hundredth of them is shared.
fn bill(lines_a_month: usize) -> String {
    format!(
        "insert into cloud_invoices (invoice_uuid, period, amount, ingest_status, version)
         select gen_random_uuid(), ('2026-06-01'::date + make_interval(months => month))::date, 0, 'ingested', 1
         from generate_series(0, {MONTHS} - 1) month;
         insert into cloud_cost_lines (id, invoice_id, bill_period, line_no, product, kind, identified_kind, group_description, description,
             hours, start_at, end_at, amount, project_name, resource_name, part, is_for_account, is_shared, match_rule, match_note,
             tenant_id, attributed_by)
         select gen_random_uuid(), invoice.id, invoice.period, line, 'Product ' || line % 10,
             case when line % 100 > 0 then 'droplet' end, case when line % 100 > 0 then 'droplet' end, '',
             'node (s-1vcpu-1gb)', 720, invoice.period, invoice.period + interval '1 month', (line % 900)::numeric / 100,
             'project ' || line % 20, case when line % 100 > 0 then 'node-' || lpad((line % 40000)::text, 6, '0') || '.gone' end,
             'product_charges', line % 100 = 0, line % 100 = 0, case when line % 100 = 0 then 'account' else 'unmatched' end,
             case when line % 100 > 0 then 'no droplet of this name is known' end,
             case when line % 100 > 0 then 'tenant-' || line % {TENANTS} end,
             case when line % 100 > 0 then 'project_name' else 'shared' end
         from cloud_invoices invoice cross join generate_series(1, {lines_a_month}) line"
    )
}
