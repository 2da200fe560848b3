//! Keeps one child alive until the run ends.

use std::{future::Future, process::ExitStatus, sync::Arc, time::Duration};

use nix::sys::signal::Signal;
use quadrille_servers::process::{Identity, ServerProcess};
use quadrille_servers::{Kafka, Postgres};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{backoff::Backoff, registry::Registry};

/// Something that can be started again after it died.
pub(super) trait Supervised: Send + Sync + 'static {
    type Running: Running;

    fn name(&self) -> &'static str;

    fn start(&self) -> impl Future<Output = anyhow::Result<Self::Running>> + Send;

    /// How long it gets to end in order.
    fn patience(&self) -> Duration;
}

/// A living child.
pub(super) trait Running: Send + 'static {
    fn identity(&self) -> &Identity;
    fn wait(&mut self) -> impl Future<Output = std::io::Result<ExitStatus>> + Send;
    fn stop(self, patience: Duration) -> impl Future<Output = anyhow::Result<()>> + Send;
}

impl Running for ServerProcess {
    fn identity(&self) -> &Identity {
        ServerProcess::identity(self)
    }

    async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        ServerProcess::wait(self).await
    }

    async fn stop(self, patience: Duration) -> anyhow::Result<()> {
        ServerProcess::stop(self, Signal::SIGTERM, patience, Signal::SIGKILL).await
    }
}

macro_rules! server_is_running {
    ($server:ty) => {
        impl Running for $server {
            fn identity(&self) -> &Identity {
                <$server>::identity(self)
            }

            async fn wait(&mut self) -> std::io::Result<ExitStatus> {
                <$server>::wait(self).await
            }

            async fn stop(self, patience: Duration) -> anyhow::Result<()> {
                <$server>::stop(self, patience).await
            }
        }
    };
}

server_is_running!(Postgres);
server_is_running!(Kafka);

/// Starts it, starts it again when it dies, ends it when told to stop.
pub(super) async fn keep_alive<S: Supervised>(child: S, registry: Arc<Registry>, stop: CancellationToken) {
    keep_alive_from(child, None, registry, stop).await;
}

/// The same for a child that runs already.
pub(super) async fn keep_alive_from<S: Supervised>(
    child: S,
    mut running: Option<S::Running>,
    registry: Arc<Registry>,
    stop: CancellationToken,
) {
    let name = child.name();
    let mut backoff = Backoff::default();
    loop {
        let since = Instant::now();
        let started = match running.take() {
            Some(running) => Ok(running),
            None => match stop.run_until_cancelled(child.start()).await {
                Some(started) => started,
                None => return,
            },
        };
        match started {
            Ok(mut process) => {
                registry.started(name, process.identity());
                let Some(ended) = stop.run_until_cancelled(process.wait()).await else {
                    if let Err(error) = process.stop(child.patience()).await {
                        tracing::error!(name, "{error:#}");
                    }
                    registry.ended(name);
                    return;
                };
                registry.ended(name);
                match ended {
                    Ok(status) => tracing::warn!(name, %status, "died; it is started again"),
                    Err(error) => tracing::warn!(name, %error, "lost; it is started again"),
                }
            }
            Err(error) => tracing::error!(name, "can't be started: {error:#}"),
        }
        let wait = backoff.after_life_of(since.elapsed());
        if stop.run_until_cancelled(sleep(wait)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::addresses::Addresses;

    struct Sleeper(PathBuf);

    impl Supervised for Sleeper {
        type Running = ServerProcess;

        fn name(&self) -> &'static str {
            "sleeper"
        }

        async fn start(&self) -> anyhow::Result<ServerProcess> {
            let mut command = tokio::process::Command::new("sleep");
            command.arg("600");
            ServerProcess::spawn("sleeper", command, &self.0)
        }

        fn patience(&self) -> Duration {
            Duration::from_secs(5)
        }
    }

    async fn alive(data: &std::path::Path, other_than: Option<i32>) -> Identity {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let found = Addresses::read(data).unwrap().and_then(|mut found| found.processes.remove("sleeper"));
            match found {
                Some(identity) if Some(identity.pid) != other_than => return identity,
                _ => assert!(Instant::now() < until, "no living child is on record"),
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_killed_child_comes_back_and_is_ended_with_the_run() {
        let data = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let child = Sleeper(data.path().join("log"));
        let supervisor = tokio::spawn(keep_alive(child, Registry::new(data.path()), stop.clone()));
        let first = alive(data.path(), None).await;
        assert!(first.signal(Signal::SIGKILL));
        let second = alive(data.path(), Some(first.pid)).await;
        stop.cancel();
        supervisor.await.unwrap();
        assert!(!second.is_alive());
        assert!(Addresses::read(data.path()).unwrap().unwrap().processes.is_empty());
    }
}
