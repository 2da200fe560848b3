use chrono::TimeDelta;
use service_kit::Pool;

use crate::store;

/// How long an answer is kept for a retried POST.
const KEPT: TimeDelta = TimeDelta::hours(24);
/// How many are forgotten in one statement, so that none runs long.
const AT_ONCE: usize = 1_000;

/// Forgets answers that nobody will ask for again; says how many.
///
/// # Errors
/// The database's.
pub async fn forget_answers(pool: &Pool) -> anyhow::Result<usize> {
    let mut forgotten = 0;
    loop {
        let mut conn = pool.get().await?;
        let before = store::now(&mut conn).await? - KEPT;
        let some = store::answers::forget(&mut conn, before, i64::try_from(AT_ONCE)?).await?;
        forgotten += some;
        if some < AT_ONCE {
            return Ok(forgotten);
        }
    }
}
