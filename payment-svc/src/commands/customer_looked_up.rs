use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::consumer::ReactionError;

use super::intent_changed::found;
use crate::{
    domain::{Payment, State},
    gateway::IntentState,
    store::{self, Causation},
};

/// What the gateway knows of an intent whose customer is waited for, asked at `asked_at`, is applied under the payment's
/// lock. Past the deadline the customer is given up, but only on the gateway's word that it waits for them still. Says
/// whether they are waited for after this.
pub async fn customer_looked_up(
    conn: &mut AsyncPgConnection,
    before: &Payment,
    intent: IntentState,
    asked_at: DateTime<Utc>,
) -> Result<bool, ReactionError> {
    conn.transaction(async |conn| {
        let mut loaded = store::load(conn, [before.order_id]).await?;
        let mut payment = loaded.payment(before.order_id)?.clone();
        let step = match intent.clone() {
            IntentState::ActionRequired { .. } => Some(payment.action_timed_out(asked_at)),
            intent => found(&mut payment, before, intent),
        };
        if let Some(Ok(step)) = step {
            loaded.apply(payment, step, &Causation::default())?;
        }
        let waits = loaded.payment(before.order_id)?.state == State::ActionRequired;
        store::save(conn, loaded).await?;
        Ok(waits)
    })
    .await
}
