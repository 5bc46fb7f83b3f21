//! The facts behind the verdict on the mirror.

use std::time::Instant;

use domain::ResourceKind;
use store::status::LONGEST_COUNT;

use super::support::{droplet, fixture, incomplete};

#[tokio::test]
async fn failing_listings_are_dated_by_the_first_since_the_last_complete_one() {
    let fixture = fixture().await;
    let droplets = [droplet(1, "web-1")];
    let failing_since = async || {
        let facts = fixture.store.status_facts().await.unwrap();
        let [kind] = &*facts.kinds else {
            panic!("{facts:?}")
        };
        (kind.last_state.clone(), kind.failing_since)
    };
    let mut first = None;
    for _ in 0..3 {
        let facts = fixture.facts(incomplete()).await;
        first.get_or_insert(facts.started_at);
        fixture
            .sweep_with(&ResourceKind::DROPLET, &droplets, &facts)
            .await;
    }
    assert_eq!(failing_since().await, ("incomplete".to_owned(), first));

    fixture.sweep(&droplets).await;
    assert_eq!(failing_since().await, ("complete".to_owned(), None));

    let again = fixture.facts(incomplete()).await;
    fixture
        .sweep_with(&ResourceKind::DROPLET, &droplets, &again)
        .await;
    let (state, since) = failing_since().await;
    assert_eq!((&*state, since), ("incomplete", Some(again.started_at)));
}

#[tokio::test]
async fn counting_discrepancies_is_given_up_after_its_limit() {
    let fixture = fixture().await;
    let facts = fixture.store.status_facts().await.unwrap();
    assert_eq!(facts.discrepancies, Some(0));
    // A lock stands for a table that takes long to add up.
    let mut locking = fixture.pool.begin().await.unwrap();
    sqlx::query("lock table cloud_cost_lines in access exclusive mode")
        .execute(&mut *locking)
        .await
        .unwrap();
    let asked = Instant::now();
    let facts = fixture.store.status_facts().await.unwrap();
    assert_eq!(facts.discrepancies, None);
    assert!(asked.elapsed() >= LONGEST_COUNT);
}
