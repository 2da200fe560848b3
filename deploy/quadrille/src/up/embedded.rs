//! The embedded broker of a run: as it keeps nothing, nothing may go on without what was published being there again.

use std::sync::Arc;

use quadrille_servers::{Broker, broker};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::registry::Registry;
use super::servers::{KAFKA, PATIENCE};

/// The running broker, and who watches it.
#[derive(Debug)]
pub(super) struct Embedded {
    watch: JoinHandle<()>,
    stop: CancellationToken,
}

impl Embedded {
    /// Starts it; `lost` is cancelled when it ends by itself. Fails as [`Broker::start`] does.
    pub async fn start(
        options: &broker::Options,
        registry: &Arc<Registry>,
        lost: CancellationToken,
    ) -> anyhow::Result<Self> {
        let broker = Broker::start(options).await?;
        registry.started(KAFKA, broker.identity());
        let stop = CancellationToken::new();
        let watch = tokio::spawn(watch(broker, Arc::clone(registry), lost, stop.clone()));
        Ok(Self { watch, stop })
    }

    /// Ends it. Those who speak with it must have ended.
    pub async fn stop(self) {
        self.stop.cancel();
        self.watch.await.ok();
    }
}

async fn watch(mut broker: Broker, registry: Arc<Registry>, lost: CancellationToken, stop: CancellationToken) {
    match stop.run_until_cancelled(broker.wait()).await {
        None => {
            if let Err(error) = broker.stop(PATIENCE).await {
                tracing::error!(name = KAFKA, "{error:#}");
            }
        }
        Some(ended) => {
            let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            tracing::warn!("the embedded broker died ({how}), and its topics with it: they are rebuilt");
            lost.cancel();
        }
    }
    registry.ended(KAFKA);
}
