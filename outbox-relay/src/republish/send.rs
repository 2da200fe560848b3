//! The loop: read a batch, publish it, take note of what is acknowledged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use diesel::result::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::progress::Progress;
use service_kit::retry::Backoff;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Stopped, Window};
use crate::config::RelayConfig;
use crate::kafka::KafkaPublisher;
use crate::publisher::{Failure, OutboxRow, Publisher, Report};
use crate::sql::{self, ReadRow};
use crate::term::int;
use crate::to_record::to_record;

/// How long rows that are under way may still be acknowledged when one of them failed.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often it looks whether the broker is silent.
const LOOK: Duration = Duration::from_millis(500);

pub(super) struct Sending<'a> {
    config: &'a RelayConfig,
    window: &'a Window,
    conn: AsyncPgConnection,
    publisher: &'a mut KafkaPublisher,
    progress: Progress,
    outages: Backoff,
    /// Rows that are not known to be with the broker, with their bytes. They are sent again after an outage.
    in_flight: BTreeMap<i64, (OutboxRow, usize)>,
    in_flight_bytes: usize,
    read_to: i64,
    read_all: bool,
    sent: u64,
    answered: Instant,
    outage: Option<String>,
}

impl<'a> Sending<'a> {
    pub fn new(
        config: &'a RelayConfig,
        window: &'a Window,
        conn: AsyncPgConnection,
        publisher: &'a mut KafkaPublisher,
        progress: Progress,
    ) -> Self {
        Self {
            config,
            window,
            conn,
            publisher,
            progress,
            outages: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
            in_flight: BTreeMap::new(),
            in_flight_bytes: 0,
            read_to: window.after,
            read_all: false,
            sent: 0,
            answered: Instant::now(),
            outage: None,
        }
    }

    /// Sends everything, or what it can before it is told to stop.
    pub async fn all(mut self, stop: &CancellationToken) -> anyhow::Result<u64> {
        while !stop.is_cancelled() {
            while self.has_room() {
                self.read().await?;
            }
            if self.in_flight.is_empty() {
                self.progress.end(self.sent);
                return Ok(self.sent);
            }
            let mut reports = Vec::new();
            tokio::select! {
                () = self.publisher.reports(&mut reports) => self.settle(reports, stop).await?,
                () = sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
            self.tell();
        }
        self.drain().await?;
        self.progress.end(self.sent);
        // The last rows may have been acknowledged only now.
        if self.read_all && self.in_flight.is_empty() {
            return Ok(self.sent);
        }
        let after = self.in_flight.first_key_value().map_or(self.read_to, |(first, _)| first - 1);
        Err(Stopped { sent: self.sent, after }.into())
    }

    fn has_room(&self) -> bool {
        let (bound, batch) = (self.config.in_flight, self.config.batch);
        !self.read_all
            && self.in_flight.len() + batch.rows <= bound.rows.max(batch.rows)
            && self.in_flight_bytes + batch.bytes <= bound.bytes.max(batch.bytes)
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let Window { topic, from, to, .. } = self.window.clone();
        let (rows, bytes) = (int(self.config.batch.rows), int(self.config.batch.bytes));
        let next = sql::ReadArchive { topic, from, to, after: self.read_to, rows, bytes };
        let rows: Vec<ReadRow> = QueryResult::Ok(next.load(&mut self.conn).await?)?;
        let Some(last) = rows.last() else {
            self.read_all = true;
            return Ok(());
        };
        self.read_to = last.id;
        if self.in_flight.is_empty() {
            self.answered = Instant::now();
        }
        let mut batch = Vec::with_capacity(rows.len());
        for row in rows {
            let (id, bytes) = (row.id, row.bytes());
            let Ok((row, _)) = to_record(row, self.config.trace_header.as_deref()) else {
                bail!("row {id} of the archive can't be read: its headers are not pairs of texts");
            };
            self.in_flight_bytes += bytes;
            self.in_flight.insert(id, (row.clone(), bytes));
            batch.push(row);
        }
        self.publisher.publish(&batch);
        Ok(())
    }

    /// Takes note of what is acknowledged. After an outage it sends the rest again, in id order, before anything else.
    async fn settle(&mut self, mut reports: Vec<Report>, stop: &CancellationToken) -> anyhow::Result<()> {
        let failed = reports.iter().any(|report| report.outcome.is_err());
        if failed {
            self.publisher.withdraw(LAST_WORDS, &mut reports).await;
        }
        let (mut outage, mut refused) = (None, None);
        for Report { id, outcome } in reports {
            match outcome {
                Ok(()) => self.acknowledged(id),
                Err(Failure::Refused(why)) => {
                    refused.get_or_insert((id, why));
                }
                Err(Failure::Outage(why)) => outage = Some(why),
            }
        }
        if let Some((id, why)) = refused {
            let after = self.in_flight.first_key_value().map_or(id, |(first, _)| *first) - 1;
            bail!(
                "the broker refused row {id}, or one sent with it: {why}. {} rows are sent, all up to id {after}: mend \
                 the topic's settings and continue with --after {after}",
                self.sent
            );
        }
        if !failed {
            self.outages.reset();
            self.outage = None;
            return Ok(());
        }
        self.outage = outage;
        self.tell();
        let wait = self.outages.next_wait();
        tokio::select! { () = sleep(wait) => {}, () = stop.cancelled() => return Ok(()) }
        let again: Vec<OutboxRow> = self.in_flight.values().map(|(row, _)| row.clone()).collect();
        self.publisher.publish(&again);
        Ok(())
    }

    fn acknowledged(&mut self, id: i64) {
        if let Some((_, bytes)) = self.in_flight.remove(&id) {
            self.in_flight_bytes = self.in_flight_bytes.saturating_sub(bytes);
            self.sent += 1;
            self.answered = Instant::now();
        }
    }

    fn tell(&mut self) {
        let silence = self.answered.elapsed();
        let remark = match &self.outage {
            Some(why) => format!("Kafka can't take rows now: {why}"),
            None if silence > self.config.silence => format!("Kafka has been silent for {} s", silence.as_secs()),
            None => String::new(),
        };
        self.progress.at(self.sent, &remark);
    }

    /// Waits for what is under way, not for ever.
    async fn drain(&mut self) -> anyhow::Result<()> {
        let (patience, never) = (self.config.drain, CancellationToken::new());
        never.cancel(); // nothing is sent again
        let drained = timeout(patience, async {
            while !self.in_flight.is_empty() && self.outage.is_none() {
                let mut reports = Vec::new();
                self.publisher.reports(&mut reports).await;
                self.settle(reports, &never).await?;
            }
            anyhow::Ok(())
        });
        drained.await.unwrap_or(Ok(()))
    }
}
