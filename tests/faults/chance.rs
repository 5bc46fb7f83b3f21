//! Runs with faults, side by side. The head of `main.rs` says how they are asked for.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::run::{Extent, Outcome, expected, with_faults, without_faults};
use super::story::Story;
use super::trouble::Family;
use super::{books, report};

/// A number of the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// Hours are long: the table so far, each time so many runs have ended.
const TABLE_EVERY: usize = 10;

/// Others each day, and the same for all tests of a day: of each family in turn, and of one of the two shorter stories.
fn seed_of_today() -> u64 {
    let (families, stories) = (Family::ALL.len() as u64, Story::ALL.len() as u64);
    let day = day();
    (day * stories + day % 2) * families
}

fn day() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() / 86_400
}

/// With long tests, one run of each family but the last, in which everything fails.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_nothing_is_lost_doubled_or_wrongly_deleted() {
    let families = Family::ALL.len() as u64;
    let given = number("ARCADIA_FAULT_SEED");
    let first = given.unwrap_or_else(seed_of_today);
    let asked = number("ARCADIA_FAULT_RUNS");
    // One family a day, in turn, unless long tests are wanted.
    let is_short = cfg!(missing_long_tests);
    let first = if is_short && given.is_none() && asked.is_none() {
        first + day() % (families - 1)
    } else {
        first
    };
    let runs = asked.unwrap_or(if given.is_some() || is_short {
        1
    } else {
        families - 1
    });
    let extent = if asked.is_some() {
        Extent::Thorough
    } else {
        Extent::OneChapter
    };
    let lanes = number("ARCADIA_FAULT_LANES").unwrap_or(families);
    eprintln!("{runs} runs from seed {first}, {lanes} at a time, {extent:?}");

    let seeds = futures::stream::iter(first..first + runs);
    let mut running = std::pin::pin!(
        seeds
            .map(async |seed| {
                // On a thread of its own: one that compares thousands of rows must not keep the others from answering their servers.
                let runtime = Handle::current();
                let run = spawn_blocking(move || runtime.block_on(with_faults(seed, extent)));
                run.await.map_err(|_| seed)
            })
            .buffer_unordered(usize::try_from(lanes).unwrap())
    );
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut wrong: Vec<u64> = Vec::new();
    while let Some(outcome) = running.next().await {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(seed) => {
                eprintln!("the run of seed {seed} did not come to its end: see above");
                wrong.push(seed);
                continue;
            }
        };
        eprintln!("{}", report::line(&outcome));
        if !outcome.is_right() {
            eprintln!("{}", report::failure(&outcome));
            wrong.push(outcome.seed);
        }
        outcomes.push(outcome);
        if outcomes.len().is_multiple_of(TABLE_EVERY) {
            eprintln!("\n{}", report::table(&outcomes));
        }
    }
    eprintln!("\n{}", report::table(&outcomes));
    assert!(wrong.is_empty(), "wrong: {wrong:?}");
}

/// What the comparison leaves aside is no more than what two runs without faults differ in, and it does find what differs.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn two_runs_without_faults_come_to_the_same_and_a_lost_or_doubled_row_is_found() {
    let first = number("ARCADIA_FAULT_SEED");
    let story = Story::of(first.unwrap_or_else(seed_of_today));
    let (expected, mut found) = tokio::join!(expected(story), without_faults(story));
    let difference = books::compare(expected, &found);
    assert!(difference.rows > 500, "{difference:#?}");
    assert!(
        difference.lost.is_empty() && difference.doubled.is_empty(),
        "{difference:#?}"
    );

    let lines = found.get_mut("cloud_cost_lines").unwrap();
    let (lost, _) = lines.pop_first().unwrap();
    *lines.first_entry().unwrap().get_mut() += 1;
    let projects = found.get_mut("cloud_projects").unwrap();
    let (alive, count) = projects.pop_first().unwrap();
    let deleted = alive.replace(r#""deleted_at":null"#, r#""deleted_at":"a time""#);
    assert_ne!(alive, deleted);
    projects.insert(deleted, count);
    let difference = books::compare(expected, &found);
    let (losses, doubles) = (&difference.lost, &difference.doubled);
    assert_eq!((losses.len(), doubles.len()), (2, 2), "{difference:#?}");
    assert!(losses.iter().any(|row| row.contains(&lost)), "{losses:#?}");
}
