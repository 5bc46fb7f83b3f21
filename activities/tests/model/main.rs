//! Random sequences of what can happen to an account and to its syncs, against a model of a few lines that says what the mirror
//! must hold after each of them.
//!
//! The real client reads the real simulator, and the real store writes a real PostgreSQL; only Temporal is left out, whose part is
//! to call the same functions. `ARCADIA_MODEL_SEQUENCES` says how many sequences; a failing one is made as short as it can be
//! and printed with its seed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod comparison;
mod reference;
mod steps;
mod world;

use std::env;

use proptest::test_runner::{Config, TestCaseError, TestRunner};

use reference::Reference;
use world::World;

/// Enough to meet each pair of neighbouring steps many times; more by hand.
const SEQUENCES: u32 = 30;
const LONGEST: usize = 32;

/// Each half in a database of its own, side by side.
fn check_sequences(sequences: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let database = runtime.block_on(devstack::testing::database());
    let config = Config {
        cases: sequences,
        max_shrink_iters: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let result = runner.run(&steps::sequence(LONGEST), |steps| {
        runtime
            .block_on(async {
                let mut world = World::new(&database.url()).await;
                let mut reference = Reference::default();
                for (number, step) in steps.iter().enumerate() {
                    world.take(step, &mut reference).await;
                    world
                        .compare(&reference)
                        .await
                        .map_err(|problem| format!("after step {number}, {step:?}: {problem}"))?;
                }
                world.compare_history().await
            })
            .map_err(TestCaseError::fail)
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

fn sequences() -> u32 {
    env::var("ARCADIA_MODEL_SEQUENCES")
        .ok()
        .map_or(SEQUENCES, |text| text.parse().unwrap())
}

#[test]
fn whatever_happens_the_mirror_holds_what_the_model_says() {
    check_sequences(sequences() / 2);
}

#[test]
fn whatever_happens_the_mirror_holds_what_the_model_says_again() {
    check_sequences(sequences() - sequences() / 2);
}
