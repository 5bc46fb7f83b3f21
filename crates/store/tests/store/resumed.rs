//! Long listings that a later attempt of the same run resumes.

use std::time::Duration;

use devstack::testing::{OwnPostgres, Stop};
use domain::inventory::ObservedResource;
use domain::{Completeness, RecordedPage, ResourceKind};
use store::inventory::{ListingFacts, Observations, Shortfall};
use store::{Run, Store, StoreError};

use super::support::{Fixture, droplet, every, fixture, incomplete};

const PATH: &str = "/v2/droplets";
const KINDS: &[ResourceKind] = &[ResourceKind::DROPLET];
const ITEMS_A_PAGE: u32 = 3;

fn on_page(page: u32) -> Vec<ObservedResource> {
    let first = page * ITEMS_A_PAGE;
    let ids = first..first + ITEMS_A_PAGE;
    ids.map(|id| droplet(id, &format!("web-{id}"))).collect()
}

fn recorded(page: u32) -> RecordedPage {
    let resources = on_page(page).into_iter();
    RecordedPage {
        total: 60,
        ids: resources.map(|seen| seen.provider_id).collect(),
        has_next: true,
    }
}

async fn read_page(seen: &mut Observations, page: u32) -> Result<(), StoreError> {
    seen.add(on_page(page)).await?;
    seen.record_page(PATH, u64::from(page), recorded(page))
        .await
}

impl Fixture {
    /// Reads the first pages of a listing.
    async fn read_pages(&self, run: &Run, pages: u32) -> Observations {
        let mut seen = self.resume_or_observe(run, KINDS).await.unwrap();
        for page in 1..=pages {
            read_page(&mut seen, page).await.unwrap();
        }
        seen
    }

    async fn left(&self) -> (i64, i64, i64) {
        (
            self.count("select count(*) from cloud_resumable_listings")
                .await,
            self.count("select count(*) from cloud_listing_pages").await,
            self.count("select count(*) from cloud_staged_resources")
                .await,
        )
    }

    async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.pool).await.unwrap();
    }
}

#[tokio::test]
async fn a_short_listing_records_no_pages() {
    let fixture = fixture().await;
    let run = fixture.new_run();
    let seen = fixture.read_pages(&run, 9).await;
    assert_eq!(fixture.left().await, (0, 0, 27));
    seen.finish().await.unwrap();
    let mut next = fixture.resume_or_observe(&run, KINDS).await.unwrap();
    assert_eq!(next.resumable_pages(PATH), []);
    assert_eq!(next.seen(&ResourceKind::DROPLET), 0);
}

#[tokio::test]
async fn a_long_listing_is_resumed_and_swept_as_one() {
    let fixture = fixture().await;
    // The resources of page 2 are stored; one of them has changed.
    let mut stored = on_page(2);
    stored[0].name = "old name".to_owned();
    fixture.sweep(&stored).await;
    let run = fixture.new_run();
    let before = fixture.read_pages(&run, 11).await;
    let evidence = before.evidence();
    drop(before);
    assert_eq!(fixture.left().await, (1, 11, 31));

    let mut seen = fixture.resume_or_observe(&run, KINDS).await.unwrap();
    assert_eq!(seen.evidence(), evidence);
    assert_eq!(seen.seen(&ResourceKind::DROPLET), 33);
    let expected: Vec<RecordedPage> = (1..=11).map(recorded).collect();
    assert_eq!(seen.resumable_pages(PATH), expected);
    assert_eq!(seen.resumable_pages(PATH), []);
    // The last page is read again, to check that no item has moved.
    seen.add(on_page(11)).await.unwrap();
    read_page(&mut seen, 12).await.unwrap();

    let mut facts = fixture.facts(Completeness::Complete).await;
    facts.evidence = seen.evidence();
    let swept = fixture.sweep_seen(&seen, &facts).await.unwrap();
    assert_eq!((swept.seen, swept.discovered, swept.updated), (36, 33, 1));
    assert_eq!((swept.struck, swept.deleted), (0, 0));
    seen.finish().await.unwrap();
    assert_eq!(fixture.left().await, (0, 0, 0));
    assert_eq!(fixture.resource("6").await.name, "web-6");
}

#[tokio::test]
async fn concurrent_observations_get_no_strike_and_are_not_overwritten() {
    let fixture = fixture().await;
    let run = fixture.new_run();
    drop(fixture.read_pages(&run, 10).await);
    // Meanwhile, an incomplete listing observes a resource after all pages, and a changed resource
    // of a recorded page.
    let observed = [droplet(900, "new"), droplet(4, "newer")];
    let later = fixture.facts(incomplete()).await;
    let kind = ResourceKind::DROPLET;
    fixture.sweep_with(&kind, &observed, &later).await;
    let seen = fixture.resume_or_observe(&run, KINDS).await.unwrap();
    let mut facts = fixture.facts(Completeness::Complete).await;
    facts.evidence = seen.evidence();
    let swept = fixture.sweep_seen(&seen, &facts).await.unwrap();
    assert_eq!((swept.discovered, swept.updated, swept.struck), (29, 0, 0));
    assert_eq!(fixture.resource("4").await.name, "newer");
    assert_eq!(fixture.resource("900").await.stale_strike_count, 0);
}

#[tokio::test]
async fn an_attempt_that_was_taken_over_is_rejected_without_effect() {
    let fixture = fixture().await;
    let run = fixture.new_run();
    let mut first = fixture.read_pages(&run, 10).await;
    let mut second = fixture.resume_or_observe(&run, KINDS).await.unwrap();
    // The first attempt is still running: it stages a page, and resources of an earlier page again.
    let noted = read_page(&mut first, 11).await;
    assert!(matches!(noted, Err(StoreError::TakenOver)), "{noted:?}");
    first.add(on_page(3)).await.unwrap();
    first.restart_list(PATH).await.unwrap();
    let facts = fixture.facts(Completeness::Complete).await;
    let swept = fixture.sweep_seen(&first, &facts).await;
    assert!(matches!(swept, Err(StoreError::TakenOver)), "{swept:?}");
    first.finish().await.unwrap();

    read_page(&mut second, 11).await.unwrap();
    let swept = fixture.sweep_seen(&second, &facts).await.unwrap();
    assert_eq!((swept.seen, swept.discovered), (33, 33));
    second.finish().await.unwrap();
    assert_eq!(fixture.all_resources().await.len(), 33);
}

#[tokio::test]
async fn one_of_two_concurrent_attempts_is_recorded_and_both_complete() {
    let fixture = fixture().await;
    let run = fixture.new_run();
    let mut one = fixture.resume_or_observe(&run, KINDS).await.unwrap();
    let mut two = fixture.resume_or_observe(&run, KINDS).await.unwrap();
    for page in 1..=12 {
        read_page(&mut one, page).await.unwrap();
        read_page(&mut two, page).await.unwrap();
    }
    assert_eq!(fixture.left().await, (1, 12, 72));
    let facts = fixture.facts(Completeness::Complete).await;
    let first = fixture.sweep_seen(&two, &facts).await.unwrap();
    let second = fixture.sweep_seen(&one, &facts).await.unwrap();
    assert_eq!((first.discovered, second.discovered), (36, 0));
    two.finish().await.unwrap();
    one.finish().await.unwrap();
    assert_eq!(fixture.left().await, (0, 0, 0));
}

#[tokio::test]
async fn a_restarted_list_discards_its_recorded_pages() {
    let fixture = fixture().await;
    let run = fixture.new_run();
    let mut seen = fixture.read_pages(&run, 12).await;
    seen.restart_list(PATH).await.unwrap();
    read_page(&mut seen, 1).await.unwrap();
    drop(seen);
    let mut next = fixture.resume_or_observe(&run, KINDS).await.unwrap();
    assert_eq!(next.resumable_pages(PATH), [recorded(1)]);
    // The staged resources still count as observed.
    assert_eq!(next.seen(&ResourceKind::DROPLET), 36);
}

#[tokio::test]
async fn other_runs_other_kinds_and_late_attempts_do_not_resume() {
    let fixture = fixture().await;
    let run = fixture.new_run();
    drop(fixture.read_pages(&run, 10).await);
    let others = [
        (fixture.new_run(), KINDS.to_vec()),
        (run.clone(), vec![ResourceKind::VOLUME]),
        (run.clone(), [KINDS, &[ResourceKind::VOLUME]].concat()),
    ];
    for (run, kinds) in others {
        let mut seen = fixture.resume_or_observe(&run, &kinds).await.unwrap();
        assert_eq!(seen.resumable_pages(PATH), []);
    }
    assert_eq!(fixture.left().await, (1, 10, 30));
    fixture
        .execute("update cloud_resumable_listings set taken_at = now() - interval '11 minutes'")
        .await;
    let mut seen = fixture.resume_or_observe(&run, KINDS).await.unwrap();
    assert_eq!(seen.resumable_pages(PATH), []);
    assert_eq!(fixture.left().await, (0, 0, 0));
    // The new listing may be recorded.
    for page in 1..=10 {
        read_page(&mut seen, page).await.unwrap();
    }
    drop(seen);
    fixture
        .execute("update cloud_resumable_listings set started_at = now() - interval '61 minutes'")
        .await;
    let mut seen = fixture.resume_or_observe(&run, KINDS).await.unwrap();
    assert_eq!(seen.resumable_pages(PATH), []);
}

/// The tables of pages and of staged resources are unlogged: a crash empties all of them.
#[tokio::test]
async fn after_a_crash_of_the_database_the_next_attempt_starts_over() {
    let fixture = fixture().await;
    let run = fixture.new_run();
    let mut first = fixture.read_pages(&run, 10).await;
    let unlogged = fixture
        .count(
            "select count(*) from pg_class where relpersistence = 'u' and relname in
             ('cloud_resumable_listings', 'cloud_listing_pages', 'cloud_staged_resources')",
        )
        .await;
    assert_eq!(unlogged, 3);
    fixture
        .execute("truncate cloud_resumable_listings, cloud_listing_pages, cloud_staged_resources")
        .await;
    // The attempt that survives the crash has lost its staged rows.
    let noted = read_page(&mut first, 11).await;
    assert!(matches!(noted, Err(StoreError::TakenOver)), "{noted:?}");
    let facts = fixture.facts(Completeness::Complete).await;
    let swept = fixture.sweep_seen(&first, &facts).await;
    assert!(matches!(swept, Err(StoreError::TakenOver)), "{swept:?}");
    let mut seen = fixture.resume_or_observe(&run, KINDS).await.unwrap();
    assert_eq!(seen.resumable_pages(PATH), []);
    assert_eq!(seen.seen(&ResourceKind::DROPLET), 0);
}

/// The attempt survives the crash, and still counts the lost rows as staged.
#[tokio::test]
async fn a_sweep_after_a_crash_with_lost_staged_rows_is_rejected() {
    let mut postgres = OwnPostgres::start().await;
    let store = Store::connect(&postgres.url(), 2).await.unwrap();
    store.migrate().await.unwrap();
    let run = |attempt: &str| Run {
        workflow_id: "sync".to_owned(),
        run_id: attempt.to_owned(),
    };
    let facts = |seen: &Observations, attempt| ListingFacts {
        evidence: seen.evidence(),
        finished_at: seen.evidence().began_at(),
        completeness: Completeness::Complete,
        shortfall: Shortfall::default(),
        total: None,
        requests: 1,
        rules: every(Duration::ZERO),
        run: run(attempt),
    };
    let [droplets, volumes] = [ResourceKind::DROPLET, ResourceKind::VOLUME];
    let kinds = [droplets.clone(), volumes.clone()];
    let mut seen = store
        .resume_or_observe(&run("first"), &kinds)
        .await
        .unwrap();
    seen.add(on_page(1)).await.unwrap();
    postgres.stop(Stop::Immediate).await;
    postgres.start_again().await;
    // Rows that are staged after the crash exist.
    seen.add(on_page(2)).await.unwrap();
    let facts_of_run = facts(&seen, "first");
    let swept = store.sweep(&seen, &droplets, &facts_of_run).await;
    assert!(matches!(swept, Err(StoreError::TakenOver)), "{swept:?}");
    // No volume was staged before the crash.
    store.sweep(&seen, &volumes, &facts_of_run).await.unwrap();

    let mut seen = store
        .resume_or_observe(&run("second"), &kinds)
        .await
        .unwrap();
    seen.add(on_page(1)).await.unwrap();
    seen.add(on_page(2)).await.unwrap();
    let facts_of_run = facts(&seen, "second");
    let swept = store.sweep(&seen, &droplets, &facts_of_run).await.unwrap();
    assert_eq!(swept.discovered, 6);
    postgres.end().await;
}

#[tokio::test]
async fn rows_of_abandoned_listings_are_deleted() {
    let fixture = fixture().await;
    drop(fixture.read_pages(&fixture.new_run(), 10).await);
    fixture
        .execute("update cloud_resumable_listings set taken_at = now() - interval '3 hours'")
        .await;
    fixture
        .execute("update cloud_staged_resources set staged_at = now() - interval '3 hours'")
        .await;
    fixture.observe(&[ResourceKind::VOLUME]).await.unwrap();
    assert_eq!(fixture.left().await, (0, 0, 0));
}
