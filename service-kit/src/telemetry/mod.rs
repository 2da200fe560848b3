//! The log, the metrics and the spans of a process.

mod described;

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::prelude::*;

use crate::config::{LogFormat, TelemetryConfig};
use crate::trace;

/// The process's one recorder; the `metrics` facade is global by design.
static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

type Look = Box<dyn Fn() + Send>;

/// What is measured whenever somebody asks for `/metrics`.
static LOOKS: Mutex<Vec<Look>> = Mutex::new(Vec::new());

/// How often the samples of histograms are summed up.
const UPKEEP: Duration = Duration::from_secs(2);
static UPKEEPS: AtomicU64 = AtomicU64::new(0);

/// The bounds of every `..._seconds` histogram, from half a millisecond to half a minute. Objectives are measured at 2 s and
/// 5 s, so both are among them.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];
/// The bounds of every `..._age_seconds` histogram, from a second to a month.
const AGES: &[f64] = &[1.0, 10.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0, 259_200.0, 604_800.0, 2_592_000.0];
/// The bounds of every `..._size` and `..._records` histogram, in rows.
const SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0];

/// Starts the log (on standard error) and the metrics of this process, labelled with `service`, and, within a runtime, the
/// export of its spans where there is a collector.
///
/// # Errors
/// Fails if they were started before, if the filter can't be read, or if there can be no client for the collector.
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
        .set_buckets_for_metric(Matcher::Suffix("_age_seconds".to_owned()), AGES)?
        .set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), SIZES)?
        .set_buckets_for_metric(Matcher::Suffix("_records".to_owned()), SIZES)?
        // A histogram whose name has no known suffix would otherwise become a summary.
        .set_buckets(SECONDS)?
        .install_recorder()
        .context("metrics were started before")?;
    METRICS.get_or_init(|| recorder);
    described::describe();
    metrics::gauge!("build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let process = metrics_process::Collector::default();
    process.describe();
    at_each_look(move || process.collect());
    std::thread::Builder::new().name("metrics".to_owned()).spawn(keep_up).context("the thread for metrics")?;
    config.tracing.as_ref().map_or(Ok(()), |tracing| trace::start(service, tracing))
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

/// Runs `look` before each answer of `/metrics`, for what has a value at any time. It must be quick. Does nothing if telemetry
/// was not started, as in tests.
pub fn at_each_look(look: impl Fn() + Send + 'static) {
    if METRICS.get().is_some() {
        LOOKS.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(look));
    }
}

/// The answer of `/metrics`, in Prometheus' text format. Empty if telemetry was not started, as in tests.
pub fn render_metrics() -> String {
    LOOKS.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|look| look());
    METRICS
        .get()
        .map(|metrics| {
            metrics.run_upkeep();
            metrics.render()
        })
        .unwrap_or_default()
}
