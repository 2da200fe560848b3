//! How the watch looks: on a thread of its own, and never longer than something comes of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::look_from;
use super::super::sources::Sources;
use super::super::start::{Looked, Reached, Start};
use super::Options;

/// A look of which nothing was heard for so long is given up: a server that is frozen answers nothing, and refuses nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// What to look at, and from where.
pub(super) struct Wish {
    pub options: Options,
    pub start: Start,
}

pub(super) type Looking = Pin<Box<dyn Future<Output = anyhow::Result<Looked>> + Send>>;
/// Whoever looks.
pub(super) type Look = Arc<dyn Fn(Wish) -> Looking + Send + Sync>;

pub(super) fn of(sources: Sources, stop: CancellationToken) -> Look {
    Arc::new(move |wish: Wish| {
        let (sources, stop) = (sources.clone(), stop.clone());
        let looking: Looking = Box::pin(async move {
            let runtime = Handle::current();
            // Its files are read and written in between, which would keep others waiting.
            let looking = tokio::task::spawn_blocking(move || {
                let reached = Arc::clone(&wish.start.reached);
                let looking = look_from(&sources, wish.options, wish.start, &stop);
                runtime.block_on(unless_silent(looking, &reached, &stop))
            });
            looking.await.context("a look broke off")?
        });
        looking
    })
}

async fn unless_silent(
    looking: impl Future<Output = anyhow::Result<Looked>>,
    reached: &Reached,
    stop: &CancellationToken,
) -> anyhow::Result<Looked> {
    let mut looking = std::pin::pin!(looking);
    loop {
        let before = reached.steps();
        match stop.run_until_cancelled(timeout(SILENCE, looking.as_mut())).await {
            None => bail!("told to stop"),
            Some(Ok(looked)) => return looked,
            Some(Err(_)) if reached.steps() == before => {
                bail!("a server takes the question and says nothing: given up after {} s", SILENCE.as_secs())
            }
            Some(Err(_)) => {}
        }
    }
}
