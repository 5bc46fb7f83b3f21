//! Generates span ids. Those of a workflow run are derived from its workflow and run ids.

use std::cell::Cell;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, SpanId, TraceFlags, TraceId, Tracer as _};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracer};
use sha2::{Digest as _, Sha256};

/// The id of a run's span, and of its trace if the run is its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunIds {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
}

/// Generates random ids, except for spans that start in [`with_ids`].
#[derive(Debug, Default, Clone)]
pub struct Ids {
    random: RandomIdGenerator,
}

thread_local! {
    static PRESET: Cell<Option<RunIds>> = const { Cell::new(None) };
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        match PRESET.get() {
            Some(ids) => ids.trace,
            None => self.random.new_trace_id(),
        }
    }

    fn new_span_id(&self) -> SpanId {
        match PRESET.get() {
            Some(ids) => ids.span,
            None => self.random.new_span_id(),
        }
    }
}

/// Starts a span with these ids.
pub(super) fn with_ids<T>(ids: RunIds, start: impl FnOnce() -> T) -> T {
    PRESET.set(Some(ids));
    let span = start();
    PRESET.set(None);
    span
}

/// Derives the ids of a run from a hash of its workflow and run ids. They are the same on every
/// worker, distinct between runs, and never zero.
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

/// Returns the sampling decision for a trace with these ids at its root.
pub(super) fn flags(tracer: &SdkTracer, ids: RunIds) -> TraceFlags {
    let root = with_ids(ids, || {
        tracer.build_with_context(tracer.span_builder("run"), &Context::new())
    });
    root.span_context().trace_flags()
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    #[test]
    fn span_ids_of_a_run_are_deterministic_and_distinct_between_runs() {
        let ids = of_run("sync-inventory", "019ab");
        assert_eq!(ids, of_run("sync-inventory", "019ab"));
        assert_ne!(ids.trace, of_run("sync-inventory", "019ac").trace);
        assert_ne!(ids.span, of_run("sync-projects", "019ab").span);
    }

    #[test]
    fn preset_ids_apply_to_one_span_only() {
        let provider = SdkTracerProvider::builder()
            .with_id_generator(Ids::default())
            .build();
        let tracer = provider.tracer("test");
        let ids = of_run("sync-inventory", "019ab");
        let start = || tracer.build_with_context(tracer.span_builder("run"), &Context::new());
        let preset = with_ids(ids, start);
        assert_eq!(preset.span_context().trace_id(), ids.trace);
        assert_eq!(preset.span_context().span_id(), ids.span);
        assert_ne!(start().span_context().trace_id(), ids.trace);
    }
}
