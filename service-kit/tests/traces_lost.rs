//! A collector that stands still.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use service_kit::config::{Reader, TelemetryConfig};
use service_kit::telemetry;
use service_kit::testing::eventually;
use service_kit::trace::{Context, Kind, Span, Told, flush};
use tokio::net::TcpListener;

const SPANS: u64 = 10_000;

fn counted(outcome: &str) -> u64 {
    let metrics = telemetry::render_metrics();
    let of = format!("trace_spans_total{{service=\"kit\",outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&of)?.parse().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_collector_says_nothing_spans_are_dropped_and_counted_and_nobody_waits() {
    // It takes connections, and never answers.
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "50"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
        ("RUST_LOG", "off"),
    ];
    let config = Reader::from_pairs(settings).whole(TelemetryConfig::read).unwrap();
    telemetry::init("kit", &config).unwrap();
    let parent = Context::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    for _ in 0..SPANS {
        Span::begin(parent).end(None, || Told::new(Kind::Internal, "work"));
    }
    // Had each waited for the collector, this would still be far away.
    assert!(counted("dropped") > SPANS / 2, "{}", counted("dropped"));
    eventually("a batch is given up", Duration::from_secs(30), async || counted("failed") > 0).await;
    flush().await;
    let all = counted("dropped") + counted("failed");
    assert!(counted("exported") == 0 && (SPANS - 150..=SPANS).contains(&all), "{all}");
}
