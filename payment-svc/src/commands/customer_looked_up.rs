use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::consumer::ReactionError;

use super::intent_changed::found;
use crate::{
    domain::{Payment, Refused, State, Transition},
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
        if let Some(Ok(step)) = customer_found(&mut payment, before, intent.clone(), asked_at) {
            loaded.apply(payment, step, &Causation::default())?;
        }
        let waits = loaded.payment(before.order_id)?.state == State::ActionRequired;
        store::save(conn, loaded).await?;
        Ok(waits)
    })
    .await
}

/// What follows from what the gateway knows, asked at `asked_at`, of an intent whose customer is waited for.
pub fn customer_found(
    payment: &mut Payment,
    before: &Payment,
    intent: IntentState,
    asked_at: DateTime<Utc>,
) -> Option<Result<Transition, Refused>> {
    match intent {
        IntentState::ActionRequired { .. } => Some(payment.action_timed_out(asked_at)),
        intent => found(payment, before, intent),
    }
}
