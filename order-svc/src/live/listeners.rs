use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{self, Receiver, Sender, error::TrySendError};
use uuid::Uuid;

use crate::store::history::Entry;

/// New entries of an order's history, oldest first. It may begin with entries that the listener knows.
pub type Batch = Arc<[Entry]>;

/// How many batches may wait for a slow listener. One that falls further behind is disconnected, so that its backlog
/// can't fill the memory; its client reconnects and goes on where it was.
const ROOM: usize = 16;

/// The open streams by order.
#[derive(Default)]
pub struct Listeners(Mutex<Known>);

#[derive(Default)]
struct Known {
    count: usize,
    next: u64,
    of_order: HashMap<Uuid, Vec<(u64, Sender<Batch>)>>,
}

/// A subscription to an order, which ends when it is dropped.
pub struct Listener {
    queue: Receiver<Batch>,
    order: Uuid,
    number: u64,
    all: Arc<Listeners>,
}

impl Listener {
    /// The next batch; none if this listener was too slow and has been disconnected.
    pub async fn next(&mut self) -> Option<Batch> {
        self.queue.recv().await
    }

    /// The batches that are queued, without waiting.
    pub fn rest(&mut self) -> impl Iterator<Item = Batch> {
        std::iter::from_fn(|| self.queue.try_recv().ok())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut known = self.all.known();
        known.remove(self.order, &[self.number]);
    }
}

impl Listeners {
    pub(super) fn join(this: &Arc<Self>, order: Uuid, most: usize) -> Option<Listener> {
        let (sender, queue) = mpsc::channel(ROOM);
        let mut known = this.known();
        if known.count >= most {
            return None;
        }
        let number = known.next;
        known.next += 1;
        known.count += 1;
        known.of_order.entry(order).or_default().push((number, sender));
        known.show();
        Some(Listener { queue, order, number, all: Arc::clone(this) })
    }

    pub(super) fn count(&self) -> usize {
        self.known().count
    }

    /// Keeps only the orders that somebody listens to.
    pub(super) fn keep_heard(&self, changed: &mut Vec<(Uuid, i64)>) {
        let known = self.known();
        changed.retain(|(order, _)| known.of_order.contains_key(order));
    }

    /// Sends new entries to the order's listeners. It never waits.
    pub(super) fn tell(&self, order: Uuid, batch: &Batch) {
        let mut known = self.known();
        let Some(listeners) = known.of_order.get(&order) else { return };
        let failed = |sent: Result<(), TrySendError<Batch>>| sent.is_err();
        let gone: Vec<u64> = listeners
            .iter()
            .filter(|(_, queue)| failed(queue.try_send(Arc::clone(batch))))
            .map(|(number, _)| *number)
            .collect();
        if !gone.is_empty() {
            known.remove(order, &gone);
            metrics::counter!("order_streams_cut_total").increment(gone.len() as u64);
        }
    }

    /// No code that holds this lock can panic half-way, so a poisoned lock still guards a consistent state.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn remove(&mut self, order: Uuid, numbers: &[u64]) {
        let Some(listeners) = self.of_order.get_mut(&order) else { return };
        let before = listeners.len();
        listeners.retain(|(number, _)| !numbers.contains(number));
        self.count -= before - listeners.len();
        if listeners.is_empty() {
            self.of_order.remove(&order);
        }
        self.show();
    }

    fn show(&self) {
        metrics::gauge!("order_streams_open").set(self.count as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Arc::new([])
    }

    #[tokio::test]
    async fn only_those_who_listen_to_the_order_are_told() {
        let all = Arc::new(Listeners::default());
        let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
        let mut of_one = [Listeners::join(&all, one, 9).unwrap(), Listeners::join(&all, one, 9).unwrap()];
        let mut of_other = Listeners::join(&all, other, 9).unwrap();
        all.tell(one, &batch());
        for listener in &mut of_one {
            assert_eq!(listener.rest().count(), 1);
        }
        assert_eq!(of_other.rest().count(), 0);
        let mut changed = vec![(one, 1), (Uuid::now_v7(), 1)];
        all.keep_heard(&mut changed);
        assert_eq!(changed, [(one, 1)]);
    }

    #[tokio::test]
    async fn one_who_does_not_read_is_cut_off_and_holds_up_nobody() {
        let all = Arc::new(Listeners::default());
        let order = Uuid::now_v7();
        let (mut slow, mut quick) =
            (Listeners::join(&all, order, 9).unwrap(), Listeners::join(&all, order, 9).unwrap());
        for _ in 0..=ROOM {
            all.tell(order, &batch());
            assert!(quick.next().await.is_some());
        }
        assert_eq!(all.count(), 1);
        for _ in 0..ROOM {
            assert!(slow.next().await.is_some(), "what it had room for is still told");
        }
        assert!(slow.next().await.is_none());
        drop(slow);
        assert_eq!(all.count(), 1);
        drop(quick);
        assert_eq!(all.count(), 0);
    }

    #[tokio::test]
    async fn there_are_never_more_than_there_may_be() {
        let all = Arc::new(Listeners::default());
        let one = Listeners::join(&all, Uuid::now_v7(), 1);
        assert!(one.is_some() && Listeners::join(&all, Uuid::now_v7(), 1).is_none());
        drop(one);
        assert!(Listeners::join(&all, Uuid::now_v7(), 1).is_some());
    }
}
