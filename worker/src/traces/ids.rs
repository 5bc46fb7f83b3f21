//! Ids of spans: those of a run follow from the run.

use std::cell::Cell;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, SpanId, TraceFlags, TraceId, Tracer as _};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracer};
use sha2::{Digest as _, Sha256};

/// The ids of a run's span, and of its trace if it begins one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunIds {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
}

/// Random, but for spans that are begun in [`with`].
#[derive(Debug, Default, Clone)]
pub struct Ids {
    random: RandomIdGenerator,
}

thread_local! {
    static GIVEN: Cell<Option<RunIds>> = const { Cell::new(None) };
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        match GIVEN.get() {
            Some(ids) => ids.trace,
            None => self.random.new_trace_id(),
        }
    }

    fn new_span_id(&self) -> SpanId {
        match GIVEN.get() {
            Some(ids) => ids.span,
            None => self.random.new_span_id(),
        }
    }
}

/// Begins a span with these ids.
pub(super) fn with<T>(ids: RunIds, begin: impl FnOnce() -> T) -> T {
    GIVEN.set(Some(ids));
    let begun = begin();
    GIVEN.set(None);
    begun
}

/// The same for a run whoever asks, and as good as random among runs: the first bytes of a hash of its ids, which are never zero.
pub(super) fn of_run(workflow_id: &str, run_id: &str) -> RunIds {
    let hash = Sha256::digest(format!("{workflow_id}\n{run_id}"));
    let (trace, span) = hash.split_at(16);
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0_u128, |number, byte| number << 8 | u128::from(*byte))
    };
    let span = number(&span[..8]);
    RunIds {
        trace: TraceId::from(number(trace).max(1)),
        span: SpanId::from(u64::try_from(span).unwrap_or(u64::MAX).max(1)),
    }
}

/// Whether a trace that begins with these ids is recorded.
pub(super) fn flags(tracer: &SdkTracer, ids: RunIds) -> TraceFlags {
    let deciding = with(ids, || {
        tracer.build_with_context(tracer.span_builder("run"), &Context::new())
    });
    deciding.span_context().trace_flags()
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    #[test]
    fn a_runs_ids_are_the_same_wherever_it_is_worked_on_and_no_others() {
        let ids = of_run("sync-inventory", "019ab");
        assert_eq!(ids, of_run("sync-inventory", "019ab"));
        assert_ne!(ids.trace, of_run("sync-inventory", "019ac").trace);
        assert_ne!(ids.span, of_run("sync-projects", "019ab").span);
    }

    #[test]
    fn given_ids_are_for_one_span_and_the_next_one_gets_its_own() {
        let provider = SdkTracerProvider::builder()
            .with_id_generator(Ids::default())
            .build();
        let tracer = provider.tracer("test");
        let ids = of_run("sync-inventory", "019ab");
        let begin = || tracer.build_with_context(tracer.span_builder("run"), &Context::new());
        let given = with(ids, begin);
        assert_eq!(given.span_context().trace_id(), ids.trace);
        assert_eq!(given.span_context().span_id(), ids.span);
        assert_ne!(begin().span_context().trace_id(), ids.trace);
    }
}
