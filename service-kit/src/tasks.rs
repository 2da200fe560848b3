//! The parts of a running process, which are stopped in the order in which work flows through them.

use std::future::Future;

use anyhow::Context;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Parts that run side by side, in stages: once told to stop, a stage is told when the one before it has ended. Must be
/// used on the main runtime.
pub struct Tasks {
    shutdown: CancellationToken,
    stages: Vec<Stage>,
}

struct Stage {
    stop: CancellationToken,
    running: Vec<JoinHandle<anyhow::Result<()>>>,
}

/// How a part may end.
pub trait End: Send + 'static {
    /// The failure, if it is one.
    ///
    /// # Errors
    /// When it is.
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
    /// No parts yet; `shutdown` tells all of them to stop. The first stage is the one that `stop` stops.
    pub fn new(shutdown: CancellationToken, stop: CancellationToken) -> Self {
        Self { shutdown, stages: vec![Stage { stop, running: Vec::new() }] }
    }

    /// Begins the next stage; what it returns is cancelled when the stage is to stop.
    pub fn next_stage(&mut self) -> CancellationToken {
        let stop = CancellationToken::new();
        self.stages.push(Stage { stop: stop.clone(), running: Vec::new() });
        stop
    }

    /// Runs a part of the latest stage. When it ends, for whatever reason, everything is told to stop.
    pub fn run<E: End>(&mut self, part: impl Future<Output = E> + Send + 'static) {
        let ends_all = self.shutdown.clone().drop_guard();
        self.run_aside(async move {
            let _ends_all = ends_all;
            part.await.end()
        });
    }

    /// Runs something that may come to its end by itself.
    pub fn run_aside<E: End>(&mut self, part: impl Future<Output = E> + Send + 'static) {
        let running = tokio::spawn(async move { part.await.end() });
        if let Some(stage) = self.stages.last_mut() {
            stage.running.push(running);
        }
    }

    /// Waits until it is told to stop, or a part ends, and stops one stage after the other.
    ///
    /// # Errors
    /// The first part that failed.
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

    /// Notes that it ended once it was told to stop.
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
