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

use super::keeper::InboxKeeper;
use super::lane::Work;
use super::lanes::Lanes;
use super::poll::{self, Context, End};
use super::shared::Together;
use super::watch::Watch;
use super::{ConsumerConfig, ConsumerHandle, DeadLetterSink, Mode, Reactions, Subscription};
use crate::kafka::client_errors::ClientError;
use crate::pool::Share;
use crate::retry::{self, Backoff};
use crate::{Pool, dead_letters};

/// How long one request to the brokers may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// A member that is replaced twice within this time has a namesake, and gives up.
const REPLACED_AGAIN: Duration = Duration::from_secs(60);
/// The longest wait before a replaced member joins again.
const REJOIN: Duration = Duration::from_secs(1);
/// How long closing Kafka's client may take.
const CLOSE: Duration = Duration::from_secs(5);

/// Reads events from Kafka and has them handled.
pub struct Consumer<R, S> {
    config: ConsumerConfig,
    work: Arc<Work<R, S>>,
}

impl<R: Reactions, S: DeadLetterSink> Consumer<R, S> {
    /// A consumer of these topics. It reads nothing before [`Consumer::run`].
    pub fn new(
        config: ConsumerConfig,
        subscriptions: Vec<Subscription>,
        pool: Pool,
        reactions: Arc<R>,
        sink: S,
    ) -> Self {
        let work = Arc::new(Work {
            handle: ConsumerHandle::new(config.group.clone(), subscriptions),
            retrying: Semaphore::new((pool.of(Share::Lanes).most() / 2).max(1)),
            pool: pool.of(Share::Lanes),
            upkeep: pool,
            reactions,
            sink,
            batch_records: config.batch_records,
            together: Together::new(config.transactions, config.shared_records, |batch| batch.len()),
        });
        Self { config, work }
    }

    /// A handle for readiness, timers, and whoever needs to know whether a topic has been read.
    pub fn handle(&self) -> ConsumerHandle {
        self.work.handle.clone()
    }

    /// Runs until told to stop, then lets each lane finish its current batch and leaves the group. It waits for
    /// brokers and databases that go away; it waits for brokers that have never answered only for
    /// [`ConsumerConfig::start`]. It must be called on the main runtime.
    ///
    /// A static member that rejoins too soon, as after a broker's crash, may be told that another member took its
    /// place. So a replaced member joins again, once a minute. It also joins again when a topic was deleted and
    /// created anew. It then reads the topic from the beginning, and the inbox skips what was handled.
    ///
    /// # Errors
    /// Fails if librdkafka refuses its configuration or can't go on, if no broker answered at the start, or if
    /// another member has the same `group.instance.id`.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        self.work.handle.gauge();
        let (mut first, mut replaced) = (true, None::<Instant>);
        loop {
            let ended = self.membership(&shutdown, std::mem::take(&mut first)).await;
            let error = match ended {
                Ok(End::Told) => return Ok(()),
                Ok(End::RecreatedTopics(topics)) => {
                    tracing::warn!(?topics, "topics were deleted and created anew: they are read from their beginning");
                    continue;
                }
                Err(error) => error,
            };
            if !poll::is_replaced(&error) {
                return Err(error);
            }
            let instance = self.config.group_instance_id.as_deref().unwrap_or_default();
            if replaced.is_some_and(|last| last.elapsed() < REPLACED_AGAIN) {
                return Err(error.context(format!(
                    "another member of the group has the GROUP_INSTANCE_ID {instance}: every instance needs a name of its own"
                )));
            }
            tracing::warn!(
                instance,
                error = format!("{error:#}"),
                "another member took this one's place: it joins again"
            );
            replaced = Some(Instant::now());
            tokio::select! { () = sleep(retry::wait_after(0, REJOIN, REJOIN)) => {}, () = shutdown.cancelled() => return Ok(()) }
        }
    }

    /// From joining the group to leaving it. Only the `first` membership gives up on brokers that don't answer: later
    /// ones are known to have existed.
    async fn membership(&self, shutdown: &CancellationToken, first: bool) -> anyhow::Result<End> {
        let stop = shutdown.child_token();
        // If this future is dropped, the guard stops the poll thread too.
        let _stop_with_this = stop.clone().drop_guard();
        let (work, runtime) = (Arc::clone(&self.work), Handle::current());
        // A topic that holds the current state is read whole by each new owner: the database may be new and know
        // nothing of it, while the group's offset is long at the end.
        let subscriptions = self.work.handle.subscriptions().iter();
        let present = subscriptions.filter(|heard| heard.mode == Mode::LatestPerKey).map(|heard| heard.topic.clone());
        let lanes = Arc::new(Lanes::new(
            &self.config,
            present.collect(),
            Handle::current(),
            Box::new(move |queue, stop| {
                let work = Arc::clone(&work);
                runtime.spawn(async move { work.run_lane(&queue, &stop).await })
            }),
        ));
        let mut consumer: BaseConsumer<Context> = self
            .config
            .client()
            .create_with_context(Context::new(Arc::clone(&lanes)))
            .context("Kafka's client refuses its configuration")?;
        let (arrived, ended) = (lanes.wake().clone(), lanes.wake().clone());
        consumer.set_nonempty_callback(move || arrived.wake());
        let consumer = Arc::new(consumer);
        let answered = tokio::select! {
            answered = self.await_brokers(&consumer), if first => answered,
            () = std::future::ready(()), if !first => Ok(()),
            () = stop.cancelled() => Ok(()),
        };
        if answered.is_err() || stop.is_cancelled() {
            close(consumer).await;
            return answered.map(|()| End::Told);
        }
        // This comes after the wait for brokers, which polls the client for errors and would lose records of a
        // subscription.
        self.subscribe(&consumer)?;

        let upkeep = &self.work.upkeep;
        let (instance, principal) = (self.config.group_instance_id.clone(), self.config.brokers.principal());
        let watch = Watch::new(self.handle(), upkeep.clone(), instance, principal.clone());
        let watch = tokio::spawn(watch.run(Arc::clone(&consumer), Arc::clone(&lanes), stop.clone()));
        let (brokers, archived) = (self.config.brokers.clone(), self.config.archived);
        let keeper = InboxKeeper::new(self.handle(), upkeep.clone(), brokers, archived);
        let keeper = tokio::spawn(keeper.run(stop.clone()));
        let (work, stopped) = (Arc::clone(&self.work), stop.clone());
        let replays = tokio::spawn(async move { dead_letters::carry_out(&work, &stopped).await });

        let told = stop.clone();
        let waker = tokio::spawn(async move {
            told.cancelled().await;
            ended.wake();
        });
        let (polled, handle, told) = (Arc::clone(&consumer), self.handle(), stop.clone());
        let end = spawn_blocking(move || poll::poll(&polled, &lanes, &handle, &principal, &told)).await;
        stop.cancel();
        _ = waker.await;
        _ = watch.await;
        _ = keeper.await;
        _ = replays.await;
        close(consumer).await;
        end.context("the poll thread")?
    }

    /// Waits for a broker and logs why none answers, such as a wrong address. Without this, a service that waits
    /// would say nothing.
    async fn await_brokers(&self, consumer: &Arc<BaseConsumer<Context>>) -> anyhow::Result<()> {
        let bootstrap = &self.config.brokers.bootstrap;
        let give_up = Instant::now() + self.config.start;
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let asked = Arc::clone(consumer);
            let answer = spawn_blocking(move || poll::ask(&asked, PATIENCE)).await?;
            let Err(ClientError { told, is_final }) = answer else { return Ok(()) };
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

/// Closes librdkafka's client on a thread of its own, and waits for a limited time: closing blocks while brokers are
/// away.
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
