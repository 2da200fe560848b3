//! What the poll thread and a lane share: the waiting records and the lane's progress.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::Utc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Record;
use super::wake::Wake;

/// The records of one partition that are not handled yet.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    /// The offset after the last record whose transaction is committed; 0 when there is none yet.
    handled: AtomicI64,
    /// Wakes the poll thread, which stores the lane's progress and resumes its partition if it was full.
    poll: Wake,
}

#[derive(Default)]
struct Waiting {
    records: VecDeque<Record>,
    bytes: usize,
}

impl Queue {
    pub fn new(poll: Wake) -> Self {
        Self { poll, ..Self::default() }
    }

    /// Appends a record. It never refuses one; the poll thread pauses the partition when the queue is full.
    pub fn push(&self, record: Record) {
        let mut waiting = self.waiting();
        waiting.bytes += record.memory();
        waiting.records.push_back(record);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Whether it holds at least this many records or bytes of memory.
    pub fn holds(&self, records: usize, bytes: usize) -> bool {
        let waiting = self.waiting();
        waiting.records.len() >= records || waiting.bytes >= bytes
    }

    /// Waits for records and takes up to `limit`. Returns none once the lane is told to stop: the remaining records
    /// are for the partition's next owner.
    pub async fn take(&self, limit: usize, stop: &CancellationToken) -> Option<Vec<Record>> {
        loop {
            if stop.is_cancelled() {
                return None;
            }
            let batch = self.take_now(limit);
            if !batch.is_empty() {
                return Some(batch);
            }
            tokio::select! {
                () = self.arrived.notified() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn take_now(&self, limit: usize) -> Vec<Record> {
        let mut waiting = self.waiting();
        let count = limit.min(waiting.records.len());
        let mut batch: Vec<_> = waiting.records.drain(..count).collect();
        waiting.bytes -= batch.iter().map(Record::memory).sum::<usize>();
        drop(waiting);
        let now = Utc::now();
        batch.iter_mut().filter_map(|record| record.arrival.as_mut()).for_each(|arrival| arrival.taken = now);
        batch
    }

    /// Notes that everything up to and with this record is committed.
    pub fn note_handled(&self, record: &Record) {
        self.handled.store(record.place.offset + 1, Ordering::Release);
        self.poll.wake();
    }

    /// The next offset to handle, if any record has been handled.
    pub fn handled(&self) -> Option<i64> {
        Some(self.handled.load(Ordering::Acquire)).filter(|next| *next > 0)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // No code that holds this lock can panic half-way, so a poisoned lock still guards a consistent queue.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn record(what: &str) -> Record {
        Record::sent("t", "k", Vec::<(String, String)>::new(), what)
    }

    #[tokio::test]
    async fn records_come_out_in_order_and_in_batches() {
        let (queue, stop) = (Queue::default(), CancellationToken::new());
        let records: Vec<_> = ["a", "b", "c"].map(record).to_vec();
        records.iter().cloned().for_each(|record| queue.push(record));
        assert!(queue.holds(3, usize::MAX) && !queue.holds(4, usize::MAX));
        assert_eq!(queue.take(2, &stop).await.as_deref(), Some(&records[..2]));
        assert_eq!(queue.take(2, &stop).await.as_deref(), Some(&records[2..]));
        assert!(!queue.holds(1, 1));
    }

    #[test]
    fn a_record_that_is_handled_ends_the_rest_of_the_poll_thread() {
        let (wake, longest) = (Wake::default(), Duration::from_secs(60));
        wake.this_thread_rests();
        let queue = Queue::new(wake.clone());
        std::thread::spawn(move || queue.note_handled(&record("a")));
        let began = Instant::now();
        wake.rest(longest);
        assert!(began.elapsed() < longest);
    }

    #[tokio::test]
    async fn a_lane_that_is_told_to_stop_leaves_the_rest() {
        let (queue, stop) = (Queue::default(), CancellationToken::new());
        queue.push(record("a"));
        stop.cancel();
        assert_eq!(queue.take(1, &stop).await, None);
    }
}
