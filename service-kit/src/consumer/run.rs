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
use super::watch::Watch;
use super::{ConsumerConfig, ConsumerHandle, DeadLetterSink, Mode, Reactions, Subscription};
use crate::kafka::client_errors::ClientError;
use crate::pool::Share;
use crate::retry::{self, Backoff};
use crate::{Pool, dead_letters};

/// How long the brokers may take to answer once.
const PATIENCE: Duration = Duration::from_secs(3);
/// Being replaced twice within this time is no accident.
const REPLACED_AGAIN: Duration = Duration::from_secs(60);
/// How long to wait before joining anew, at most.
const REJOIN: Duration = Duration::from_secs(1);
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
            retrying: Semaphore::new((pool.of(Share::Lanes).most() / 2).max(1)),
            pool: pool.of(Share::Lanes),
            upkeep: pool,
            reactions,
            sink,
            batch_records: config.batch_records,
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
    /// A static member may be told that another took its place when it is itself that came back too soon, as after a
    /// broker's crash: once a minute it joins anew. It also does when a topic was deleted and created anew under it,
    /// which it then reads from its beginning: the inbox knows what was handled.
    ///
    /// # Errors
    /// librdkafka refuses its configuration or can't go on, no broker answered at the start, or another member has the
    /// same `group.instance.id`.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
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
                "another member took this one's place: it joins anew"
            );
            replaced = Some(Instant::now());
            tokio::select! { () = sleep(retry::wait_after(0, REJOIN, REJOIN)) => {}, () = shutdown.cancelled() => return Ok(()) }
        }
    }

    /// From joining the group to leaving it. Brokers that are away when it isn't the `first` time come back.
    async fn membership(&self, shutdown: &CancellationToken, first: bool) -> anyhow::Result<End> {
        let stop = shutdown.child_token();
        // whoever drops this future stops the poll thread too
        let _stop_with_this = stop.clone().drop_guard();
        let (work, runtime) = (Arc::clone(&self.work), Handle::current());
        // What tells the present is read whole by whoever is given it: a database may be new, and know nothing of it, while
        // the group has long read to the end.
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
        // Not before: whoever asks for brokers polls for what keeps them away, and would lose records.
        self.subscribe(&consumer)?;

        let upkeep = &self.work.upkeep;
        let watch = Watch::new(self.handle(), upkeep.clone(), self.config.group_instance_id.clone());
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
        let end = spawn_blocking(move || poll::poll(&polled, &lanes, &handle, &told)).await;
        stop.cancel();
        _ = waker.await;
        _ = watch.await;
        _ = keeper.await;
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
