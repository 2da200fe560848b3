use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::consumer::ReactionError;

use super::{follow, intent_changed::next};
use crate::{
    domain::{Payment, State},
    gateway::IntentState,
    store::roots::{self, Cause},
};

/// What the gateway knows of an intent whose customer is waited for, asked at `asked_at`, is applied under the payment's
/// lock. Past the deadline the customer is given up, but only on the gateway's word that it waits for them still. Says
/// whether they are waited for after this.
pub async fn customer_looked_up(
    conn: &mut AsyncPgConnection,
    before: &Payment,
    found: IntentState,
    asked_at: DateTime<Utc>,
) -> Result<bool, ReactionError> {
    conn.transaction(async |conn| {
        let mut root = roots::lock_or_create(conn, before.order_id).await?;
        let step = match found.clone() {
            IntentState::ActionRequired { .. } => Some(root.payment.action_timed_out(asked_at)),
            found => next(&mut root.payment, before, found),
        };
        if let Some(Ok(step)) = step {
            follow(conn, &mut root, step, &Cause::default()).await?;
        }
        Ok(root.payment.state == State::ActionRequired)
    })
    .await
}
