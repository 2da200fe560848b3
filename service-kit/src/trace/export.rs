//! Sends spans to a collector, off the path of the work: a queue that is bounded, and a task that empties it.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{Sampler, TracingConfig, semconv};
use crate::http_client;
use crate::retry::Recurring;

/// How long a program that ends waits for its last spans to be taken.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// The process's one exporter: like its log and its metrics, it is global.
static EXPORT: OnceLock<Export> = OnceLock::new();

pub(super) struct Export {
    queue: Sender<SpanData>,
    sampler: Sampler,
    pub slow: Duration,
    pub scope: InstrumentationScope,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Export {
    /// Never waits: where there is no room, the span is not even made, and counted.
    pub fn offer(&self, span: impl FnOnce() -> SpanData) {
        match self.queue.try_reserve() {
            Ok(room) => room.send(span()),
            Err(_) => count("dropped", 1),
        }
    }
}

pub(super) fn get() -> Option<&'static Export> {
    EXPORT.get()
}

/// Whether spans are exported.
pub fn is_on() -> bool {
    EXPORT.get().is_some()
}

/// Whether a new span of this trace is sampled. Without an exporter the caller's word is passed on, and new traces are not.
pub(super) fn samples(parent: Option<bool>, trace: u128) -> bool {
    EXPORT.get().map_or_else(|| parent.unwrap_or_default(), |export| export.sampler.samples(parent, trace))
}

/// Starts the export of this process's spans.
///
/// # Errors
/// It was started before, or the client for the collector can't be made.
pub(crate) fn start(service: &'static str, config: &TracingConfig) -> anyhow::Result<()> {
    let exporter = exporter(service, config)?;
    let (queue, spans) = mpsc::channel(config.queue);
    let stop = CancellationToken::new();
    let (batch, delay, timeout) = (config.batch, config.delay, config.timeout);
    let sending = Sending { exporter, spans, batch, delay, timeout, failures: Recurring::default() };
    let scope = InstrumentationScope::builder("quadrille")
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(semconv::SCHEMA_URL)
        .build();
    let task = Mutex::new(Some(tokio::spawn(sending.run(stop.clone()))));
    let export = Export { queue, sampler: config.sampler, slow: config.slow, scope, stop, task };
    EXPORT.set(export).map_err(|_| anyhow::anyhow!("tracing was started before"))?;
    count_from_nothing();
    tracing::info!(endpoint = %config.endpoint.origin().ascii_serialization(), "spans are exported");
    Ok(())
}

fn exporter(service: &'static str, config: &TracingConfig) -> anyhow::Result<OtlpExporter> {
    let client = http_client::builder(&config.endpoint).build().context("the client for spans")?;
    let mut exporter = OtlpExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(config.endpoint.as_str())
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(config.timeout)
        .with_headers(config.headers().into_iter().collect())
        .build()
        .context("the exporter of spans")?;
    let attributes = config.attributes.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    let name = config.service_name.clone().unwrap_or_else(|| service.to_owned());
    let resource = Resource::builder_empty()
        .with_attribute(KeyValue::new(semconv::SERVICE_VERSION, env!("CARGO_PKG_VERSION")))
        .with_attributes(attributes)
        .with_attribute(KeyValue::new(semconv::SERVICE_NAME, name))
        .build();
    exporter.set_resource(&resource);
    Ok(exporter)
}

/// Sends what still waits, for a few seconds at most. Nothing is exported after it.
pub async fn flush() {
    let Some(export) = EXPORT.get() else { return };
    export.stop.cancel();
    let task = export.task.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(task) = task
        && timeout(LAST_SPANS, task).await.is_err()
    {
        tracing::warn!("the last spans were not taken in time");
    }
}

struct Sending<E> {
    exporter: E,
    spans: Receiver<SpanData>,
    batch: usize,
    delay: Duration,
    timeout: Duration,
    failures: Recurring,
}

impl<E: SpanExporter> Sending<E> {
    async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::new();
        while !stop.is_cancelled() {
            self.gather(&mut batch, &stop).await;
            self.send(std::mem::take(&mut batch)).await;
        }
        self.spans.close();
        while self.spans.recv_many(&mut batch, self.batch).await > 0 {
            self.send(std::mem::take(&mut batch)).await;
        }
    }

    /// Waits for a first span and for its company: until there are enough, or none may wait longer.
    async fn gather(&mut self, batch: &mut Vec<SpanData>, stop: &CancellationToken) {
        let mut until = None;
        while batch.len() < self.batch {
            let room = self.batch - batch.len();
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => return,
                taken = self.spans.recv_many(batch, room) => {
                    if taken == 0 {
                        return;
                    }
                    until.get_or_insert_with(|| Instant::now() + self.delay);
                }
            }
        }
    }

    /// What the collector does not take is lost: spans are not worth more memory than the queue's.
    async fn send(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len();
        if spans == 0 {
            return;
        }
        let sent = match timeout(self.timeout, self.exporter.export(batch)).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        if self.failures.is_news(&sent)
            && let Err(error) = &sent
        {
            tracing::warn!(error, "the collector of OTEL_EXPORTER_OTLP_ENDPOINT does not take spans: they are lost");
        }
        count(if sent.is_ok() { "exported" } else { "failed" }, spans);
    }
}

/// Lost spans are counted from 0 on, since an increase from nothing to 1 is none to Prometheus.
fn count_from_nothing() {
    ["exported", "failed", "dropped"].into_iter().for_each(|outcome| count(outcome, 0));
}

fn count(outcome: &'static str, spans: usize) {
    metrics::counter!("trace_spans_total", "outcome" => outcome).increment(spans as u64);
}
