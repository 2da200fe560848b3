use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::{consumer::ReactionError, external_calls::Performed, locks};

use super::intent_changed::found;
use crate::domain::{Payment, Refused, State, Transition};
use crate::gateway::IntentState;
use crate::store::look_ups::{self, LookUp};
use crate::store::{self, Causation};

/// A payment whose customer was waited for, with what was found.
#[derive(Debug)]
pub struct LookedUp {
    pub look_up: LookUp,
    pub found: CustomerFound,
}

#[derive(Debug)]
pub enum CustomerFound {
    /// They were no longer waited for, and the gateway was not asked.
    NotAwaited,
    /// What the gateway knows of their intent.
    Intent {
        /// The payment as it was before the gateway was asked.
        before: Box<Payment>,
        /// The trace in which it was to be authorised.
        traceparent: Option<String>,
        intent: IntentState,
        asked_at: DateTime<Utc>,
    },
    /// The gateway did not answer: it is asked again later.
    Unknown,
}

/// Applies, under the payments' locks, what the gateway knows of customers who are waited for. Past the deadline a
/// customer is given up, but only if the gateway says that it still waits for them. Customers who are still waited for
/// afterwards are looked up again later. If the database fails, nothing is changed.
pub async fn customers_looked_up(
    conn: &mut AsyncPgConnection,
    looked_up: &[LookedUp],
) -> Result<Vec<Performed>, ReactionError> {
    conn.transaction(async |conn| settle_in(conn, looked_up).await).await
}

/// Like [`customers_looked_up`], but fails with a lock timeout if a payment stays locked for longer than a moment.
pub async fn customers_looked_up_unless_locked(
    conn: &mut AsyncPgConnection,
    looked_up: &[LookedUp],
) -> Result<Vec<Performed>, ReactionError> {
    conn.transaction(async |conn| {
        locks::wait_briefly(conn).await?;
        settle_in(conn, looked_up).await
    })
    .await
}

async fn settle_in(conn: &mut AsyncPgConnection, looked_up: &[LookedUp]) -> Result<Vec<Performed>, ReactionError> {
    let mut loaded = store::load(conn, looked_up.iter().map(|one| one.look_up.order_id)).await?;
    let (mut waits, mut ended, mut performed) = (Vec::new(), Vec::new(), Vec::new());
    for LookedUp { look_up, found } in looked_up {
        let mut payment = loaded.payment(look_up.order_id)?.clone();
        if let CustomerFound::Intent { before, traceparent, intent, asked_at } = found
            && let Some(Ok(step)) = customer_found(&mut payment, before, intent.clone(), *asked_at)
        {
            let causation = Causation { event: None, traceparent: traceparent.clone() };
            loaded.apply(payment, step, &causation)?;
        }
        match loaded.payment(look_up.order_id)?.state {
            State::ActionRequired => {
                waits.push(*look_up);
                performed.push(Performed::PutOff);
            }
            _ => {
                ended.push(look_up.order_id);
                performed.push(Performed::Done);
            }
        }
    }
    store::save(conn, loaded).await?;
    look_ups::put_off(conn, &waits).await?;
    look_ups::end(conn, &ended).await?;
    Ok(performed)
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
