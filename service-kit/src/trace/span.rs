//! A span: it is drawn when work begins, and told when it ends.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::{Context, export, semconv};

/// What a span is about, as OpenTelemetry has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work or a wait inside a process.
    Internal,
    /// A request that is answered.
    Server,
    /// A request that is asked.
    Client,
    /// An event that is sent.
    Producer,
    /// An event that is handled.
    Consumer,
}

impl Kind {
    const fn is_caused_remotely(self) -> bool {
        matches!(self, Self::Server | Self::Consumer)
    }
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Internal => Self::Internal,
            Kind::Server => Self::Server,
            Kind::Client => Self::Client,
            Kind::Producer => Self::Producer,
            Kind::Consumer => Self::Consumer,
        }
    }
}

/// Work that has begun. It is small and holds no memory: what it did is said when it ends, and only if it is exported.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    context: Context,
    parent: Option<Context>,
    since: SystemTime,
}

/// What is told of a span.
#[derive(Debug)]
pub struct Told {
    kind: Kind,
    name: Cow<'static, str>,
    attributes: Vec<KeyValue>,
    links: Vec<Link>,
}

impl Told {
    /// The name is one of few.
    pub fn new(kind: Kind, name: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, name: name.into(), attributes: Vec::with_capacity(8), links: Vec::new() }
    }

    /// An attribute: never what names a person, and no secret.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    /// An attribute, if there is a value.
    #[must_use]
    pub fn maybe(self, key: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// A span of another trace that this one is about too, and what is said of it.
    #[must_use]
    pub fn linked(mut self, to: Context, said: Option<(&'static str, &'static str)>) -> Self {
        let said = said.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
        self.links.push(Link::new(span_context(to, true), said, 0));
        self
    }
}

impl Span {
    /// Begins now, as a child of `parent` or as the first span of a new trace.
    pub fn begin(parent: Option<Context>) -> Self {
        Self::begun_at(parent, SystemTime::now())
    }

    /// Has begun then.
    pub fn begun_at(parent: Option<Context>, since: SystemTime) -> Self {
        Self::known(Context::child_of(parent), parent, since)
    }

    /// One whose id was drawn before.
    pub const fn known(context: Context, parent: Option<Context>, since: SystemTime) -> Self {
        Self { context, parent, since }
    }

    /// What its children have for a parent.
    pub const fn context(&self) -> Context {
        self.context
    }

    /// When it began.
    pub const fn since(&self) -> SystemTime {
        self.since
    }

    /// Ends now. A failure is named by a word of few, without details.
    pub fn end(self, failure: Option<Cow<'static, str>>, told: impl FnOnce() -> Told) {
        if export::is_on() {
            self.end_at(SystemTime::now(), failure, told);
        }
    }

    /// Has ended then. It is exported if its trace is sampled, if it failed, or if it took longer than is usual. (A span
    /// that is kept although its trace is not sampled comes alone: those around it were not kept.)
    pub fn end_at(self, until: SystemTime, failure: Option<Cow<'static, str>>, told: impl FnOnce() -> Told) {
        let Some(export) = export::get() else { return };
        let took = until.duration_since(self.since).unwrap_or_default();
        let kept = match (self.context.is_sampled(), &failure) {
            (true, _) => None,
            (false, Some(_)) => Some("error"),
            (false, None) if took >= export.slow => Some("slow"),
            (false, None) => return,
        };
        export.offer(|| {
            let told = told().maybe(semconv::KEPT, kept).maybe(semconv::ERROR_TYPE, failure.clone());
            self.data(until, failure, told, export.scope.clone())
        });
    }

    fn data(
        self,
        until: SystemTime,
        failure: Option<Cow<'static, str>>,
        told: Told,
        instrumentation_scope: InstrumentationScope,
    ) -> SpanData {
        let mut links = SpanLinks::default();
        links.links = told.links;
        let parent = self.parent.map_or(0, |parent| parent.parts().1);
        SpanData {
            span_context: span_context(self.context, false),
            parent_span_id: SpanId::from_bytes(parent.to_be_bytes()),
            parent_span_is_remote: self.parent.is_some() && told.kind.is_caused_remotely(),
            span_kind: told.kind.into(),
            name: told.name,
            start_time: self.since,
            end_time: until.max(self.since),
            attributes: told.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: failure.map_or(Status::Unset, Status::error),
            instrumentation_scope,
        }
    }
}

fn span_context(context: Context, is_remote: bool) -> SpanContext {
    let (trace, span, flags) = context.parts();
    let (trace, span) = (TraceId::from_bytes(trace.to_be_bytes()), SpanId::from_bytes(span.to_be_bytes()));
    SpanContext::new(trace, span, TraceFlags::new(flags), is_remote, TraceState::NONE)
}
