//! Whether prices are known: they are once any process has read `products.v1` to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use service_kit::Pool;
use service_kit::consumer::ConsumerHandle;
use shared_events::Topic;
use tokio_util::sync::CancellationToken;

use crate::store;

/// How often a service that doesn't know prices yet looks whether it does.
const LOOK: Duration = Duration::from_millis(100);

/// Whether prices are known. Cheap to clone; never false again once it is true.
#[derive(Clone, Debug, Default)]
pub struct PricesKnown(Arc<AtomicBool>);

impl PricesKnown {
    /// As an earlier process has left it.
    pub async fn remembered(pool: &Pool) -> anyhow::Result<Self> {
        let known = store::products::were_read(&mut *pool.get().await?).await?;
        Ok(Self(Arc::new(AtomicBool::new(known))))
    }

    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Waits until the consumer has read the catalogue to an end, and remembers it.
    pub async fn learn(self, pool: Pool, consumer: ConsumerHandle, stop: CancellationToken) {
        while !self.get() {
            if consumer.caught_up(Topic::Products.name()) {
                match remember(&pool).await {
                    Ok(()) => self.set(),
                    Err(error) => tracing::warn!(error = %error, "it can't be noted now that prices are known"),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

async fn remember(pool: &Pool) -> anyhow::Result<()> {
    Ok(store::products::note_read(&mut *pool.get().await?).await?)
}
