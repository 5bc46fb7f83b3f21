//! Concurrent runs with random faults. `main.rs` lists the variables that control them.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::injector::Family;
use super::run::{Extent, Outcome, expected, with_faults, without_faults};
use super::scenario::Scenario;
use super::{report, snapshot};

/// Returns the number in an environment variable; none if it is unset or empty.
pub(crate) fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} must be a number: {text:?}")))
}

/// Number of completed runs between two printed tables.
const TABLE_EVERY: usize = 10;

/// Returns the first seed of today, which all tests share: it selects one of the two shorter
/// scenarios. Consecutive seeds select all families in turn.
fn seed_of_today() -> u64 {
    let (families, scenarios) = (Family::ALL.len() as u64, Scenario::ALL.len() as u64);
    let day = day();
    (day * scenarios + day % 2) * families
}

fn day() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() / 86_400
}

/// With long tests, one run of each family except the last, which combines all faults.
#[tokio::test(flavor = "multi_thread")]
async fn runs_with_faults_neither_lose_nor_double_nor_wrongly_delete_rows() {
    let families = Family::ALL.len() as u64;
    let seed = number("ARCADIA_FAULT_SEED");
    let first = seed.unwrap_or_else(seed_of_today);
    let requested_runs = number("ARCADIA_FAULT_RUNS");
    // Without long tests, one family a day in turn.
    let is_short = cfg!(missing_long_tests);
    let first = if is_short && seed.is_none() && requested_runs.is_none() {
        first + day() % (families - 1)
    } else {
        first
    };
    let runs = requested_runs.unwrap_or(if seed.is_some() || is_short {
        1
    } else {
        families - 1
    });
    let extent = if requested_runs.is_some() {
        Extent::Thorough
    } else {
        Extent::OnePhase
    };
    let lanes = number("ARCADIA_FAULT_LANES").unwrap_or(families);
    eprintln!("{runs} runs from seed {first}, {lanes} at a time, {extent:?}");

    let seeds = futures::stream::iter(first..first + runs);
    let mut running = std::pin::pin!(
        seeds
            .map(async |seed| {
                // On a separate thread, so that comparing thousands of rows does not block the I/O
                // of other runs.
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
                eprintln!("the run of seed {seed} panicked: see above");
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

/// Checks the comparison itself: it ignores the differences between two runs without faults, and
/// finds injected ones.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn runs_without_faults_are_equal_and_lost_or_doubled_rows_are_found() {
    let first = number("ARCADIA_FAULT_SEED");
    let scenario = Scenario::of(first.unwrap_or_else(seed_of_today));
    let (expected, mut found) = tokio::join!(expected(scenario), without_faults(scenario));
    let difference = snapshot::compare(expected, &found);
    assert!(difference.rows > 500, "{difference:#?}");
    assert!(
        difference.lost.is_empty() && difference.doubled.is_empty(),
        "{difference:#?}"
    );

    let lines = found.get_mut("cloud_cost_lines").unwrap();
    let (lost, _) = lines.pop_first().unwrap();
    *lines.first_entry().unwrap().get_mut() += 1;
    let projects = found.get_mut("cloud_project_rows").unwrap();
    let (alive, count) = projects.pop_first().unwrap();
    let deleted = alive.replace(r#""deleted_at":null"#, r#""deleted_at":"a time""#);
    assert_ne!(alive, deleted);
    projects.insert(deleted, count);
    let difference = snapshot::compare(expected, &found);
    let (losses, doubles) = (&difference.lost, &difference.doubled);
    assert_eq!((losses.len(), doubles.len()), (2, 2), "{difference:#?}");
    assert!(losses.iter().any(|row| row.contains(&lost)), "{losses:#?}");
}
