//! Puts the consumer together and runs it until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::lane::Work;
use super::lanes::Lanes;
use super::poll::{self, Context};
use super::watch::Watch;
use super::{ConsumerConfig, ConsumerHandle, DeadLetterSink, Reactions, Subscription};
use crate::kafka::trouble::Trouble;
use crate::retry::Backoff;
use crate::{Pool, dead_letters};

/// How long the brokers may take to answer once.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long Kafka's client may take to close.
const CLOSE: Duration = Duration::from_secs(5);

/// Hears events and has them handled.
pub struct Consumer<R, S> {
    config: ConsumerConfig,
    work: Arc<Work<R, S>>,
}

impl<R: Reactions, S: DeadLetterSink> Consumer<R, S> {
    /// A consumer of these topics. Nothing is read before [`Consumer::run`].
    pub fn new(
        config: ConsumerConfig,
        subscriptions: Vec<Subscription>,
        pool: Pool,
        reactions: Arc<R>,
        sink: S,
    ) -> Self {
        let work = Arc::new(Work {
            handle: ConsumerHandle::new(config.group.clone(), subscriptions),
            room: Semaphore::new((pool.status().max_size / 2).max(1)),
            pool,
            reactions,
            sink,
            batch_records: config.batch_records,
            inbox_reach: config.inbox_reach,
        });
        Self { config, work }
    }

    /// For readiness, timers, and whoever must know whether a topic was read.
    pub fn handle(&self) -> ConsumerHandle {
        self.work.handle.clone()
    }

    /// Runs until told to stop, then lets each lane finish the batch it has in hand and leaves the group. Brokers and
    /// databases that go away are waited for; brokers that were never there, for [`ConsumerConfig::start`]. Must be called
    /// on the main runtime.
    ///
    /// # Errors
    /// librdkafka refuses its configuration or can't go on, or no broker answered at the start.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let stop = shutdown.child_token();
        // whoever drops this future stops the poll thread too
        let _stop_with_this = stop.clone().drop_guard();
        let (work, runtime) = (Arc::clone(&self.work), Handle::current());
        let lanes = Arc::new(Lanes::new(
            &self.config,
            Handle::current(),
            Box::new(move |queue, stop| {
                let work = Arc::clone(&work);
                runtime.spawn(async move { work.run_lane(&queue, &stop).await })
            }),
        ));
        let consumer: BaseConsumer<Context> = self
            .config
            .client()
            .create_with_context(Context::new(Arc::clone(&lanes)))
            .context("Kafka's client refuses its configuration")?;
        let consumer = Arc::new(consumer);
        let answered = tokio::select! {
            answered = self.await_brokers(&consumer) => answered,
            () = stop.cancelled() => Ok(()),
        };
        if answered.is_err() || stop.is_cancelled() {
            close(consumer).await;
            return answered;
        }
        // Not before: whoever asks for brokers polls for what keeps them away, and would lose records.
        self.subscribe(&consumer)?;

        let watch = Watch::new(self.handle(), self.work.pool.clone(), self.config.inbox_reach);
        let watch = tokio::spawn(watch.run(Arc::clone(&consumer), Arc::clone(&lanes), stop.clone()));
        let (work, stopped) = (Arc::clone(&self.work), stop.clone());
        let replays = tokio::spawn(async move { dead_letters::carry_out(&work, &stopped).await });

        let (polled, handle, stopped) = (Arc::clone(&consumer), self.handle(), stop.clone());
        let end = spawn_blocking(move || poll::poll(&polled, &lanes, &handle, &stopped)).await;
        stop.cancel();
        _ = watch.await;
        _ = replays.await;
        close(consumer).await;
        end.context("the poll thread")?
    }

    /// Without them a service that was started too early, or with a wrong address, would be silent about why.
    async fn await_brokers(&self, consumer: &Arc<BaseConsumer<Context>>) -> anyhow::Result<()> {
        let bootstrap = &self.config.brokers.bootstrap;
        let give_up = Instant::now() + self.config.start;
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let asked = Arc::clone(consumer);
            let answer = spawn_blocking(move || poll::ask(&asked, PATIENCE)).await?;
            let Err(Trouble { told, is_final }) = answer else { return Ok(()) };
            if left.is_zero() || is_final {
                anyhow::bail!("Kafka at {bootstrap} does not answer: {told}");
            }
            tracing::warn!(bootstrap, error = told, gives_up_seconds = left.as_secs(), "waiting for Kafka");
            sleep(backoff.next_wait().min(left)).await;
        }
    }

    fn subscribe(&self, consumer: &BaseConsumer<Context>) -> anyhow::Result<()> {
        let topics: Vec<_> = self.work.handle.subscriptions().iter().map(|heard| heard.topic.as_str()).collect();
        consumer.subscribe(&topics).with_context(|| format!("subscribing to {topics:?}"))
    }
}

/// librdkafka's end blocks, and may wait for brokers that are away: on a thread of its own, and not for ever.
async fn close(consumer: Arc<BaseConsumer<Context>>) {
    let (closed, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        drop(consumer);
        _ = closed.send(());
    });
    if timeout(CLOSE, end).await.is_err() {
        tracing::warn!("Kafka's client did not close in time: offsets not yet committed are read again");
    }
}
