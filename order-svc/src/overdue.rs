//! Measures every few seconds how many orders wait longer than they should, by what they wait for.

use std::time::Duration;

use diesel_async::AsyncPgConnection;
use service_kit::Pool;
use service_kit::retry::Recurring;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::domain::PATIENCE;
use crate::metrics;
use crate::store::overdue::{self, Overdue};

const EVERY: Duration = Duration::from_secs(5);

/// Looks until told to stop.
pub async fn run(pool: Pool, stop: CancellationToken) {
    let mut failures = Recurring::default();
    loop {
        let looked = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            looked = async { anyhow::Ok(look(&mut *pool.get().await?).await?) } => looked,
        };
        if failures.is_news(&looked)
            && let Err(error) = &looked
        {
            tracing::warn!(error = %format!("{error:#}"), "overdue orders can't be counted now");
        }
        tokio::select! { () = sleep(EVERY) => {}, () = stop.cancelled() => return }
    }
}

/// Sets the gauges, for everything that an order can wait for.
async fn look(conn: &mut AsyncPgConnection) -> diesel::QueryResult<()> {
    while overdue::fill_in(conn).await? > 0 {}
    let overdue = overdue::groups(conn, overdue::LOOKED_AT).await?;
    for (waiting, _) in PATIENCE {
        let is_this = |group: &&Overdue| group.waiting_for == waiting.fact && group.waiting_from == waiting.from;
        let group = overdue.iter().find(is_this);
        metrics::overdue(
            waiting,
            group.map_or(0, |group| group.orders),
            group.map_or(0.0, |group| group.oldest_seconds),
        );
    }
    Ok(())
}
