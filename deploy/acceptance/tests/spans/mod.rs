//! An OpenTelemetry collector of a test's own, and what it was told.
#![allow(dead_code, clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

pub mod hops;

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// Takes spans by OTLP over HTTP, as a collector does.
pub struct Collector(MockServer);

impl Collector {
    pub async fn start() -> Self {
        let server = MockServer::start().await;
        let traces = Mock::given(method("POST")).and(path("/v1/traces"));
        let traces = traces.and(header("content-type", "application/x-protobuf"));
        traces.respond_with(ResponseTemplate::new(200)).mount(&server).await;
        Self(server)
    }

    /// What makes a shop send its spans here, and at once.
    pub fn settings(&self) -> String {
        format!("OTEL_EXPORTER_OTLP_ENDPOINT={} OTEL_BSP_SCHEDULE_DELAY=200", self.0.uri())
    }

    /// All that it was told until now.
    pub async fn spans(&self) -> Vec<Span> {
        let requests = self.0.received_requests().await.unwrap();
        let told = requests.iter().map(|request| ExportTraceServiceRequest::decode(&request.body[..]).unwrap());
        told.flat_map(|told| told.resource_spans)
            .flat_map(|of_program| {
                let resource = attributes(of_program.resource.unwrap_or_default().attributes);
                let spans = of_program.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.map(|span| Span::of(&resource["service.name"], span)).collect::<Vec<_>>()
            })
            .collect()
    }
}

#[derive(Debug, Clone)]
pub struct Span {
    pub service: String,
    pub name: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    /// Nanoseconds since 1970.
    pub from: u64,
    pub until: u64,
    pub attributes: BTreeMap<String, String>,
    pub links: Vec<Link>,
    pub failed: bool,
}

#[derive(Debug, Clone)]
pub struct Link {
    pub id: String,
    pub attributes: BTreeMap<String, String>,
}

impl Span {
    fn of(service: &str, span: opentelemetry_proto::tonic::trace::v1::Span) -> Self {
        let link = |link: opentelemetry_proto::tonic::trace::v1::span::Link| Link {
            id: hex(&link.span_id),
            attributes: attributes(link.attributes),
        };
        Self {
            service: service.to_owned(),
            name: span.name,
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            from: span.start_time_unix_nano,
            until: span.end_time_unix_nano,
            attributes: attributes(span.attributes),
            links: span.links.into_iter().map(link).collect(),
            failed: span.status.is_some_and(|status| status.code == StatusCode::Error as i32),
        }
    }

    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// Who did what, about which event: a hop, as a person would note it.
    pub fn hop(&self) -> String {
        let event = self.attribute("cloudevents.event_type");
        format!("{}: {} {event}", self.service, self.name).trim_end().to_owned()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(is) => is.to_string(),
        other => format!("{other:?}"),
    };
    let value = |pair: &KeyValue| pair.value.clone().and_then(|value| value.value).map(text).unwrap_or_default();
    pairs.iter().map(|pair| (pair.key.clone(), value(pair))).collect()
}

/// The spans of one trace.
pub struct Trace {
    pub spans: Vec<Span>,
}

impl Trace {
    pub fn of(all: &[Span], trace: &str) -> Self {
        let mut spans: Vec<_> = all.iter().filter(|span| span.trace == trace).cloned().collect();
        spans.sort_by_key(|span| span.from);
        Self { spans }
    }

    /// Every hop, with how often it comes, as [`hops`] has them. What the database and the gateway do is a part of a hop, and
    /// whether a webhook comes before the answer to a call is for the gateway to say.
    pub fn hops(&self) -> Vec<String> {
        let is_part = |name: &str| {
            let of = |kinds: &[&str]| kinds.iter().any(|kind| name.starts_with(kind));
            of(&["transaction", "database", "wait ", "record ", "webhook "])
        };
        let is_hop = |span: &&Span| !is_part(&span.name) && span.service != "sandbox-gateway";
        let mut counted = BTreeMap::<_, usize>::new();
        self.spans.iter().filter(is_hop).for_each(|span| *counted.entry(span.hop()).or_default() += 1);
        counted.into_iter().map(|(hop, count)| format!("{count} {hop}")).collect()
    }

    /// Hops without their waits, and waits without their hops.
    pub fn lacking_waits(&self) -> Vec<String> {
        let mut due = Vec::new();
        for span in &self.spans {
            let (service, event) = (&span.service, span.attribute("messaging.message.id"));
            match span.name.split_once(' ') {
                Some(("send", topic)) => due.push(format!("{service} wait outbox {event} {topic}")),
                Some(("process", _)) if span.attribute("messaging.operation.name") == "replay" => {
                    due.push(format!("{service} wait dead_letters {event} "));
                }
                Some(("process", topic)) => due.push(format!("{service} wait {topic} {event} ")),
                Some((worker @ ("gateway" | "mail"), _)) => {
                    due.extend(["wait", "record"].map(|part| format!("{service} {part} {worker}  ")));
                }
                _ => {}
            }
        }
        let is_wait = |span: &&Span| span.name.starts_with("wait ") || span.name.starts_with("record ");
        let told = self.spans.iter().filter(is_wait).map(|span| {
            let topic = if span.name == "wait outbox" { span.attribute("messaging.destination.name") } else { "" };
            format!("{} {} {} {topic}", span.service, span.name, span.attribute("messaging.message.id"))
        });
        let mut told: Vec<_> = told.collect();
        let mut faults = vec![];
        for wait in due {
            match told.iter().position(|told| *told == wait) {
                Some(place) => drop(told.swap_remove(place)),
                None => faults.push(format!("{wait} is not there")),
            }
        }
        faults.extend(told.into_iter().map(|wait| format!("{wait} belongs to nothing")));
        faults
    }

    /// Ids that come twice, and parents that nobody told of, but for the client's own.
    pub fn faults(&self, client: &str) -> Vec<String> {
        let mut faults = vec![];
        let mut ids = BTreeSet::from([client]);
        for span in &self.spans {
            if !ids.insert(&span.id) {
                faults.push(format!("{} came twice", span.hop()));
            }
        }
        let lost = self.spans.iter().filter(|span| !ids.contains(span.parent.as_str()));
        faults.extend(lost.map(|span| format!("the parent of {} is not there", span.hop())));
        let backwards = self.spans.iter().filter(|span| span.until < span.from);
        faults.extend(backwards.map(|span| format!("{} ended before it began", span.hop())));
        faults
    }

    /// The first span of this hop.
    pub fn find(&self, hop: &str) -> &Span {
        let found = self.spans.iter().find(|span| span.hop() == hop);
        found.unwrap_or_else(|| unreachable!("no {hop} in {:#?}", self.hops()))
    }

    /// How much of this time no span tells of, in nanoseconds, and between which hops.
    pub fn unexplained(&self, from: u64, until: u64) -> (u64, Vec<String>) {
        let (mut told_to, mut last, mut unexplained, mut gaps) = (from, "the beginning".to_owned(), 0, vec![]);
        for span in self.spans.iter().filter(|span| span.until > from && span.from < until) {
            if span.from > told_to {
                unexplained += span.from - told_to;
                gaps.push(format!("{} us between {last} and {}", (span.from - told_to) / 1_000, span.hop()));
            }
            if span.until > told_to {
                (told_to, last) = (span.until, span.hop());
            }
        }
        if told_to < until {
            unexplained += until - told_to;
            gaps.push(format!("{} us after {last}", (until - told_to) / 1_000));
        }
        (unexplained, gaps)
    }
}
