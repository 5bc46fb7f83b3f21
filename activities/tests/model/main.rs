//! Runs random sequences of changes to an account and of syncs, and compares the mirror after each
//! step with a small model of it.
//!
//! The real client reads the real simulator, and the real store writes a real PostgreSQL; only
//! Temporal is left out, since it only calls the same functions. `ARCADIA_MODEL_SEQUENCES` sets the
//! number of sequences; a failing one is shrunk as far as possible and printed with its seed.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod comparison;
mod reference;
mod steps;
mod world;

use std::env;

use proptest::test_runner::{Config, TestCaseError, TestRunner};

use reference::Reference;
use world::World;

/// Enough to cover each pair of consecutive steps many times; more when started manually.
const SEQUENCES: u32 = 30;
const LONGEST: usize = 32;

/// Checks sequences in a new database. The tests run half of them each, concurrently.
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
                    Box::pin(world.take(step, &mut reference)).await;
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
fn the_mirror_equals_the_model_after_every_step() {
    check_sequences(sequences() / 2);
}

#[test]
fn the_mirror_equals_the_model_in_the_second_half() {
    check_sequences(sequences() - sequences() / 2);
}
