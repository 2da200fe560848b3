//! The log and the metrics of a process.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::prelude::*;

use crate::config::{LogFormat, TelemetryConfig};

/// The process's one recorder; the `metrics` facade is global by design.
static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// How often the samples of histograms are summed up.
const UPKEEP: Duration = Duration::from_secs(2);
static UPKEEPS: AtomicU64 = AtomicU64::new(0);

/// The bounds of every `..._seconds` histogram, from half a millisecond to half a minute.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// The bounds of every `..._size` and `..._records` histogram, in rows.
const SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0];

/// Starts the log (on standard error) and the metrics of this process, labelled with `service`.
///
/// # Errors
/// Fails if they were started before, or if the filter can't be read.
pub fn init(service: &'static str, config: &TelemetryConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.filter).context("RUST_LOG can't be read")?;
    let terminal = std::io::stderr().is_terminal();
    let pretty = match config.format {
        LogFormat::Auto => terminal,
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    if pretty {
        registry.with(layer.with_ansi(terminal).with_target(false)).try_init()
    } else {
        registry.with(layer.json().flatten_event(true).with_current_span(true).with_span_list(false)).try_init()
    }
    .context("the log was started before")?;
    let recorder = PrometheusBuilder::new()
        .add_global_label("service", service)
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), SIZES)?
        .set_buckets_for_metric(Matcher::Suffix("_records".to_owned()), SIZES)?
        // A histogram whose name has no known suffix would otherwise become a summary.
        .set_buckets(SECONDS)?
        .install_recorder()
        .context("metrics were started before")?;
    METRICS.get_or_init(|| recorder);
    std::thread::Builder::new().name("metrics".to_owned()).spawn(keep_up).context("the thread for metrics")?;
    Ok(())
}

/// Sums up the samples of histograms. Without this they pile up until somebody asks for `/metrics`, which may never
/// happen.
fn keep_up() {
    loop {
        std::thread::sleep(UPKEEP);
        if let Some(metrics) = METRICS.get() {
            metrics.run_upkeep();
            UPKEEPS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How often the samples of histograms were summed up since the start, apart from requests for `/metrics`.
pub fn upkeeps() -> u64 {
    UPKEEPS.load(Ordering::Relaxed)
}

/// The answer of `/metrics`, in Prometheus' text format. Empty if telemetry was not started, as in tests.
pub fn render_metrics() -> String {
    METRICS
        .get()
        .map(|metrics| {
            metrics.run_upkeep();
            metrics.render()
        })
        .unwrap_or_default()
}
