//! The tasks of a running process, which stop in the order in which work flows through them.

use std::future::Future;

use anyhow::Context;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Tasks that run concurrently, in stages. On shutdown a stage is told to stop only when the stage before it has
/// ended. It must be used on the main runtime.
pub struct Tasks {
    shutdown: CancellationToken,
    stages: Vec<Stage>,
}

struct Stage {
    stop: CancellationToken,
    running: Vec<JoinHandle<anyhow::Result<()>>>,
}

/// How a task may end.
pub trait End: Send + 'static {
    /// Turns the task's result into success or failure.
    ///
    /// # Errors
    /// Fails if the task failed.
    fn end(self) -> anyhow::Result<()>;
}

impl End for () {
    fn end(self) -> anyhow::Result<()> {
        Ok(())
    }
}

impl<E: Into<anyhow::Error> + Send + 'static> End for Result<(), E> {
    fn end(self) -> anyhow::Result<()> {
        self.map_err(Into::into)
    }
}

impl Tasks {
    /// Starts without tasks. `shutdown` stops all stages in turn; `stop` is the token that the first stage is stopped
    /// with.
    pub fn new(shutdown: CancellationToken, stop: CancellationToken) -> Self {
        Self { shutdown, stages: vec![Stage { stop, running: Vec::new() }] }
    }

    /// Begins the next stage and returns the token that stops it.
    pub fn next_stage(&mut self) -> CancellationToken {
        let stop = CancellationToken::new();
        self.stages.push(Stage { stop: stop.clone(), running: Vec::new() });
        stop
    }

    /// Runs a task in the latest stage. When it ends, for whatever reason, everything is told to stop.
    pub fn run<E: End>(&mut self, part: impl Future<Output = E> + Send + 'static) {
        let ends_all = self.shutdown.clone().drop_guard();
        self.run_aside(async move {
            let _ends_all = ends_all;
            part.await.end()
        });
    }

    /// Runs a task that may end by itself without stopping the others.
    pub fn run_aside<E: End>(&mut self, part: impl Future<Output = E> + Send + 'static) {
        let running = tokio::spawn(async move { part.await.end() });
        if let Some(stage) = self.stages.last_mut() {
            stage.running.push(running);
        }
    }

    /// Waits for the shutdown, or until a task of [`Tasks::run`] ends, and then stops one stage after the other.
    ///
    /// # Errors
    /// Fails with the failure of the first task that failed.
    pub async fn until_ended(self) -> anyhow::Result<()> {
        self.shutdown.cancelled().await;
        let mut outcome = Ok(());
        for Stage { stop, running } in self.stages {
            stop.cancel();
            for part in running {
                let ended = part.await.context("a part of the service panicked").flatten();
                outcome = outcome.and(ended);
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use anyhow::anyhow;

    use super::*;

    fn part(
        told: &Arc<Mutex<Vec<&'static str>>>,
        name: &'static str,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let told = Arc::clone(told);
        async move {
            stop.cancelled().await;
            tokio::task::yield_now().await;
            told.lock().unwrap().push(name);
        }
    }

    #[tokio::test]
    async fn a_stage_stops_when_the_one_before_it_has_ended() {
        let (shutdown, stop, told) = (CancellationToken::new(), CancellationToken::new(), Arc::default());
        let mut tasks = Tasks::new(shutdown.clone(), stop.clone());
        tasks.run(part(&told, "requests", stop));
        for name in ["what is heard", "what is published"] {
            let stop = tasks.next_stage();
            tasks.run(part(&told, name, stop));
        }
        shutdown.cancel();
        tasks.until_ended().await.unwrap();
        assert_eq!(*told.lock().unwrap(), ["requests", "what is heard", "what is published"]);
    }

    #[tokio::test]
    async fn a_part_that_ends_by_itself_stops_the_others_and_its_failure_is_told() {
        for (ending, expected) in [(Err(anyhow!("it broke")), Some("it broke")), (Ok(()), None)] {
            let (stop, told) = (CancellationToken::new(), Arc::default());
            let mut tasks = Tasks::new(CancellationToken::new(), stop.clone());
            tasks.run(part(&told, "another", stop));
            tasks.run_aside(async {});
            tasks.next_stage();
            tasks.run(async { ending });
            let ended = tasks.until_ended().await.map_err(|error| error.to_string());
            assert_eq!(ended.err().as_deref(), expected);
            assert_eq!(*told.lock().unwrap(), ["another"]);
        }
    }

    #[tokio::test]
    async fn a_part_that_panics_is_a_failure() {
        let mut tasks = Tasks::new(CancellationToken::new(), CancellationToken::new());
        tasks.run(async { assert!(std::hint::black_box(false), "out of wits") });
        let told = format!("{:#}", tasks.until_ended().await.unwrap_err());
        assert!(told.starts_with("a part of the service panicked"), "{told}");
    }
}
