use chrono::TimeDelta;
use service_kit::Pool;

use crate::store::{self, answers, webhooks};

/// How long an answer is kept for a retried POST.
const ANSWERS: TimeDelta = TimeDelta::hours(24);
/// How long the id of a webhook is kept: the gateway sends one again for three days.
const WEBHOOKS: TimeDelta = TimeDelta::days(30);
/// How many are forgotten in one statement, so that none runs long.
const AT_ONCE: usize = 1_000;

/// Forgets answers that nobody will ask for again and webhooks that won't be sent again; says how many.
///
/// # Errors
/// The database's.
pub async fn forget(pool: &Pool) -> anyhow::Result<usize> {
    let (mut forgotten, at_once) = (0, i64::try_from(AT_ONCE)?);
    loop {
        let mut conn = pool.get().await?;
        let now = store::now(&mut conn).await?;
        let old_answers = answers::forget(&mut conn, now - ANSWERS, at_once).await?;
        let old_webhooks = webhooks::forget(&mut conn, now - WEBHOOKS, at_once).await?;
        forgotten += old_answers + old_webhooks;
        if old_answers < AT_ONCE && old_webhooks < AT_ONCE {
            return Ok(forgotten);
        }
    }
}
