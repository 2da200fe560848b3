//! A place in a trace, as `traceparent` carries it.

use std::fmt;

use rand::RngExt;
use uuid::Uuid;

use super::export;

/// The flag that says that the trace is exported.
const SAMPLED: u8 = 1;

/// A span, and the trace that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    trace: u128,
    span: u64,
    flags: u8,
}

impl Context {
    /// Reads a `traceparent`. None if it is not valid.
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        if !(is_hex(version, 2) && version != "ff" && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2)) {
            return None;
        }
        let (trace, span) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
        let flags = u8::from_str_radix(flags, 16).ok()?;
        (trace > 0 && span > 0).then_some(Self { trace, span, flags })
    }

    /// A new span in the parent's trace, or the first one of a new trace. Whether it is sampled is for the sampler to say,
    /// which follows the parent unless it was told otherwise.
    pub fn child_of(parent: Option<Self>) -> Self {
        let span = rand::rng().random_range(1..=u64::MAX);
        let trace = parent.map_or_else(|| rand::rng().random_range(1..=u128::MAX), |parent| parent.trace);
        let sampled = export::samples(parent.map(Self::is_sampled), trace);
        let flags = parent.map_or(0, |parent| parent.flags & !SAMPLED) | if sampled { SAMPLED } else { 0 };
        Self { trace, span, flags }
    }

    /// The first span of a new trace whose sampling others have decided.
    pub(crate) fn root(is_sampled: bool) -> Self {
        let root = Self::child_of(None);
        Self { flags: if is_sampled { SAMPLED } else { 0 }, ..root }
    }

    /// Whether the spans of the trace are exported.
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    pub(super) const fn parts(self) -> (u128, u64, u8) {
        (self.trace, self.span, self.flags)
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

/// A `traceparent` with `parent`'s trace id and a new span id. It starts a new trace if `parent` is missing or invalid.
pub fn child_of(parent: Option<&str>) -> String {
    Context::child_of(parent.and_then(Context::parse)).to_string()
}

/// Like [`child_of`], but the span id is always the same for the same `parent` and `what`, so that a message that is
/// sent twice is identical both times.
pub fn same_child_of(parent: &str, what: &str) -> String {
    let name = format!("{parent} {what}");
    let (span, _) = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).as_u64_pair();
    match Context::parse(parent) {
        Some(parent) => Context { span: span.max(1), ..parent }.to_string(),
        None => child_of(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_child_keeps_the_trace_and_gets_a_span_of_its_own() {
        for flags in ["00", "01", "03"] {
            let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
            assert_eq!(Context::parse(&parent).unwrap().to_string(), parent);
            let child = child_of(Some(&parent));
            assert!(child.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && child.ends_with(flags), "{child}");
            assert_ne!(child, parent);
        }
    }

    #[test]
    fn what_is_sent_twice_has_the_same_span_both_times() {
        let child = same_child_of(PARENT, "row 1");
        assert_eq!(child, same_child_of(PARENT, "row 1"));
        assert_ne!(child, same_child_of(PARENT, "row 2"));
        assert!(child.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && Context::parse(&child).is_some());
    }

    #[test]
    fn nonsense_starts_a_new_trace() {
        let upper = PARENT.to_uppercase();
        for nonsense in ["", "00", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "zz-1-2-3", &upper] {
            assert_eq!(Context::parse(nonsense), None);
            assert!(Context::parse(&child_of(Some(nonsense))).is_some());
        }
    }

    #[test]
    fn without_an_exporter_a_new_trace_says_that_nothing_is_recorded() {
        assert!(!Context::child_of(None).is_sampled());
        assert!(Context::root(true).is_sampled());
    }
}
