use diesel_async::{AsyncConnection, pooled_connection::deadpool::PoolError};
use outbox_relay::AppendError;
use service_kit::{Pool, consumer::ReactionError, pool::may_pass};
use shared_events::OrderId;

use super::given_back::given_back_changed;
use crate::domain::{Payment, Refused, State, Transition};
use crate::gateway::{GatewayError, IntentState, PaymentGateway, action_failed};
use crate::store::webhooks::{self, Outcome, Received};
use crate::store::{self, Causation, Loaded, payments};
use crate::webhooks::WebhookEvent;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It was received before; nothing was done again.
    Duplicate,
    Now(Outcome),
}

/// Why a webhook can't be taken now; the gateway sends it again.
#[derive(Debug, thiserror::Error)]
pub enum NotHeard {
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
    #[error(transparent)]
    Reaction(#[from] ReactionError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("the own answer of an unfinished call is awaited first")]
    TooEarly,
    #[error("the gateway can't be asked: {0}")]
    Gateway(#[from] GatewayError),
}

impl NotHeard {
    /// Whether the database failed, which has nothing to do with this webhook.
    pub fn is_of_the_database(&self) -> bool {
        match self {
            Self::Pool(_) | Self::Reaction(ReactionError::Transient(_)) => true,
            Self::Database(error) | Self::Append(AppendError::Database(error)) => may_pass(error),
            Self::Reaction(_) | Self::Append(_) | Self::TooEarly | Self::Gateway(_) => false,
        }
    }
}

/// Receives one event and follows it up, as [`hear_webhook`] does.
pub async fn intent_changed<G: PaymentGateway>(
    pool: &Pool,
    gateway: &G,
    event: &WebhookEvent,
) -> Result<Heard, NotHeard> {
    let received = webhooks::receive(&mut *pool.get().await?, std::slice::from_ref(event)).await?;
    hear_webhook(pool, gateway, event, received.into_iter().next().unwrap_or(Received::Before)).await
}

/// If the event may tell something new, its intent is looked up outside of any transaction, and the result is applied
/// under the payment's lock together with the event's id. So events may come twice, late or out of order. If this
/// fails, nothing was written.
pub async fn hear_webhook<G: PaymentGateway>(
    pool: &Pool,
    gateway: &G,
    event: &WebhookEvent,
    received: Received,
) -> Result<Heard, NotHeard> {
    let order_id = match received {
        Received::Before => return Ok(Heard::Duplicate),
        Received::Noted(outcome) => return Ok(Heard::Now(outcome)),
        Received::MayTell(order_id) => order_id,
    };
    let before = payments::read(&mut *pool.get().await?, order_id).await?;
    let intent = before.intent.clone();
    if let Some(intent) = intent.clone().filter(|_| event.tells_of_money_back()) {
        return given_back_changed(pool, gateway, event, &before, intent).await;
    }
    let intent = match intent.filter(|_| event.may_tell(before.state)) {
        Some(intent) => Some(gateway.look_up(intent).await?),
        None => None,
    };
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let mut loaded = store::load(conn, [order_id]).await?;
        let outcome = apply(&mut loaded, &before, intent.clone())?;
        if !webhooks::take(conn, event, outcome).await? {
            return Ok(Heard::Duplicate);
        }
        store::save(conn, loaded).await?;
        Ok(Heard::Now(outcome))
    })
    .await
}

fn apply(loaded: &mut Loaded, before: &Payment, intent: Option<IntentState>) -> Result<Outcome, NotHeard> {
    let order_id: OrderId = before.order_id;
    let mut payment = loaded.payment(order_id)?.clone();
    if payment.unanswered {
        // the gateway has news of a call that it did not answer: ask now, not when the backoff ends
        loaded.hasten_call(order_id)?;
    }
    match intent.and_then(|intent| found(&mut payment, before, intent)) {
        Some(Ok(step)) => {
            loaded.apply(payment, step, &Causation::current(None))?;
            Ok(Outcome::Applied)
        }
        Some(Err(refused)) => {
            tracing::debug!(order.id = %order_id, %refused, "a webhook came too late");
            Ok(Outcome::NothingNew)
        }
        None => Ok(Outcome::NothingNew),
    }
}

/// What follows from what the gateway knows of the intent. That the customer failed counts only for the attempt that it
/// was asked about: that one waited for them then, or the code itself says that they failed, after which there is no
/// other attempt.
pub fn found(payment: &mut Payment, before: &Payment, intent: IntentState) -> Option<Result<Transition, Refused>> {
    let same = before.attempts == payment.attempts;
    let waited = before.state == State::ActionRequired && same;
    match intent {
        IntentState::Captured if payment.state == State::Authorized => Some(payment.captured_elsewhere()),
        IntentState::Cancelled { .. } if payment.state == State::Authorized => Some(payment.cancelled_elsewhere()),
        IntentState::CapturedInPart { .. } if payment.state == State::Authorized => {
            Some(payment.captured_in_part_elsewhere())
        }
        // What was captured in part is found by the capture that follows, and not announced.
        IntentState::Authorised | IntentState::Captured | IntentState::CapturedInPart { .. } => {
            Some(payment.action_done())
        }
        IntentState::Declined { code } if waited || (same && action_failed(&code)) => Some(payment.action_failed(code)),
        IntentState::Cancelled { .. } if waited => Some(payment.action_failed("canceled".to_owned())),
        _ => None,
    }
}
