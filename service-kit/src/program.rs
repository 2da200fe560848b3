//! The life of a program: it is configured, started, and told to stop.

use tokio_util::sync::CancellationToken;

use crate::config::{Reader, TelemetryConfig};
use crate::{files, shutdown, telemetry, trace};

/// Reads the configuration, begins the log, builds the program and runs it until a signal tells it to stop.
///
/// # Errors
/// Fails if the configuration is wrong, or with what `build` or `run_until` fails with.
pub async fn run<C, A>(
    name: &'static str,
    read: impl FnOnce(&mut Reader) -> Option<C>,
    log: impl FnOnce(&C) -> &TelemetryConfig,
    build: impl AsyncFnOnce(C) -> anyhow::Result<A>,
    run_until: impl AsyncFnOnce(A, CancellationToken) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // This comes before anything that waits: as the first process of a container, it ignores signals that it doesn't
    // handle.
    let stop = shutdown::signal()?;
    let config = Reader::from_env().whole(read)?;
    telemetry::init(name, log(&config))?;
    // Each connection takes two.
    if let Err(error) = files::take_all() {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
    let ended = match stop.run_until_cancelled(build(config)).await {
        Some(Ok(built)) => run_until(built, stop.clone()).await,
        Some(Err(error)) => Err(error),
        None => Ok(()),
    };
    trace::flush().await;
    ended
}
