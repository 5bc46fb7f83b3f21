//! Long listings that a later attempt of the same run goes on with.

use std::time::Duration;

use devstack::testing::{OwnPostgres, Stop};
use domain::inventory::ObservedResource;
use domain::{Completeness, ResourceKind, TakenPage};
use store::inventory::{ListingFacts, Observations, Shortfall};
use store::{Run, Store, StoreError};

use super::support::{Fixture, droplet, every, fixture};

const PATH: &str = "/v2/droplets";
const KINDS: &[ResourceKind] = &[ResourceKind::DROPLET];
const ITEMS_A_PAGE: u32 = 3;

fn on_page(page: u32) -> Vec<ObservedResource> {
    let first = page * ITEMS_A_PAGE;
    let ids = first..first + ITEMS_A_PAGE;
    ids.map(|id| droplet(id, &format!("web-{id}"))).collect()
}

fn taken(page: u32) -> TakenPage {
    let resources = on_page(page).into_iter();
    TakenPage {
        total: 60,
        ids: resources.map(|seen| seen.provider_id).collect(),
        has_next: true,
    }
}

async fn take(seen: &mut Observations, page: u32) -> Result<(), StoreError> {
    seen.add(on_page(page)).await?;
    seen.note(PATH, u64::from(page), taken(page)).await
}

impl Fixture {
    /// The first pages of a listing.
    async fn take_pages(&self, run: &Run, pages: u32) -> Observations {
        let mut seen = self.observe_again(run, KINDS).await.unwrap();
        for page in 1..=pages {
            take(&mut seen, page).await.unwrap();
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
async fn a_short_listing_writes_nothing_down() {
    let fixture = fixture().await;
    let run = fixture.new_run();
    let seen = fixture.take_pages(&run, 9).await;
    assert_eq!(fixture.left().await, (0, 0, 27));
    seen.finish().await.unwrap();
    let mut next = fixture.observe_again(&run, KINDS).await.unwrap();
    assert_eq!(next.taken_before(PATH), []);
    assert_eq!(next.seen(&ResourceKind::DROPLET), 0);
}

#[tokio::test]
async fn a_long_listing_is_gone_on_with_and_swept_as_one() {
    let fixture = fixture().await;
    // Those of page 2 are stored, and one of them looks otherwise now.
    let mut stored = on_page(2);
    stored[0].name = "as it was".to_owned();
    fixture.sweep(&stored).await;
    let run = fixture.new_run();
    let before = fixture.take_pages(&run, 11).await;
    let started_at = before.started_at();
    drop(before);
    assert_eq!(fixture.left().await, (1, 11, 31));

    let mut seen = fixture.observe_again(&run, KINDS).await.unwrap();
    assert_eq!(seen.started_at(), started_at);
    assert_eq!(seen.seen(&ResourceKind::DROPLET), 33);
    let expected: Vec<TakenPage> = (1..=11).map(taken).collect();
    assert_eq!(seen.taken_before(PATH), expected);
    assert_eq!(seen.taken_before(PATH), []);
    // The last page again, since that is what tells that nothing has moved.
    seen.add(on_page(11)).await.unwrap();
    take(&mut seen, 12).await.unwrap();

    let mut facts = fixture.facts(Completeness::Complete).await;
    facts.started_at = seen.started_at();
    let swept = fixture.sweep_seen(&seen, &facts).await.unwrap();
    assert_eq!((swept.seen, swept.discovered, swept.updated), (36, 33, 1));
    assert_eq!((swept.struck, swept.deleted), (0, 0));
    seen.finish().await.unwrap();
    assert_eq!(fixture.left().await, (0, 0, 0));
    assert_eq!(fixture.resource("6").await.name, "web-6");
}

#[tokio::test]
async fn what_others_saw_since_the_first_attempt_is_neither_struck_nor_overwritten() {
    let fixture = fixture().await;
    let run = fixture.new_run();
    drop(fixture.take_pages(&run, 10).await);
    // Meanwhile: one that comes after all pages, and one of a page that was taken looks otherwise.
    let renamed = droplet(4, "newer");
    fixture.sweep(&[droplet(900, "new"), renamed]).await;
    let seen = fixture.observe_again(&run, KINDS).await.unwrap();
    let mut facts = fixture.facts(Completeness::Complete).await;
    facts.started_at = seen.started_at();
    let swept = fixture.sweep_seen(&seen, &facts).await.unwrap();
    assert_eq!((swept.discovered, swept.updated, swept.struck), (29, 0, 0));
    assert_eq!(fixture.resource("4").await.name, "newer");
    assert_eq!(fixture.resource("900").await.stale_strike_count, 0);
}

#[tokio::test]
async fn an_attempt_that_was_taken_over_is_refused_and_harms_nothing() {
    let fixture = fixture().await;
    let run = fixture.new_run();
    let mut first = fixture.take_pages(&run, 10).await;
    let mut second = fixture.observe_again(&run, KINDS).await.unwrap();
    // The first is still alive: it stages a page, and some of an earlier one once more.
    let noted = take(&mut first, 11).await;
    assert!(matches!(noted, Err(StoreError::TakenOver)), "{noted:?}");
    first.add(on_page(3)).await.unwrap();
    first.begin_again(PATH).await.unwrap();
    let facts = fixture.facts(Completeness::Complete).await;
    let swept = fixture.sweep_seen(&first, &facts).await;
    assert!(matches!(swept, Err(StoreError::TakenOver)), "{swept:?}");
    first.finish().await.unwrap();

    take(&mut second, 11).await.unwrap();
    let swept = fixture.sweep_seen(&second, &facts).await.unwrap();
    assert_eq!((swept.seen, swept.discovered), (33, 33));
    second.finish().await.unwrap();
    assert_eq!(fixture.all_resources().await.len(), 33);
}

#[tokio::test]
async fn of_two_attempts_at_once_one_is_written_down_and_both_come_to_their_end() {
    let fixture = fixture().await;
    let run = fixture.new_run();
    let mut one = fixture.observe_again(&run, KINDS).await.unwrap();
    let mut two = fixture.observe_again(&run, KINDS).await.unwrap();
    for page in 1..=12 {
        take(&mut one, page).await.unwrap();
        take(&mut two, page).await.unwrap();
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
async fn a_list_that_begins_again_leaves_no_page_to_go_on_with() {
    let fixture = fixture().await;
    let run = fixture.new_run();
    let mut seen = fixture.take_pages(&run, 12).await;
    seen.begin_again(PATH).await.unwrap();
    take(&mut seen, 1).await.unwrap();
    drop(seen);
    let mut next = fixture.observe_again(&run, KINDS).await.unwrap();
    assert_eq!(next.taken_before(PATH), [taken(1)]);
    // What is staged was seen all the same.
    assert_eq!(next.seen(&ResourceKind::DROPLET), 36);
}

#[tokio::test]
async fn neither_another_run_nor_other_kinds_nor_too_late_an_attempt_goes_on() {
    let fixture = fixture().await;
    let run = fixture.new_run();
    drop(fixture.take_pages(&run, 10).await);
    let others = [
        (fixture.new_run(), KINDS.to_vec()),
        (run.clone(), vec![ResourceKind::VOLUME]),
        (run.clone(), [KINDS, &[ResourceKind::VOLUME]].concat()),
    ];
    for (run, kinds) in others {
        let mut seen = fixture.observe_again(&run, &kinds).await.unwrap();
        assert_eq!(seen.taken_before(PATH), []);
    }
    assert_eq!(fixture.left().await, (1, 10, 30));
    fixture
        .execute("update cloud_resumable_listings set taken_at = now() - interval '11 minutes'")
        .await;
    let mut seen = fixture.observe_again(&run, KINDS).await.unwrap();
    assert_eq!(seen.taken_before(PATH), []);
    assert_eq!(fixture.left().await, (0, 0, 0));
    // It may be written down itself.
    for page in 1..=10 {
        take(&mut seen, page).await.unwrap();
    }
    drop(seen);
    fixture
        .execute("update cloud_resumable_listings set started_at = now() - interval '61 minutes'")
        .await;
    let mut seen = fixture.observe_again(&run, KINDS).await.unwrap();
    assert_eq!(seen.taken_before(PATH), []);
}

/// The tables of pages and of what is staged are not logged: a crash empties all of them.
#[tokio::test]
async fn a_crash_of_the_database_makes_the_next_attempt_begin_anew() {
    let fixture = fixture().await;
    let run = fixture.new_run();
    let mut first = fixture.take_pages(&run, 10).await;
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
    // The attempt that lives through it has lost what it staged.
    let noted = take(&mut first, 11).await;
    assert!(matches!(noted, Err(StoreError::TakenOver)), "{noted:?}");
    let facts = fixture.facts(Completeness::Complete).await;
    let swept = fixture.sweep_seen(&first, &facts).await;
    assert!(matches!(swept, Err(StoreError::TakenOver)), "{swept:?}");
    let mut seen = fixture.observe_again(&run, KINDS).await.unwrap();
    assert_eq!(seen.taken_before(PATH), []);
    assert_eq!(seen.seen(&ResourceKind::DROPLET), 0);
}

/// The attempt lives through it, and holds for staged what is gone.
#[tokio::test]
async fn a_short_listing_that_a_crash_of_the_database_emptied_is_refused() {
    let mut postgres = OwnPostgres::start().await;
    let store = Store::connect(&postgres.url(), 2).await.unwrap();
    store.migrate().await.unwrap();
    let run = |attempt: &str| Run {
        workflow_id: "sync".to_owned(),
        run_id: attempt.to_owned(),
    };
    let facts = |seen: &Observations, attempt| ListingFacts {
        started_at: seen.started_at(),
        completeness: Completeness::Complete,
        shortfall: Shortfall::default(),
        total: None,
        requests: 1,
        rules: every(Duration::ZERO),
        run: run(attempt),
    };
    let [droplets, volumes] = [ResourceKind::DROPLET, ResourceKind::VOLUME];
    let kinds = [droplets.clone(), volumes.clone()];
    let mut seen = store.observe_again(&run("first"), &kinds).await.unwrap();
    seen.add(on_page(1)).await.unwrap();
    postgres.stop(Stop::AtOnce).await;
    postgres.start_again().await;
    // What is staged afterwards is there.
    seen.add(on_page(2)).await.unwrap();
    let told = facts(&seen, "first");
    let swept = store.sweep(&seen, &droplets, &told).await;
    assert!(matches!(swept, Err(StoreError::TakenOver)), "{swept:?}");
    // Of volumes it holds nothing for staged.
    store.sweep(&seen, &volumes, &told).await.unwrap();

    let mut seen = store.observe_again(&run("second"), &kinds).await.unwrap();
    seen.add(on_page(1)).await.unwrap();
    seen.add(on_page(2)).await.unwrap();
    let told = facts(&seen, "second");
    let swept = store.sweep(&seen, &droplets, &told).await.unwrap();
    assert_eq!(swept.discovered, 6);
    postgres.end().await;
}

#[tokio::test]
async fn what_no_attempt_goes_on_with_is_cleared_away() {
    let fixture = fixture().await;
    drop(fixture.take_pages(&fixture.new_run(), 10).await);
    fixture
        .execute("update cloud_resumable_listings set taken_at = now() - interval '3 hours'")
        .await;
    fixture
        .execute("update cloud_staged_resources set staged_at = now() - interval '3 hours'")
        .await;
    fixture.observe(&[ResourceKind::VOLUME]).await.unwrap();
    assert_eq!(fixture.left().await, (0, 0, 0));
}
