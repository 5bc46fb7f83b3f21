//! `Maintain` against real servers.

use domain::maintenance::Rule;
use simulator::Account;

use crate::support::TestSystem;

#[tokio::test]
async fn maintain_applies_every_rule_and_records_the_counts() {
    let system = TestSystem::start(Account::demo()).await;
    system.sync_inventory().await.unwrap();
    let listings = system.count("select count(*) from cloud_listings").await;
    sqlx::raw_sql(
        "insert into cloud_listings (kind, workflow_id, run_id, started_at, finished_at, complete, state, items, requests, has_struck)
         select 'droplet', 'w', n::text, now() - interval '91 days', now() - interval '91 days', true, 'complete', 0, 1, true
         from generate_series(1, 3) n",
    )
    .execute(&system.pool)
    .await
    .unwrap();
    let (one, two) = tokio::join!(system.maintain(), system.maintain());
    let of_listings = |done: &workflows::maintenance::Maintained| {
        let rules: Vec<_> = done.applied.iter().map(|applied| applied.rule).collect();
        assert_eq!(rules, Rule::ALL);
        done.applied[1].count
    };
    assert_eq!(of_listings(&one.unwrap()) + of_listings(&two.unwrap()), 3);
    let left = system.count("select count(*) from cloud_listings").await;
    assert_eq!(left, listings);
    let recorded = "select count(*) from maintenance_results where counts ? 'listings'";
    assert_eq!(system.count(recorded).await, 1);
}
