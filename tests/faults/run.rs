//! One run: an account, all syncs of five chapters with faults in the middle, and the comparison with a run without.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use domain::TenantId;
use simulator::Account;
use store::StoreError;
use store::inventory::Commit;
use store::projects::ProjectChange;
use tokio::sync::{OnceCell, watch};

use super::books::{self, Books, Difference, Ends};
use super::clock::Clock;
use super::dice::Dice;
use super::site::{Servers, Site};
use super::story::{CHAPTERS, Story, WITH_BILL, turn};
use super::syncs::Setback;
use super::trouble::{Family, Injected, Tally, Trouble};
use crate::support::waiting::eventually;

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) extent: Extent,
    pub(crate) family: Family,
    pub(crate) story: Story,
    pub(crate) tally: Tally,
    pub(crate) difference: Difference,
    /// Resources and projects that the account has and the mirror says are gone, and deletions that the run without faults has not.
    pub(crate) wrong_deletes: u64,
    pub(crate) setbacks: Vec<Setback>,
    /// How often a task queue's worker was built anew inside its process.
    pub(crate) renewals: u64,
    pub(crate) took: Duration,
    pub(crate) log: Vec<String>,
}

impl Outcome {
    pub(crate) fn is_right(&self) -> bool {
        self.difference.lost.is_empty()
            && self.difference.doubled.is_empty()
            && self.wrong_deletes == 0
    }
}

/// How much befalls a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Faults in one chapter.
    OneChapter,
    /// In about every other one.
    Thorough,
}

/// What a run without faults comes to. Made once for each story.
pub(crate) async fn expected(story: Story) -> &'static Books {
    static EVERYTHING: OnceCell<Books> = OnceCell::const_new();
    static EVERY_CENT: OnceCell<Books> = OnceCell::const_new();
    static THOUSANDS: OnceCell<Books> = OnceCell::const_new();
    let cell = match story {
        Story::Everything => &EVERYTHING,
        Story::EveryCent => &EVERY_CENT,
        Story::Thousands => &THOUSANDS,
    };
    Box::pin(cell.get_or_init(async || Box::pin(without_faults(story)).await)).await
}

/// A run in which nothing fails; every workflow comes to a good end the first time.
pub(crate) async fn without_faults(story: Story) -> Books {
    let mut site = Site::start(story.account(), Servers::Shared).await;
    site.add_worker(None);
    let told = Box::pin(tell(&site, &BTreeSet::new(), None)).await;
    assert!(
        told.setbacks.is_empty(),
        "without faults: {:?}",
        told.setbacks
    );
    let books = books::read(&site, &told.ends).await;
    assert_eq!(deleted_but_there(&site).await, 0);
    let deleted = deletions(&books);
    assert!(deleted > 0, "the story has no deletion to get wrong");
    site.end().await;
    books
}

/// The run of a seed.
pub(crate) async fn with_faults(seed: u64, extent: Extent) -> Outcome {
    let started = Instant::now();
    let mut dice = Dice::of(seed);
    let family = Family::of(seed);
    let story = Story::of(seed);
    let chapters = chapters_in_trouble(&mut dice, extent);
    let mut trouble = Trouble::new(family, dice.fork());
    let mut site = Site::start(story.account(), family.servers()).await;
    site.add_worker(None);
    if family.workers() > 1 {
        let hours = i64::try_from(dice.between(2, 9)).unwrap_or(2);
        let ahead = if dice.once_in(2) { hours } else { -hours } * 3_600;
        let clock = Clock::ahead(ahead).await;
        if let Some(clock) = &clock {
            trouble.tally.insert(Injected::ClockSkewed, 1);
            trouble.log.push(format!(
                "the clock of worker 1 is ahead by {} s",
                clock.ahead
            ));
        }
        site.add_worker(clock.as_ref());
    }
    let told = Box::pin(tell(&site, &chapters, Some(&mut trouble)));
    let (told, expected) = tokio::join!(told, expected(story));
    let found = books::read(&site, &told.ends).await;
    let difference = books::compare(expected, &found);
    let more = deletions(&found).saturating_sub(deletions(expected));
    let outcome = Outcome {
        seed,
        extent,
        family,
        story,
        tally: trouble.tally,
        wrong_deletes: deleted_but_there(&site).await + more,
        difference,
        setbacks: told.setbacks,
        renewals: site.logs().matches("the worker is built anew").count() as u64,
        took: started.elapsed(),
        log: trouble.log,
    };
    if !outcome.is_right() {
        eprintln!(
            "seed {seed}: the workers' logs are in {}",
            site.keep_logs().display()
        );
    }
    site.end().await;
    outcome
}

fn chapters_in_trouble(dice: &mut Dice, extent: Extent) -> BTreeSet<usize> {
    let certain = usize::try_from(dice.between(0, CHAPTERS as u64 - 1)).unwrap_or_default();
    let more = (0..CHAPTERS).filter(|_| dice.once_in(2));
    let more: BTreeSet<usize> = more.collect();
    match extent {
        Extent::OneChapter => [certain].into(),
        Extent::Thorough => more.into_iter().chain([certain]).collect(),
    }
}

/// How it went.
#[derive(Default)]
struct Told {
    setbacks: Vec<Setback>,
    ends: Ends,
}

/// The story from its first chapter to its last.
async fn tell(
    site: &Site,
    in_trouble: &BTreeSet<usize>,
    mut trouble: Option<&mut Trouble>,
) -> Told {
    let mut leaver = None;
    let mut told = Told::default();
    for chapter in 0..CHAPTERS {
        site.simulator
            .change(|account| turn(chapter, account, &mut leaver));
        let (stop, stopped) = watch::channel(false);
        let work = async {
            let setbacks = site.sync(WITH_BILL.contains(&chapter)).await;
            // What has not happened yet would come too late.
            stop.send_replace(true);
            setbacks
        };
        let raging = async {
            let trouble = trouble.as_mut().filter(|_| in_trouble.contains(&chapter))?;
            trouble.rage(site, chapter, stopped).await;
            Some(())
        };
        let (more, was_in_trouble) = tokio::join!(work, raging);
        told.setbacks.extend(more);
        if was_in_trouble.is_some() {
            site.simulator.clear_faults();
        }
        site.let_an_hour_go_by().await;
        if chapter == 0 {
            assign_tenants(site).await;
        }
        let database = site.store().await;
        let end = patiently(async || database.now().await).await;
        told.ends.push(end);
    }
    told
}

/// A machine on which many runs go on at once may let a connection wait for too long.
async fn patiently<T>(mut ask: impl AsyncFnMut() -> Result<T, StoreError>) -> T {
    eventually("the database has answered the test itself", async || {
        ask().await.ok()
    })
    .await
}

/// An operator's word: whose two of the projects are.
pub(crate) async fn assign_tenants(site: &Site) {
    let store = site.store().await;
    let projects = patiently(async || store.projects(None, None, 100).await).await;
    let mut ordinary: Vec<_> = projects
        .into_iter()
        .filter(|project| !project.is_default && !project.is_internal)
        .collect();
    ordinary.sort_by(|one, other| one.provider_id.cmp(&other.provider_id));
    for (project, tenant) in ordinary.iter().zip(["north", "south"]) {
        let change = ProjectChange {
            tenant_id: Some(Some(tenant.parse::<TenantId>().unwrap())),
            // The same time in each run, so that runs can be compared.
            tenant_since: Some("2015-01-01T00:00:00Z".parse().unwrap()),
            purpose: None,
        };
        patiently(async || {
            store
                .change_project(project.id, &change, "tests", Commit::Keep)
                .await
        })
        .await;
    }
}

/// What the mirror says is gone and the account has. The account is the judge here, not another run.
pub(crate) async fn deleted_but_there(site: &Site) -> u64 {
    let mut database = site.database().await;
    let deleted: Vec<(String, String)> = sqlx::query_as(
        "select kind, provider_id from cloud_resources where deleted_at is not null
         union all select 'project', provider_id from cloud_projects where deleted_at is not null",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    let is_there = |account: &Account, kind: &str, id: &str| match kind {
        "project" => account
            .projects()
            .iter()
            .any(|project| project.id.to_string() == id),
        kind if Account::resource_kinds().any(|known| known == kind) => {
            account.resource_ids(kind).iter().any(|known| known == id)
        }
        _ => false,
    };
    let wrong = site.simulator.read(|account| {
        let wrong = deleted
            .iter()
            .filter(|(kind, id)| is_there(account, kind, id));
        wrong.count()
    });
    u64::try_from(wrong).unwrap_or(u64::MAX)
}

fn deletions(books: &Books) -> u64 {
    let events = books.get("cloud_resource_events").into_iter().flatten();
    let deleted = events.filter(|(row, _)| row.contains(r#""event":"deleted""#));
    deleted.map(|(_, count)| count).sum()
}
