//! Runs long computations outside of the threads that poll all activities.

use std::panic::resume_unwind;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

/// Inputs of fewer bytes are processed in place: a millisecond or less.
const FEW_BYTES: usize = 64 * 1024;

/// Runs work on an input of `bytes` bytes: on a blocking thread unless the input is small.
pub(crate) async fn run<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if bytes < FEW_BYTES {
        return work();
    }
    on_thread(work).await
}

/// How often the caller of long work is polled.
const POLLED_EVERY: Duration = Duration::from_secs(1);

/// Runs work on a blocking thread. The caller is polled meanwhile, so that it does not look stalled
/// (`store/src/completion.rs`).
pub(crate) async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let mut working = tokio::task::spawn_blocking(work);
    let mut polls = tokio::time::interval(POLLED_EVERY);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            outcome = &mut working => match outcome {
                Ok(result) => return result,
                Err(error) => resume_unwind(error.into_panic()),
            },
            _ = polls.tick() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{ThreadId, current};

    use super::*;

    async fn thread_for(bytes: usize) -> ThreadId {
        run(bytes, || current().id()).await
    }

    #[tokio::test]
    async fn only_large_inputs_leave_the_thread_of_the_runtime() {
        assert_eq!(thread_for(FEW_BYTES - 1).await, current().id());
        assert_ne!(thread_for(FEW_BYTES).await, current().id());
    }

    #[tokio::test]
    #[should_panic(expected = "unreadable")]
    async fn a_panic_of_the_work_reaches_the_caller() {
        run(FEW_BYTES, || panic!("unreadable")).await;
    }
}
