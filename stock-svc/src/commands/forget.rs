use chrono::TimeDelta;
use service_kit::Pool;

use crate::store::{self, answers};

/// How long an answer is kept for a retried POST.
const ANSWERS: TimeDelta = TimeDelta::hours(24);
/// How many are forgotten in one statement, so that none runs long.
const AT_ONCE: usize = 1_000;

/// Forgets answers that nobody will ask for again; says how many.
///
/// # Errors
/// The database's.
pub async fn forget(pool: &Pool) -> anyhow::Result<usize> {
    let (mut forgotten, at_once) = (0, i64::try_from(AT_ONCE)?);
    loop {
        let mut conn = pool.get().await?;
        let now = store::now(&mut conn).await?;
        let old = answers::forget(&mut conn, now - ANSWERS, at_once).await?;
        forgotten += old;
        if old < AT_ONCE {
            return Ok(forgotten);
        }
    }
}
