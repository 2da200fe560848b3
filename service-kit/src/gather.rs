//! Concurrent work is done in batches: while one batch is written, the next one gathers. Nobody waits for company beyond that: it
//! was measured, and saved statements but no CPU.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::sleep;

/// Work that takes longer, as for a lock, no longer keeps the next batch from its turn.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where items wait that are done together. A single one waits for nobody.
#[derive(Debug)]
pub struct Gather<T, R> {
    waiting: Mutex<Vec<Waiting<T, R>>>,
    items: AtomicU64,
    /// How many batches may be in work at once.
    turns: Arc<Semaphore>,
    at_most: usize,
    size: fn(&T) -> usize,
}

#[derive(Debug)]
struct Waiting<T, R> {
    /// Which of the items.
    number: u64,
    item: T,
    tell: oneshot::Sender<R>,
}

/// One batch at a time, of at most 64 items.
impl<T, R> Default for Gather<T, R> {
    fn default() -> Self {
        Self::new(1, 64, |_| 1)
    }
}

/// The work ended without an outcome, as by a panic.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the work that this was a part of came to no end")]
pub struct Unfinished;

impl<T, R> Gather<T, R> {
    /// `at_once` batches are in work at a time. One has at most `at_most` in it, by the items' `size`; an item that is larger
    /// is a batch by itself.
    pub fn new(at_once: usize, at_most: usize, size: fn(&T) -> usize) -> Self {
        Self {
            waiting: Mutex::default(),
            items: AtomicU64::new(0),
            turns: Arc::new(Semaphore::new(at_once.max(1))),
            at_most,
            size,
        }
    }

    /// Has `item` done together with the others that wait: `work` returns an outcome for each item, in their order. The
    /// caller whose turn comes first does the work for all. If it is cancelled, so is the work.
    ///
    /// # Errors
    /// The work came to no end.
    pub async fn join_in<F>(&self, item: T, work: impl Fn(Vec<T>) -> F) -> Result<R, Unfinished>
    where
        F: Future<Output = Vec<R>>,
    {
        let mut caller = self.wait_with(item);
        loop {
            match caller.turn().await {
                Turn::Told(outcome) => return outcome,
                Turn::Leads(items, lead) => lead.until_done(work(items)).await,
            }
        }
    }

    /// Like [`Self::join_in`], but the work is a task of its own, which goes on if its caller is cancelled. The item of a
    /// caller that was cancelled before is not done.
    ///
    /// # Errors
    /// The work came to no end.
    pub async fn join<F>(&self, item: T, work: impl Fn(Vec<T>) -> F) -> Result<R, Unfinished>
    where
        F: Future<Output = Vec<R>> + Send + 'static,
        R: Send + 'static,
    {
        let mut caller = self.wait_with(item);
        loop {
            match caller.turn().await {
                Turn::Told(outcome) => return outcome,
                Turn::Leads(items, lead) => drop(tokio::spawn(lead.until_done(work(items)))),
            }
        }
    }

    fn wait_with(&self, item: T) -> Caller<'_, T, R> {
        let (tell, told) = oneshot::channel();
        let number = self.items.fetch_add(1, Ordering::Relaxed);
        self.waiting().push(Waiting { number, item, tell });
        Caller { gather: self, number, told }
    }

    /// What is to be done next; nothing if somebody has the item of this number in hand already. That caller must not wait for
    /// the work of others too.
    fn next_batch(&self, number: u64) -> (Vec<T>, Vec<oneshot::Sender<R>>) {
        let mut waiting = self.waiting();
        if !waiting.iter().any(|item| item.number == number) {
            return (Vec::new(), Vec::new());
        }
        let (mut batch, mut size) = (0, 0);
        for Waiting { item, .. } in waiting.iter() {
            size += (self.size)(item);
            if batch > 0 && size > self.at_most {
                break;
            }
            batch += 1;
        }
        waiting.drain(..batch).map(|waiting| (waiting.item, waiting.tell)).unzip()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting<T, R>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever leads a batch: who waits for its outcomes, and the turn.
struct Lead<R> {
    tell_all: Vec<oneshot::Sender<R>>,
    turn: OwnedSemaphorePermit,
}

impl<R> Lead<R> {
    async fn until_done(self, work: impl Future<Output = Vec<R>>) {
        let (mut work, mut turn) = (pin!(work), Some(self.turn));
        let outcomes = loop {
            tokio::select! {
                biased;
                outcomes = &mut work => break outcomes,
                () = sleep(PATIENCE), if turn.is_some() => drop(turn.take()),
            }
        };
        // before anybody hears, so that whoever comes next finds the turn free
        drop(turn);
        for (tell, outcome) in self.tell_all.into_iter().zip(outcomes) {
            // whoever was cancelled doesn't ask any more
            let _ = tell.send(outcome);
        }
    }
}

/// A caller that waits for an outcome. If it is cancelled while its item still waits, the item goes with it.
struct Caller<'a, T, R> {
    gather: &'a Gather<T, R>,
    number: u64,
    told: oneshot::Receiver<R>,
}

enum Turn<T, R> {
    Told(Result<R, Unfinished>),
    /// It does this batch, in which its own item may be.
    Leads(Vec<T>, Lead<R>),
}

impl<T, R> Caller<'_, T, R> {
    async fn turn(&mut self) -> Turn<T, R> {
        let turn = tokio::select! {
            biased;
            outcome = &mut self.told => return Turn::Told(outcome.map_err(|_| Unfinished)),
            turn = Arc::clone(&self.gather.turns).acquire_owned() => turn,
        };
        if let Ok(turn) = turn {
            let (items, tell_all) = self.gather.next_batch(self.number);
            if !items.is_empty() {
                return Turn::Leads(items, Lead { tell_all, turn });
            }
        }
        // Somebody else has its item in hand. It has no turn any more, so that others can have it.
        Turn::Told((&mut self.told).await.map_err(|_| Unfinished))
    }
}

impl<T, R> Drop for Caller<'_, T, R> {
    fn drop(&mut self) {
        self.told.close();
        self.gather.waiting().retain(|waiting| !waiting.tell.is_closed());
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::eventually;

    const SOON: Duration = Duration::from_secs(10);

    /// Notes how many were done together, once the gate is open.
    async fn sizes_of(first: usize, behind: usize) -> Vec<usize> {
        let gather = Arc::new(Gather::<usize, usize>::new(first, 64, |_| 1));
        let (sizes, gate) = (Arc::new(Mutex::new(vec![])), Arc::new(tokio::sync::Semaphore::new(0)));
        let join = |item| {
            let (gather, sizes, gate) = (gather.clone(), sizes.clone(), gate.clone());
            tokio::spawn(async move {
                let work = |items: Vec<usize>| {
                    sizes.lock().unwrap().push(items.len());
                    let gate = gate.clone();
                    async move {
                        drop(gate.acquire().await);
                        items
                    }
                };
                assert_eq!(gather.join(item, work).await.unwrap(), item, "each gets its own outcome");
            })
        };
        let mut joined: Vec<_> = (0..first).map(join).collect();
        eventually("the first are at work", SOON, async || sizes.lock().unwrap().len() == first).await;
        joined.extend((first..first + behind).map(join));
        let all_wait = async || gather.waiting.lock().unwrap().len() == behind;
        eventually("the others wait", SOON, all_wait).await;
        gate.add_permits(1);
        for one in joined {
            one.await.unwrap();
        }
        let sizes = sizes.lock().unwrap();
        sizes.clone()
    }

    #[tokio::test]
    async fn what_comes_meanwhile_is_done_together_and_who_is_alone_waits_for_nobody() {
        assert_eq!(sizes_of(1, 10).await, [1, 10]);
        assert_eq!(sizes_of(1, 100).await, [1, 64, 36]);
        assert_eq!(sizes_of(2, 10).await, [1, 1, 10], "two at once");
    }

    #[tokio::test]
    async fn the_item_of_a_caller_who_is_cancelled_while_it_waits_is_not_done() {
        let gather = Arc::new(Gather::<&str, ()>::new(1, 64, |_| 1));
        let turn = gather.turns.clone().acquire_owned().await;
        let done = Arc::new(Mutex::new(vec![]));
        let join = |item| {
            let (gather, done) = (gather.clone(), done.clone());
            tokio::spawn(async move {
                let work = |items: Vec<&'static str>| {
                    let outcomes = vec![(); items.len()];
                    done.lock().unwrap().extend(items);
                    async move { outcomes }
                };
                gather.join(item, work).await
            })
        };
        let (cancelled, stays) = (join("cancelled"), join("stays"));
        eventually("both wait", SOON, async || gather.waiting().len() == 2).await;
        cancelled.abort();
        assert!(cancelled.await.unwrap_err().is_cancelled());
        assert_eq!(gather.waiting().iter().map(|waiting| waiting.item).collect::<Vec<_>>(), ["stays"]);
        drop(turn);
        stays.await.unwrap().unwrap();
        assert_eq!(*done.lock().unwrap(), ["stays"]);
    }

    #[tokio::test]
    async fn who_waits_hears_of_work_that_panicked() {
        let gather = Gather::<(), ()>::new(1, 64, |()| 1);
        let panics = |_| async { panic!("as work can") };
        assert!(gather.join((), panics).await.is_err());
    }

    #[tokio::test]
    async fn a_batch_is_bounded_by_the_size_of_its_items_and_a_larger_one_is_done_by_itself() {
        let gather = Gather::<usize, usize>::new(1, 64, |item| *item);
        let callers = [40, 24, 1, 100, 2].map(|item| gather.wait_with(item));
        let last = callers[4].number;
        let batches = std::iter::from_fn(|| Some(gather.next_batch(last).0).filter(|batch| !batch.is_empty()));
        assert_eq!(batches.collect::<Vec<_>>(), [vec![40, 24], vec![1], vec![100], vec![2]]);
    }

    #[tokio::test]
    async fn the_others_of_a_batch_hear_that_the_one_who_did_it_was_cancelled() {
        let gather = Arc::new(Gather::<&str, ()>::new(1, 64, |_| 1));
        let turn = gather.turns.clone().acquire_owned().await;
        let join = |item| {
            let gather = gather.clone();
            tokio::spawn(async move { gather.join_in(item, |_| std::future::pending()).await })
        };
        let leads = join("leads");
        eventually("it waits", SOON, async || gather.waiting().len() == 1).await;
        let follows = join("follows");
        eventually("both wait", SOON, async || gather.waiting().len() == 2).await;
        drop(turn);
        eventually("they are at work", SOON, async || gather.waiting().is_empty()).await;
        leads.abort();
        assert!(follows.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn work_that_takes_long_keeps_nobody_from_the_next_turn_and_whoever_waits_for_it_leads_no_other() {
        let gather = Arc::new(Gather::<&str, &str>::new(1, 64, |_| 1));
        let (begun, gate) = (Arc::new(Mutex::new(vec![])), Arc::new(Semaphore::new(0)));
        let join = |item| {
            let (gather, begun, gate) = (gather.clone(), begun.clone(), gate.clone());
            tokio::spawn(async move {
                let work = |items: Vec<&'static str>| {
                    begun.lock().unwrap().push(items.clone());
                    let stuck = (!items.contains(&"quick")).then(|| gate.clone());
                    async move {
                        if let Some(gate) = stuck {
                            drop(gate.acquire().await);
                        }
                        items
                    }
                };
                gather.join_in(item, work).await
            })
        };
        let turn = gather.turns.clone().acquire_owned().await;
        let stuck = [join("leads"), join("follows")];
        eventually("both wait", SOON, async || gather.waiting().len() == 2).await;
        drop(turn);
        eventually("they are at work", SOON, async || begun.lock().unwrap().len() == 1).await;
        assert_eq!(join("quick").await.unwrap().unwrap(), "quick");
        assert_eq!(*begun.lock().unwrap(), [vec!["leads", "follows"], vec!["quick"]]);
        gate.add_permits(1);
        for one in stuck {
            one.await.unwrap().unwrap();
        }
    }
}
