//! Looks after the inbox, every minute: its reach, its partitions, and which event ids it can hold.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::inbox::{self, Reach};
use super::{ConsumerHandle, Mode, reach};
use crate::Pool;
use crate::kafka::Brokers;
use crate::retry::{Backoff, Recurring};

/// How often the inbox is looked after, and how often the brokers are asked while they haven't reported the retention
/// of every topic.
const LOOK: Duration = Duration::from_secs(60);
/// The first wait after a failure. It is short because the lanes wait for the first success.
const AT_FIRST: Duration = Duration::from_millis(250);
/// How often the brokers are asked once they have reported the retention of every topic.
const ASK_AGAIN: Duration = Duration::from_secs(60 * 60);

pub(crate) struct InboxKeeper {
    handle: ConsumerHandle,
    pool: Pool,
    brokers: Brokers,
    archived: Option<Duration>,
    /// When the retention of every topic was last stored.
    told_at: Option<Instant>,
    /// The gap in the brokers' answer that was logged last.
    untold: Option<String>,
}

impl InboxKeeper {
    pub const fn new(handle: ConsumerHandle, pool: Pool, brokers: Brokers, archived: Option<Duration>) -> Self {
        Self { handle, pool, brokers, archived, told_at: None, untold: None }
    }

    pub async fn run(mut self, stop: CancellationToken) {
        let (mut failures, mut backoff) = (Recurring::default(), Backoff::new(AT_FIRST, LOOK));
        loop {
            let looked = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                looked = self.look() => looked,
            };
            if failures.is_news(&looked)
                && let Err(error) = &looked
            {
                tracing::warn!(error = %format!("{error:#}"), "the upkeep of the inbox failed; it is retried");
            }
            let wait = match looked {
                Ok(()) => {
                    backoff.reset();
                    LOOK
                }
                Err(_) => backoff.next_wait(),
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(wait) => {}
            }
        }
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        let reach = self.reach().await;
        let mut conn = self.pool.get().await?;
        let reaches = inbox::upkeep(&mut conn, reach).await.context("the inbox's partitions")?;
        if reach != Reach::AsBefore && self.untold.is_none() {
            self.told_at = Some(Instant::now()); // the upkeep has just stored it
        }
        let range = inbox::Range::read(&mut conn, None).await?;
        let (Some(reaches), Some(range)) = (reaches, range) else {
            anyhow::bail!("no event is handled before the brokers have reported the retention of the topics once");
        };
        metrics::gauge!("inbox_reach_seconds").set(reaches);
        self.handle.note_range(range);
        Ok(())
    }

    /// The reach that the topics' retention asks for, as the brokers report it now.
    async fn reach(&mut self) -> Reach {
        if self.told_at.is_some_and(|last| last.elapsed() < ASK_AGAIN) {
            return Reach::AsBefore;
        }
        let heard = self.handle.subscriptions().iter().filter(|heard| heard.mode == Mode::Inbox);
        let topics: Vec<_> = heard.map(|heard| heard.topic.clone()).collect();
        let asked = match topics.is_empty() {
            true => Ok(reach::Kept::default()),
            false => reach::kept_by_topics(&self.brokers, &topics).await,
        };
        self.note(match &asked {
            Ok(kept) if kept.untold.is_empty() => None,
            Ok(kept) => Some(format!("the brokers don't report the retention of {}", kept.untold.join(", "))),
            Err(error) => Some(format!("{error:#}")),
        });
        match asked {
            Ok(kept) if kept.untold.is_empty() && !topics.is_empty() => {
                Reach::Known(reach::reach(kept.longest, self.archived))
            }
            Ok(kept) => Reach::AtLeast(reach::reach(kept.longest.or(Some(Duration::ZERO)), self.archived)),
            Err(_) => Reach::AsBefore,
        }
    }

    /// Logs a gap in the brokers' answer once, not every minute.
    fn note(&mut self, untold: Option<String>) {
        if let Some(error) = untold.as_ref().filter(|_| untold != self.untold) {
            tracing::warn!(error, "the inbox keeps its reach, which is 30 days if it was never set");
        }
        self.untold = untold;
    }
}
