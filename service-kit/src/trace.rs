//! The W3C trace context (<https://www.w3.org/TR/trace-context/>) of the current work, kept in the tokio task.

use std::future::Future;

use rand::RngExt;
use uuid::Uuid;

tokio::task_local! {
    static CURRENT: String;
}

/// The `traceparent` of the current task's work, if it runs within a trace.
pub fn current_traceparent() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Runs `work` as a new span of `parent`'s trace, or of a new trace if there is no valid parent.
pub fn within<F: Future>(parent: Option<&str>, work: F) -> impl Future<Output = F::Output> + use<F> {
    CURRENT.scope(child_of(parent), work)
}

/// Like [`within`], for synchronous work.
pub fn during<T>(parent: Option<&str>, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(child_of(parent), work)
}

/// A `traceparent` with `parent`'s trace id and flags and a new span id. It starts a new trace if `parent` is missing
/// or invalid.
pub fn child_of(parent: Option<&str>) -> String {
    let span: u64 = rand::rng().random_range(1..=u64::MAX);
    match parent.and_then(parts) {
        Some((trace, flags)) => format!("00-{trace}-{span:016x}-{flags}"),
        None => format!("00-{:032x}-{span:016x}-01", rand::rng().random_range(1..=u128::MAX)),
    }
}

/// Like [`child_of`], but the span id is always the same for the same `parent` and `what`, so that a message that is
/// sent twice is identical both times.
pub fn same_child_of(parent: &str, what: &str) -> String {
    let name = format!("{parent} {what}");
    let (span, _) = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).as_u64_pair();
    match parts(parent) {
        Some((trace, flags)) => format!("00-{trace}-{:016x}-{flags}", span.max(1)),
        None => child_of(None),
    }
}

fn parts(traceparent: &str) -> Option<(&str, &str)> {
    let mut parts = traceparent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let nonzero = |text: &str| text.bytes().any(|b| b != b'0');
    (hex(version, 2)
        && version != "ff"
        && hex(trace, 32)
        && nonzero(trace)
        && hex(span, 16)
        && nonzero(span)
        && hex(flags, 2))
    .then_some((trace, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_child_keeps_the_trace_and_gets_a_span_of_its_own() {
        let child = child_of(Some(PARENT));
        assert!(child.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert!(child.ends_with("-01"));
        assert_ne!(child, PARENT);
    }

    #[test]
    fn what_is_sent_twice_has_the_same_span_both_times() {
        let child = same_child_of(PARENT, "row 1");
        assert_eq!(child, same_child_of(PARENT, "row 1"));
        assert_ne!(child, same_child_of(PARENT, "row 2"));
        assert!(child.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && parts(&child).is_some());
    }

    #[test]
    fn nonsense_starts_a_new_trace() {
        for nonsense in ["", "00", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "zz-1-2-3"] {
            assert_eq!(parts(nonsense), None);
            assert!(parts(&child_of(Some(nonsense))).is_some());
        }
    }

    #[tokio::test]
    async fn work_knows_its_trace() {
        assert_eq!(current_traceparent(), None);
        let seen = within(Some(PARENT), async { current_traceparent() }).await;
        assert!(seen.is_some_and(|seen| seen.contains("4bf92f3577b34da6a3ce929d0e0e4736")));
    }
}
