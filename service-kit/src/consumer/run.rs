//! Puts the consumer together and runs it until it is told to stop.

use std::sync::Arc;

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::lane::Work;
use super::lanes::Lanes;
use super::poll::{self, Context};
use super::watch::Watch;
use super::{ConsumerConfig, ConsumerHandle, DeadLetterSink, Reactions, Subscription};
use crate::{Pool, dead_letters};

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
    /// databases that go away are waited for. Must be called on the main runtime.
    ///
    /// # Errors
    /// librdkafka refuses its configuration, or can't go on.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let stop = shutdown.child_token();
        let (work, runtime) = (Arc::clone(&self.work), Handle::current());
        let lanes = Arc::new(Lanes::new(
            &self.config,
            Handle::current(),
            Box::new(move |queue, stop| {
                let work = Arc::clone(&work);
                runtime.spawn(async move { work.run_lane(&queue, &stop).await })
            }),
        ));
        let consumer = self.subscribe(Arc::clone(&lanes))?;

        let watch = Watch::new(self.handle(), self.work.pool.clone(), self.config.inbox_reach);
        let watch = tokio::spawn(watch.run(Arc::clone(&consumer), Arc::clone(&lanes), stop.clone()));
        let (work, stopped) = (Arc::clone(&self.work), stop.clone());
        let replays = tokio::spawn(async move { dead_letters::carry_out(&work, &stopped).await });

        let (polled, handle, stopped) = (Arc::clone(&consumer), self.handle(), stop.clone());
        let end = spawn_blocking(move || poll::poll(&polled, &lanes, &handle, &stopped)).await;
        stop.cancel();
        _ = watch.await;
        _ = replays.await;
        // leaving the group takes the partitions away, which drains the lanes; librdkafka calls back on this thread
        spawn_blocking(move || drop(consumer)).await.context("the consumer's end")?;
        end.context("the poll thread")?
    }

    fn subscribe(&self, lanes: Arc<Lanes>) -> anyhow::Result<Arc<BaseConsumer<Context>>> {
        let consumer: BaseConsumer<Context> = self
            .config
            .client()
            .create_with_context(Context::new(lanes))
            .context("Kafka's client refuses its configuration")?;
        let topics: Vec<_> = self.work.handle.subscriptions().iter().map(|heard| heard.topic.as_str()).collect();
        consumer.subscribe(&topics).with_context(|| format!("subscribing to {topics:?}"))?;
        Ok(Arc::new(consumer))
    }
}
