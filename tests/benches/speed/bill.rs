//! Measures a year's bill of a million lines: rematching after a resource changed, and queries of
//! the year's costs.

use std::time::Instant;

use domain::costs::AllocationRule;
use store::Actor;
use store::costs::GroupBy;
use store::inventory::Commit;

use crate::child::{Contents, SimulatorProcess};
use crate::database::Database;
use crate::report::{Report, Unit, median};
use crate::sweep::sync;

const MONTHS: usize = 12;
const TENANTS: usize = 50;
const QUERIES: usize = 200;

pub(crate) async fn measure(report: &mut Report, lines: usize) -> anyhow::Result<()> {
    let database = Database::new().await?;
    let store = database.store().await?;
    let contents = Contents::Droplets(1_000);
    let simulator = SimulatorProcess::start(contents).await?;
    sync(&simulator, &store, contents).await?;
    let started = Instant::now();
    database.execute(&bill(MONTHS, lines / MONTHS)).await?;
    report.known(
        "inserting the lines",
        started.elapsed().as_secs_f64(),
        Unit::Seconds,
    )?;
    database.execute("vacuum analyze").await?;

    // A rename of a droplet triggers a rematch of the lines with its name.
    let before = database
        .number("select count(*) from cloud_cost_line_changes")
        .await?;
    let unchanged = timed_sync(&simulator, &store, contents).await?;
    let mut rematches = Vec::new();
    for round in 1..=5 {
        // Stores a former name, so that the sync sees a rename. A different droplet each time,
        // since a droplet renamed twice keeps its first name.
        let former = format!(
            "update cloud_resources set name = 'node-{round:06}.gone', fingerprint = decode(md5('former'), 'hex') where id = (
                 select id from cloud_resources where kind = 'droplet' order by provider_id offset {round} limit 1)"
        );
        database.execute(&former).await?;
        rematches.push(timed_sync(&simulator, &store, contents).await? - unchanged);
    }
    let touched = database
        .number("select count(*) from cloud_cost_line_changes")
        .await?
        - before;
    anyhow::ensure!(touched > 0, "no line was rematched: nothing was measured");
    report.limited(
        "a sweep with one renamed droplet, minus one without changes",
        median(rematches) * 1_000.0,
        100.0,
        Unit::Milliseconds,
    )?;
    report.known(
        "rematched lines, in five rounds",
        touched as f64,
        Unit::Count("lines"),
    )?;

    let (from, to) = ("2026-06-01".parse()?, "2027-05-01".parse()?);
    store
        .set_allocation_rule(
            from,
            &AllocationRule::Proportional,
            &Actor::of_command("bench"),
            Commit::Keep,
        )
        .await?;
    for (by, name) in [
        (GroupBy::Tenant, "a year by tenant, 99th percentile"),
        (GroupBy::Product, "a year by product, 99th percentile"),
        (GroupBy::Project, "a year by project, 99th percentile"),
    ] {
        let mut taken = Vec::new();
        for _ in 0..QUERIES {
            let started = Instant::now();
            let costs = store.costs(by, from, to).await?;
            taken.push(started.elapsed().as_secs_f64() * 1_000.0);
            anyhow::ensure!(costs.len() >= MONTHS, "{} rows", costs.len());
        }
        taken.sort_by(f64::total_cmp);
        report.limited(name, taken[QUERIES * 99 / 100], 100.0, Unit::Milliseconds)?;
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

/// Returns SQL that inserts an invoice a month from June 2026 on, with lines of fifty tenants,
/// twenty projects and ten products. One line in a hundred is shared.
pub(crate) fn bill(months: usize, lines_a_month: usize) -> String {
    format!(
        "insert into cloud_invoices (invoice_uuid, period, amount, listed_at, ingest_status, version)
         select gen_random_uuid(), ('2026-06-01'::date + make_interval(months => month))::date, 0, now(), 'ingested', 1
         from generate_series(0, {months} - 1) month;
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
