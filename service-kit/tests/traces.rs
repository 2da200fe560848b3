//! What a collector is told.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span as Received;
use prost::Message;
use service_kit::config::{Reader, TelemetryConfig};
use service_kit::telemetry;
use service_kit::trace::{self, Context, Kind, Span, Told, flush, waited};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-5bf92f3577b34da6a3ce929d0e0e4736-10f067aa0ba902b7-00";

fn told(name: &'static str) -> impl FnOnce() -> Told {
    move || Told::new(Kind::Internal, name).with("a", 1_i64)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_told_of_sampled_traces_and_of_what_failed_or_took_long_in_others() {
    let collector = MockServer::start().await;
    let traces = Mock::given(method("POST")).and(path("/v1/traces")).and(header("x-tenant", "shop"));
    traces
        .and(header("content-type", "application/x-protobuf"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&collector)
        .await;
    let uri = collector.uri();
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", uri.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("TRACE_KEEP_SLOWER_THAN", "5s"),
        ("RUST_LOG", "off"),
    ];
    let config = Reader::from_pairs(settings).whole(TelemetryConfig::read).unwrap();
    telemetry::init("kit", &config).unwrap();

    let (sampled, unsampled) = (Context::parse(SAMPLED), Context::parse(UNSAMPLED));
    let sent = Span::begin(sampled);
    sent.end(None, told("sampled"));
    Span::begin(unsampled).end(None, told("unsampled"));
    Span::begin(unsampled).end(Some("503".into()), told("failed"));
    let now = SystemTime::now();
    let earlier = now - Duration::from_secs(6);
    Span::begun_at(unsampled, earlier).end_at(now, None, told("slow"));
    waited(unsampled.unwrap(), earlier, now, told("unsampled wait"));
    waited(sampled.unwrap(), earlier, now, told("wait"));
    Span::begin(None).end(None, || told("root")().linked(sent.context(), Some(("how", "so"))));
    assert!(trace::exported(SAMPLED).is_some() && trace::exported(UNSAMPLED).is_none());
    flush().await;

    let requests = collector.received_requests().await.unwrap();
    let mut spans = BTreeMap::new();
    for request in requests {
        let told = ExportTraceServiceRequest::decode(&request.body[..]).unwrap();
        for of_program in told.resource_spans {
            let names: Vec<_> = of_program.resource.unwrap().attributes.into_iter().map(|pair| pair.key).collect();
            for name in ["service.name", "service.version", "deployment.environment.name"] {
                assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
            }
            let of_scopes = of_program.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(of_scopes.map(|span| (span.name.clone(), span)));
        }
    }
    assert_eq!(spans.keys().collect::<Vec<_>>(), ["failed", "root", "sampled", "slow", "wait"]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let traceparent = |span: &Received| format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id));
    assert_eq!(traceparent(&spans["sampled"]), sent.context().to_string(), "the id that children know");
    assert_eq!(hex(&spans["sampled"].parent_span_id), "00f067aa0ba902b7");
    assert_eq!(spans["wait"].end_time_unix_nano - spans["wait"].start_time_unix_nano, 6_000_000_000);
    assert_eq!(hex(&spans["root"].parent_span_id), "");
    assert_eq!(spans["root"].links[0].span_id, spans["sampled"].span_id);
    let kept = |span: &Received| span.attributes.iter().any(|pair| pair.key == "quadrille.kept");
    assert_eq!(spans.values().filter(|span| kept(span)).count(), 2);
    let metrics = telemetry::render_metrics();
    assert!(metrics.contains("trace_spans_total{service=\"kit\",outcome=\"exported\"} 5"), "{metrics}");
}
