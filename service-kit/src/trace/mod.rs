//! Traces: where in a trace the current work is, and the spans that tell what it did.
//!
//! The context is W3C's (<https://www.w3.org/TR/trace-context/>). It is kept in the tokio task, goes out with what the task
//! appends or sends, and works without any exporter. Spans are exported by OpenTelemetry's protocol where
//! `OTEL_EXPORTER_OTLP_ENDPOINT` says to whom. A span's id is drawn when it begins, so that the `traceparent` that an event
//! carries names a span that is exported, by whichever process.

mod config;
mod context;
mod export;
pub mod semconv;
mod span;

use std::future::Future;
use std::time::SystemTime;

pub use config::{Sampler, TracingConfig, vars};
pub use context::{Context, child_of, same_child_of};
pub(crate) use export::start;
pub use export::{flush, is_on};
pub use span::{Kind, Span, Told};

tokio::task_local! {
    static CURRENT: Context;
}

/// Where the current task's work is, if it runs within a trace.
pub fn current() -> Option<Context> {
    CURRENT.try_with(|current| *current).ok()
}

/// The `traceparent` of the current task's work, if it runs within a trace.
pub fn current_traceparent() -> Option<String> {
    current().map(|current| current.to_string())
}

/// Runs `work` as the work of this span.
pub fn within<F: Future>(span: Context, work: F) -> impl Future<Output = F::Output> + use<F> {
    CURRENT.scope(span, work)
}

/// Like [`within`], for synchronous work.
pub fn during<T>(span: Context, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(span, work)
}

/// The place in a trace that a `traceparent` names, if spans of that trace are exported. It costs next to nothing where they are
/// not, since the last digit says so.
pub fn exported(traceparent: &str) -> Option<Context> {
    let last = traceparent.bytes().next_back().and_then(|digit| char::from(digit).to_digit(16))?;
    (last % 2 == 1 && is_on()).then(|| Context::parse(traceparent)).flatten().filter(|context| is_exported(*context))
}

/// Whether spans in this trace are exported by this process: its sampler may say otherwise than whoever began the trace.
fn is_exported(context: Context) -> bool {
    context.is_sampled() && is_on() && export::samples(Some(true), context.parts().0)
}

/// Tells of a time in which nothing was done about what `parent` has begun. Only where the trace is sampled: waits are
/// measured for all by metrics.
pub fn waited(parent: Context, since: SystemTime, until: SystemTime, told: impl FnOnce() -> Told) {
    if is_exported(parent) {
        Span::begun_at(Some(parent), since).end_at(until.max(since), None, told);
    }
}
