//! Concurrent work is done in batches: while one batch is written, the next one gathers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The largest batch.
const AT_MOST: usize = 64;

/// Where items wait that are done together. A single one waits for nobody.
#[derive(Debug)]
pub struct Gather<T, R> {
    waiting: Mutex<Vec<(T, oneshot::Sender<R>)>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl<T, R> Default for Gather<T, R> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), turn: Arc::default() }
    }
}

/// The work ended without an outcome, as by a panic.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the work that this was a part of came to no end")]
pub struct Unfinished;

impl<T: Send + 'static, R: Send + 'static> Gather<T, R> {
    /// Has `item` done together with the others that wait: `work` returns an outcome for each item, in their order. The
    /// caller whose turn comes first starts the work for all in a task of its own, which goes on if that caller is
    /// cancelled. The item of a caller that was cancelled before is not done. Fails with [`Unfinished`] if the work
    /// panics.
    pub async fn join<F>(&self, item: T, work: impl Fn(Vec<T>) -> F) -> Result<R, Unfinished>
    where
        F: Future<Output = Vec<R>> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        self.waiting().push((item, tell));
        let mut caller = Caller { gather: self, told };
        loop {
            let turn = tokio::select! {
                biased;
                outcome = &mut caller.told => return outcome.map_err(|_| Unfinished),
                turn = self.turn.clone().lock_owned() => turn,
            };
            let (items, tell_all) = self.next_batch();
            if items.is_empty() {
                continue;
            }
            let done = work(items);
            tokio::spawn(async move {
                for (tell, outcome) in tell_all.into_iter().zip(done.await) {
                    // whoever was cancelled doesn't ask any more
                    let _ = tell.send(outcome);
                }
                drop(turn);
            });
        }
    }

    fn next_batch(&self) -> (Vec<T>, Vec<oneshot::Sender<R>>) {
        let mut waiting = self.waiting();
        let batch = waiting.len().min(AT_MOST);
        waiting.drain(..batch).unzip()
    }
}

impl<T, R> Gather<T, R> {
    fn waiting(&self) -> MutexGuard<'_, Vec<(T, oneshot::Sender<R>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that waits for an outcome. If it is cancelled while its item still waits, the item goes with it.
struct Caller<'a, T, R> {
    gather: &'a Gather<T, R>,
    told: oneshot::Receiver<R>,
}

impl<T, R> Drop for Caller<'_, T, R> {
    fn drop(&mut self) {
        self.told.close();
        self.gather.waiting().retain(|(_, tell)| !tell.is_closed());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use service_kit::testing::eventually;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    /// Notes how many were done together, once the gate is open.
    async fn sizes_of(first: usize, behind: usize) -> Vec<usize> {
        let gather = Arc::new(Gather::<usize, usize>::default());
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
        eventually("the first is at work", SOON, async || sizes.lock().unwrap().len() == 1).await;
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
    }

    #[tokio::test]
    async fn the_item_of_a_caller_who_is_cancelled_while_it_waits_is_not_done() {
        let gather = Arc::new(Gather::<&str, ()>::default());
        let turn = gather.turn.clone().lock_owned().await;
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
        assert_eq!(gather.waiting().iter().map(|(item, _)| *item).collect::<Vec<_>>(), ["stays"]);
        drop(turn);
        stays.await.unwrap().unwrap();
        assert_eq!(*done.lock().unwrap(), ["stays"]);
    }

    #[tokio::test]
    async fn who_waits_hears_of_work_that_panicked() {
        let gather = Gather::<(), ()>::default();
        let panics = |_| async { panic!("as work can") };
        assert!(gather.join((), panics).await.is_err());
    }
}
