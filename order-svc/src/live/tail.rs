use std::time::Duration;

use service_kit::Pool;
use service_kit::retry::Backoff;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Batch, Live};
use crate::store::history::{self, Entry};

/// How often it polls while somebody listens.
const LOOK: Duration = Duration::from_millis(100);
/// How often it updates its starting point while nobody listens.
const IDLE: Duration = Duration::from_secs(10);
/// It rests this many times as long as a slow poll took, so polling takes at most a tenth of one connection.
const REST: u32 = 9;
/// How many orders one statement reads.
const AT_ONCE: usize = 500;

/// The one task of a process that polls the histories of orders for new entries.
///
/// It polls rather than listening for notifications. PostgreSQL lets only one transaction at a time commit a
/// `notify`, so notifying would queue all orders behind each other for the sake of streams that may not even be open.
pub struct Tail {
    pool: Pool,
    live: Live,
    /// Everything that transactions below this id wrote has been handed out, or was there before anybody listened.
    from: i64,
}

impl Tail {
    /// Begins with what is committed from now on.
    pub async fn new(pool: Pool, live: Live) -> anyhow::Result<Self> {
        let from = history::oldest_open(&mut *pool.get().await?).await?;
        Ok(Self { pool, live, from })
    }

    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(LOOK, Duration::from_secs(5));
        loop {
            let rest = self.look_once(&mut backoff).await;
            tokio::select! {
                () = sleep(rest) => {}
                () = self.live.woken.notified(), if rest == IDLE => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Polls, and returns how long to rest.
    async fn look_once(&mut self, backoff: &mut Backoff) -> Duration {
        let began = Instant::now();
        match self.look().await {
            Ok(()) if self.live.count() == 0 => IDLE,
            Ok(()) => {
                backoff.reset();
                LOOK.max(began.elapsed() * REST)
            }
            Err(error) => {
                let wait = backoff.next_wait();
                let seconds = wait.as_secs_f64();
                tracing::warn!(%error, next_attempt_seconds = seconds, "streams of orders get no new events now");
                wait
            }
        }
    }

    /// Hands out what was committed since the last poll. A transaction that was open then has an id at or above
    /// `from`, so its entries are found whenever it commits. An entry that is found twice is recognised by its
    /// position.
    async fn look(&mut self) -> anyhow::Result<()> {
        let nobody_listened = self.live.count() == 0;
        let mut conn = self.pool.get().await?;
        let oldest_open = history::oldest_open(&mut conn).await?;
        if nobody_listened {
            // If somebody has subscribed since the check above, `from` must stay, so that they miss nothing that was
            // committed since.
            if self.live.count() == 0 {
                self.from = oldest_open;
            }
            return Ok(());
        }
        let mut changed = history::changed_since(&mut conn, self.from).await?;
        self.live.listeners.keep_heard(&mut changed);
        for some in changed.chunks(AT_ONCE) {
            self.tell(history::from(&mut conn, some).await?);
        }
        self.from = oldest_open;
        Ok(())
    }

    fn tell(&self, entries: Vec<Entry>) {
        for batch in entries.chunk_by(|one, next| one.order_id == next.order_id) {
            let order: Option<Uuid> = batch.first().map(|entry| entry.order_id);
            if let Some(order) = order {
                self.live.listeners.tell(order, &Batch::from(batch));
            }
        }
    }
}
