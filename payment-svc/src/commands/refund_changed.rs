use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::{Pool, consumer::ReactionError, trace};
use shared_events::{OrderId, RefundId};

use super::{Heard, NotHeard, follow, intent_changed::note};
use crate::{
    domain::{Payment, RefundState},
    gateway::{PaymentGateway, RefundOutcome},
    store::{
        calls, payments,
        roots::{self, Cause},
        webhooks::{self, Outcome},
    },
    webhooks::WebhookEvent,
};

/// The gateway has told that something happened to a refund that it had made. What has become of it is looked up by our
/// own id. One whose answer is still awaited is told again later: its answer comes first.
pub(super) async fn refund_changed<G: PaymentGateway>(
    pool: &Pool,
    gateway: &G,
    event: &WebhookEvent,
    before: &Payment,
    name: &str,
) -> Result<Heard, NotHeard> {
    let mut conn = pool.get().await?;
    let known = payments::refund_named(&mut conn, before.id, name).await?;
    let is = |state: RefundState, id: RefundId| before.refunds.iter().any(|it| it.id == id && it.state == state);
    let awaited = match known {
        Some(id) => is(RefundState::Calling, id),
        // Its name is noted before its answer is settled, so only one that is being asked for can be this one.
        None => before.refunds.iter().any(|refund| refund.state == RefundState::Calling),
    };
    if awaited {
        calls::hasten(&mut conn, before.id).await?;
        return Err(NotHeard::TooEarly);
    }
    drop(conn);
    let (Some(id), Some(intent)) = (known.filter(|id| is(RefundState::Done, *id)), before.intent.clone()) else {
        return note(pool, event, Outcome::NothingNew).await;
    };
    let Some(RefundOutcome::Failed { code }) = gateway.look_up_refund(intent, id).await? else {
        return note(pool, event, Outcome::NothingNew).await;
    };
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        if !webhooks::take(conn, event, Outcome::NothingNew).await? {
            return Ok(Heard::Duplicate);
        }
        if !refund_came_back(conn, before.order_id, id, &code).await? {
            return Ok(Heard::Now(Outcome::NothingNew));
        }
        webhooks::conclude(conn, &event.id, Outcome::Applied).await?;
        Ok(Heard::Now(Outcome::Applied))
    })
    .await
}

/// Writes down, under the payment's lock, that a refund has come back; false when that is known.
///
/// # Errors
/// The database.
pub async fn refund_came_back(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    id: RefundId,
    code: &str,
) -> Result<bool, ReactionError> {
    let mut root = roots::lock_or_create(conn, order_id).await?;
    let Ok(step) = root.payment.refund_came_back(id, code.to_owned()) else { return Ok(false) };
    tracing::error!(order.id = %order_id, refund.id = %id, code, "a refund that was made has failed: somebody must look");
    metrics::counter!("payment_refunds_come_back_total").increment(1);
    let cause = Cause { event: None, traceparent: trace::current_traceparent() };
    follow(conn, &mut root, step, &cause).await?;
    Ok(true)
}
