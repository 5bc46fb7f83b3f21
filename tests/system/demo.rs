//! The demo account, after each schedule has run once.

use simulator::Account;

use crate::support::{INTERNAL_PROJECT, TestSystem};

#[tokio::test]
async fn mirror_and_bill_equal_the_account_after_one_run_of_every_schedule() {
    let system = TestSystem::start(Account::demo()).await;
    system.run_every_schedule_once().await;

    let resources = "select kind || ' in ' || coalesce(p.name, 'no project') || ': ' || count(*)
        from cloud_resources r left join cloud_projects p on p.id = r.cloud_project_id
        where r.deleted_at is null group by kind, p.name order by kind, p.name";
    assert_eq!(
        system.rows(resources).await,
        [
            "dns_zone in Customer API: 2",
            "dns_zone in Internal Tooling: 1",
            "dns_zone in Kestrel: 1",
            "dns_zone in Kestrel Website: 3",
            "droplet in Customer API: 2",
            "droplet in Internal Tooling: 1",
            "droplet in Kestrel Website: 2",
        ]
    );
    assert_eq!(system.projects_named(INTERNAL_PROJECT), 1);
    let projects = "select count(*) from cloud_projects";
    assert_eq!(system.count(projects).await, 5);

    let invoices = "select ingest_status || ' ' || reconciled || ' ' || count(*) from cloud_invoices group by ingest_status, reconciled";
    assert_eq!(system.rows(invoices).await, ["ingested true 137"]);
    let april = "select count(*) || ' lines, ' || sum(l.amount) || ', ' || count(resource_id) || ' matched'
        from cloud_cost_lines l join cloud_invoices i on i.id = l.invoice_id where period = '2026-04-01'";
    assert_eq!(system.rows(april).await, ["33 lines, 86.92, 6 matched"]);
    let balances = "select count(*) from cloud_balance_snapshots";
    assert_eq!(system.count(balances).await, 1);

    system.assert_no_failed_run().await;
}
