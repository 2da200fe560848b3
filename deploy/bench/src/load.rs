//! Orders as customers send them, as fast as they are taken or at moments that don't depend on the answers; and look-ups.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{Instant as Moment, sleep_until};

use crate::{http::Connection, results::percentile, shop};

pub struct Placed {
    pub id: String,
    /// When it was to be sent. A sender that is held up by an earlier answer is late: that counts as latency too.
    pub intended: Instant,
    pub answered: Instant,
}

/// So many connections, each of which places an order as soon as its last one was answered.
pub async fn closed(port: u16, connections: usize, lasts: Duration, skus: usize) -> anyhow::Result<Vec<Placed>> {
    let (next, end) = (Arc::new(AtomicUsize::new(0)), Instant::now() + lasts);
    let mut senders = JoinSet::new();
    for _ in 0..connections {
        let next = Arc::clone(&next);
        let mut connection = Connection::open(port).await?;
        senders.spawn(async move {
            let mut placed = Vec::new();
            while Instant::now() < end {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let intended = Instant::now();
                let id = shop::place(&mut connection, n, skus).await?;
                placed.push(Placed { id, intended, answered: Instant::now() });
            }
            anyhow::Ok(placed)
        });
    }
    all_of(senders).await
}

/// So many orders over so many connections, as fast as they go.
pub async fn many(port: u16, connections: usize, orders: usize, skus: usize) -> anyhow::Result<Vec<Placed>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = JoinSet::new();
    for _ in 0..connections {
        let next = Arc::clone(&next);
        let mut connection = Connection::open(port).await?;
        senders.spawn(async move {
            let mut placed = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= orders {
                    return anyhow::Ok(placed);
                }
                let intended = Instant::now();
                let id = shop::place(&mut connection, n, skus).await?;
                placed.push(Placed { id, intended, answered: Instant::now() });
            }
        });
    }
    all_of(senders).await
}

/// Orders at a fixed rate, whether earlier ones are answered or not.
pub async fn open(port: u16, a_second: f64, lasts: Duration, skus: usize) -> anyhow::Result<Vec<Placed>> {
    const SENDERS: usize = 64;
    let (next, began) = (Arc::new(AtomicUsize::new(0)), Moment::now() + Duration::from_millis(50));
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let next = Arc::clone(&next);
        let mut connection = Connection::open(port).await?;
        senders.spawn(async move {
            let mut placed = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                #[expect(clippy::cast_precision_loss, reason = "thousands")]
                let after = Duration::from_secs_f64(n as f64 / a_second);
                if after >= lasts {
                    return anyhow::Ok(placed);
                }
                let intended = began + after;
                sleep_until(intended).await;
                let id = shop::place(&mut connection, n, skus).await?;
                placed.push(Placed { id, intended: intended.into_std(), answered: Instant::now() });
            }
        });
    }
    all_of(senders).await
}

/// So many connections, each of which asks for one path after the other; how long each answer took.
pub async fn reads(
    port: u16,
    connections: usize,
    lasts: Duration,
    paths: &Arc<[String]>,
) -> anyhow::Result<Vec<Duration>> {
    let (next, end) = (Arc::new(AtomicUsize::new(0)), Instant::now() + lasts);
    let mut readers = JoinSet::new();
    for _ in 0..connections {
        let (next, paths) = (Arc::clone(&next), Arc::clone(paths));
        let mut connection = Connection::open(port).await?;
        readers.spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < end {
                let path = &paths[next.fetch_add(1, Ordering::Relaxed) % paths.len()];
                let began = Instant::now();
                let (status, _) = connection.get(path).await?;
                anyhow::ensure!(status == 200, "{path} was answered {status}");
                took.push(began.elapsed());
            }
            anyhow::Ok(took)
        });
    }
    all_of(readers).await
}

async fn all_of<T: Send + 'static>(mut senders: JoinSet<anyhow::Result<Vec<T>>>) -> anyhow::Result<Vec<T>> {
    let mut all = Vec::new();
    while let Some(done) = senders.join_next().await {
        all.extend(done??);
    }
    Ok(all)
}

/// The median and the 99th percentile, in milliseconds.
pub fn median_and_99th(mut latencies: Vec<Duration>) -> Option<(f64, f64)> {
    latencies.sort_unstable();
    let sorted: Vec<_> = latencies.iter().map(|latency| latency.as_secs_f64() * 1_000.0).collect();
    Some((percentile(&sorted, 0.5)?, percentile(&sorted, 0.99)?))
}
