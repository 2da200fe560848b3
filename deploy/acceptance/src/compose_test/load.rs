//! Customers who keep ordering while things are broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use quadrille::api::Api;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::book::{Book, Plan};
use super::buyer;

/// Six orders a second.
const BETWEEN_ORDERS: Duration = Duration::from_millis(167);
/// The longest that nothing may be accepted while everything is well.
const STANDSTILL: Duration = Duration::from_secs(60);

/// A steady stream of orders of all kinds, each followed to its end.
#[derive(Debug)]
pub(super) struct Load {
    pub book: Book,
    api: Api,
    buyers: TaskTracker,
    resting: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl Load {
    /// Nobody orders before [`Load::begin`].
    pub fn new(api: Api) -> Self {
        Self {
            book: Book::default(),
            api,
            buyers: TaskTracker::new(),
            resting: Arc::new(AtomicBool::new(false)),
            stop: CancellationToken::new(),
        }
    }

    pub fn begin(&self) {
        let (api, book, buyers) = (self.api.clone(), self.book.clone(), self.buyers.clone());
        let (resting, stop) = (Arc::clone(&self.resting), self.stop.clone());
        tokio::spawn(async move {
            let mut ticks = interval(BETWEEN_ORDERS);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for number in 0.. {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = stop.cancelled() => return,
                }
                if !resting.load(Ordering::Relaxed) {
                    order(&api, &book, &buyers, number);
                }
            }
        });
    }

    /// Places this many orders at once, beside the stream.
    pub fn burst(&self, count: usize) {
        for number in 0..count {
            order(&self.api, &self.book, &self.buyers, number);
        }
    }

    pub fn one_of_each(&self) {
        for number in [0, 3, 5, 7, 9] {
            order(&self.api, &self.book, &self.buyers, number);
        }
    }

    /// No new orders until [`Load::go_on`]; those that were begun are followed.
    pub fn rest(&self) {
        self.resting.store(true, Ordering::Relaxed);
    }

    pub fn go_on(&self) {
        self.resting.store(false, Ordering::Relaxed);
    }

    /// Waits, up to a minute, until so many more orders were accepted.
    pub async fn accepts(&self, count: usize) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.book.accepted_since(began) < count {
            if began.elapsed() >= STANDSTILL {
                bail!("{} orders of {count} were accepted within a minute", self.book.accepted_since(began));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// No more orders; waits until all have ended. Fails if one didn't, or ended otherwise than it should.
    pub async fn finish(&self, within: Duration) -> anyhow::Result<String> {
        self.stop.cancel();
        self.buyers.close();
        self.book.settled(within).await?;
        Ok(format!("{} orders placed, each with a key that its retries kept", self.book.all().len()))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn order(api: &Api, book: &Book, buyers: &TaskTracker, number: usize) {
    let (plan, quantity) = (Plan::of(number), 1 + u32::try_from(number % 3).unwrap_or(0));
    let number = book.open(plan);
    buyers.spawn(buyer::buy(api.clone(), book.clone(), number, plan, quantity));
}
