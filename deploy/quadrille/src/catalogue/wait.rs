//! Asking a service that may not be there yet.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use reqwest::{Response, StatusCode};
use service_kit::retry::Backoff;
use tokio::time::sleep;

/// How often a wait says that it goes on.
const PROGRESS: Duration = Duration::from_secs(5);

/// Why something isn't done.
#[derive(Debug)]
pub(super) enum Waiting {
    /// It may be later, for this reason.
    For(String),
    /// It never will.
    Refused(anyhow::Error),
}

impl From<reqwest::Error> for Waiting {
    fn from(error: reqwest::Error) -> Self {
        Self::For(format!("{:#}", anyhow!(error.without_url())))
    }
}

/// What an answer without success means. A conflict means that somebody else does the same at the same time.
pub(super) async fn refused(answer: Response) -> Waiting {
    let (status, url) = (answer.status(), answer.url().clone());
    if status.is_server_error() || status == StatusCode::CONFLICT {
        return Waiting::For(format!("{} answers {status}", url.path()));
    }
    Waiting::Refused(anyhow!("{url} answers {status}: {}", answer.text().await.unwrap_or_default()))
}

/// Tries until it is done, and says on the error stream that it waits for `who`. Fails if it is refused, or not done
/// within `patience`.
pub(super) async fn until_done(
    who: &str,
    patience: Duration,
    mut attempt: impl AsyncFnMut() -> Result<(), Waiting>,
) -> anyhow::Result<()> {
    let (began, mut told) = (Instant::now(), Instant::now());
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
    loop {
        let why = match attempt().await {
            Ok(()) => return Ok(()),
            Err(Waiting::Refused(error)) => return Err(error),
            Err(Waiting::For(why)) => why,
        };
        let left = patience.saturating_sub(began.elapsed());
        if left.is_zero() {
            anyhow::bail!("waited {} s for {who}: {why}", patience.as_secs());
        }
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            writeln!(std::io::stderr(), "waiting for {who}, {} s more: {why}", left.as_secs())?;
        }
        sleep(backoff.next_wait().min(left)).await;
    }
}
