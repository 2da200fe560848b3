//! One token that tells every part of the process to stop.

use tokio_util::sync::CancellationToken;

/// Returns a token that SIGINT or SIGTERM cancels. It must be called on the runtime.
///
/// A second signal ends the process at once, for whoever can't wait for the drain.
///
/// # Errors
/// Fails if the signal handlers can't be installed.
/// When the signal handlers can't be installed.
pub fn signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        let mut told = false;
        loop {
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            };
            if told {
                tracing::warn!(signal = name, "told to stop again: ending without draining");
                std::process::exit(130);
            }
            told = true;
            tracing::info!(signal = name, "told to stop: draining");
            stop.cancel();
        }
    });
    Ok(token)
}
