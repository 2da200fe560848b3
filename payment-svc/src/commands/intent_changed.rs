use diesel_async::{AsyncConnection, AsyncPgConnection, pooled_connection::deadpool::PoolError};
use service_kit::{Pool, consumer::ReactionError, trace};
use shared_events::OrderId;

use super::{follow, given_back::given_back_changed};
use crate::{
    domain::{Payment, Refused, State, Transition},
    gateway::{GatewayError, IntentState, PaymentGateway, action_failed},
    store::{
        calls, payments,
        roots::{self, Cause},
        webhooks::{self, Outcome},
    },
    webhooks::WebhookEvent,
};

/// Of money that was reserved, which our own call says too.
const AUTHORISED: &str = "payment_intent.amount_capturable_updated";

/// What a webhook has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It was received before; nothing was done again.
    Duplicate,
    /// It was received now.
    Now(Outcome),
}

/// Why a webhook can't be taken now; the gateway sends it again.
#[derive(Debug, thiserror::Error)]
pub enum NotHeard {
    /// No connection.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The database.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
    /// A row that can't be read, or an event that can't be said.
    #[error(transparent)]
    Reaction(#[from] ReactionError),
    /// It tells of a refund or a capture whose own answer is not known yet.
    #[error("the own answer of an unfinished call is awaited first")]
    TooEarly,
    /// What has become of the intent could not be looked up.
    #[error("the gateway can't be asked: {0}")]
    Gateway(#[from] GatewayError),
}

/// The gateway has told that something happened to an intent. What has become of it is looked up, outside of any
/// transaction, and applied under the payment's lock together with the event's id: so it does no harm that events come
/// twice, late or out of order.
///
/// # Errors
/// See [`NotHeard`]; nothing was written.
pub async fn intent_changed<G: PaymentGateway>(
    pool: &Pool,
    gateway: &G,
    event: &WebhookEvent,
) -> Result<Heard, NotHeard> {
    let before = match find(pool, event).await? {
        Known::Event => return Ok(Heard::Duplicate),
        Known::Nothing => return note(pool, event, Outcome::NotOurs).await,
        Known::Payment(payment) => payment,
    };
    if let Some(intent) = before.intent.clone().filter(|_| event.tells_of_money_back()) {
        return given_back_changed(pool, gateway, event, &before, intent).await;
    }
    let waits = match before.state {
        State::ActionRequired | State::Authorizing => true,
        // Somebody else may have captured or cancelled it.
        State::Authorized => event.kind != AUTHORISED,
        _ => false,
    };
    let found = match before.intent.clone().filter(|_| waits) {
        Some(intent) => Some(gateway.look_up(intent).await?),
        // The answer to its call says the same, so that only the event's id is kept.
        None if !before.unanswered => return note(pool, event, Outcome::NothingNew).await,
        None => None,
    };
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        if !webhooks::take(conn, event, Outcome::NothingNew).await? {
            return Ok(Heard::Duplicate);
        }
        let outcome = apply(conn, &before, found.clone()).await?;
        webhooks::conclude(conn, &event.id, outcome).await?;
        Ok(Heard::Now(outcome))
    })
    .await
}

pub(super) async fn note(pool: &Pool, event: &WebhookEvent, outcome: Outcome) -> Result<Heard, NotHeard> {
    let mut conn = pool.get().await?;
    let taken = webhooks::take(&mut conn, event, outcome).await?;
    Ok(if taken { Heard::Now(outcome) } else { Heard::Duplicate })
}

enum Known {
    Event,
    Payment(Payment),
    Nothing,
}

async fn find(pool: &Pool, event: &WebhookEvent) -> Result<Known, NotHeard> {
    let mut conn = pool.get().await?;
    if webhooks::is_known(&mut conn, &event.id).await? {
        return Ok(Known::Event);
    }
    let Some(intent) = &event.intent else { return Ok(Known::Nothing) };
    let found = payments::with_intent(&mut conn, intent).await?;
    Ok(found.map_or(Known::Nothing, Known::Payment))
}

async fn apply(
    conn: &mut AsyncPgConnection,
    before: &Payment,
    found: Option<IntentState>,
) -> Result<Outcome, ReactionError> {
    let order_id: OrderId = before.order_id;
    let mut root = roots::lock_or_create(conn, order_id).await?;
    if root.payment.unanswered {
        // The gateway has something to say about what it did not answer: looked up now, not when its backoff ends.
        calls::hasten(conn, root.payment.id).await?;
    }
    let Some(step) = found.and_then(|found| next(&mut root.payment, before, found)) else {
        return Ok(Outcome::NothingNew);
    };
    match step {
        Ok(step) => {
            let cause = Cause { event: None, traceparent: trace::current_traceparent() };
            follow(conn, &mut root, step, &cause).await?;
            Ok(Outcome::Applied)
        }
        Err(refused) => {
            tracing::debug!(order.id = %order_id, %refused, "a webhook came too late");
            Ok(Outcome::NothingNew)
        }
    }
}

/// What follows from what the gateway knows. That the customer failed is believed only of the attempt that waited for
/// them when it was asked, or that nobody knows more of: no attempt follows one in which they failed.
pub(super) fn next(payment: &mut Payment, before: &Payment, found: IntentState) -> Option<Result<Transition, Refused>> {
    let same = before.attempts == payment.attempts;
    let waited = before.state == State::ActionRequired && same;
    match found {
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
