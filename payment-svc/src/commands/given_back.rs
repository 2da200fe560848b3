use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::{Pool, consumer::ReactionError, trace};
use shared_events::{Money, OrderId, RefundId};

use super::{Heard, NotHeard, follow, intent_changed::note};
use crate::{
    domain::{Elsewhere, Payment, Refund, RefundState, State, refund_made_elsewhere},
    gateway::{GivenBack, PaymentGateway},
    store::{
        calls, payments,
        roots::{self, Cause, Root},
        webhooks::{self, Outcome},
    },
    webhooks::WebhookEvent,
};

/// Of a refund that was just made: where it is ours, its own answer says the same.
const CREATED: &str = "refund.created";

/// What came of looking at what the gateway has given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Booked {
    /// All of it was known.
    Nothing,
    /// Something was booked, or taken back.
    Something,
    /// The answer to a call that is unfinished comes first.
    Awaited,
}

/// The gateway has told that something happened to money that went back, or was taken back by a dispute: by us, by somebody
/// at its dashboard, or by the customer's bank. All that it has given back of the intent is looked up, and what is not known
/// is booked. Where a call's own answer is still awaited, it is told again later.
pub(super) async fn given_back_changed<G: PaymentGateway>(
    pool: &Pool,
    gateway: &G,
    event: &WebhookEvent,
    before: &Payment,
    intent: String,
) -> Result<Heard, NotHeard> {
    if before.state != State::Captured {
        if !may_be_captured(before.state) {
            return note(pool, event, Outcome::NothingNew).await;
        }
        return awaited(pool, before).await;
    }
    if let Some(name) = event.refund.as_deref().filter(|_| event.kind == CREATED)
        && payments::refund_named(&mut *pool.get().await?, before.id, name).await?.is_some()
    {
        return note(pool, event, Outcome::NothingNew).await;
    }
    let found = gateway.given_back(intent).await?;
    let mut conn = pool.get().await?;
    let heard = conn.transaction(async |conn| {
        if !webhooks::take(conn, event, Outcome::NothingNew).await? {
            return Ok(Heard::Duplicate);
        }
        let mut root = roots::lock_or_create(conn, before.order_id).await?;
        let early = event.refund.as_deref().is_some_and(|name| is_awaited(&root.payment, &found, name));
        match book(conn, &mut root, &found).await? {
            _ if early => Err(NotHeard::TooEarly),
            Booked::Awaited => Err(NotHeard::TooEarly),
            Booked::Nothing => Ok(Heard::Now(Outcome::NothingNew)),
            Booked::Something => {
                webhooks::conclude(conn, &event.id, Outcome::Applied).await?;
                Ok(Heard::Now(Outcome::Applied))
            }
        }
    });
    match heard.await {
        Err(NotHeard::TooEarly) => awaited(pool, before).await,
        heard => heard,
    }
}

/// States in which the gateway may have taken the money without this service knowing it.
const fn may_be_captured(state: State) -> bool {
    match state {
        State::Authorizing | State::ActionRequired | State::Authorized | State::Capturing => true,
        State::CaptureFailed | State::Voiding | State::Closing => true,
        State::New | State::Tombstone | State::Closed | State::WaitingToRetry => false,
        State::Captured | State::Voided | State::Declined => false,
    }
}

async fn awaited(pool: &Pool, payment: &Payment) -> Result<Heard, NotHeard> {
    calls::hasten(&mut *pool.get().await?, payment.id).await?;
    Err(NotHeard::TooEarly)
}

/// Whether an event tells of a refund whose own answer is still to come: it has failed, or is not to be seen yet.
fn is_awaited(payment: &Payment, found: &[GivenBack], name: &str) -> bool {
    let asked = payment.refunds.iter().any(|refund| refund.state == RefundState::Calling);
    asked
        && match found.iter().find(|given| given.id == name) {
            None => true,
            Some(given) => {
                given.failed.is_some() && known(payment, given).is_some_and(|it| it.state == RefundState::Calling)
            }
        }
}

/// Our row for what the gateway has given back.
fn known<'a>(payment: &'a Payment, given: &GivenBack) -> Option<&'a Refund> {
    let elsewhere = refund_made_elsewhere(&given.id);
    payment.refunds.iter().find(|refund| Some(refund.id) == given.ours || refund.id == elsewhere)
}

/// What the gateway has given back that this service neither asked for nor booked.
pub fn made_elsewhere(payment: &Payment, found: &[GivenBack]) -> Vec<Elsewhere> {
    let Some(currency) = payment.charge.as_ref().map(|charge| charge.amount.currency()) else { return vec![] };
    let unknown = found.iter().filter(|given| given.failed.is_none() && known(payment, given).is_none());
    let booked = |given: &GivenBack| Some((given.id.clone(), Money::new(given.amount, currency).ok()?));
    unknown.filter_map(booked).collect()
}

/// Books under the payment's lock what the gateway has given back and this service doesn't know, and takes back what has
/// failed since.
pub async fn book_given_back(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    found: &[GivenBack],
) -> Result<Booked, ReactionError> {
    let mut root = roots::lock_or_create(conn, order_id).await?;
    book(conn, &mut root, found).await
}

async fn book(conn: &mut AsyncPgConnection, root: &mut Root, found: &[GivenBack]) -> Result<Booked, ReactionError> {
    let mut booked = Booked::Nothing;
    for given in found {
        let Some(code) = &given.failed else { continue };
        let done = known(&root.payment, given).filter(|refund| refund.is_made_at_gateway());
        if let Some(id) = done.map(|refund| refund.id) {
            take_back(conn, root, id, code).await?;
            booked = Booked::Something;
        }
    }
    let cause = Cause { event: None, traceparent: trace::current_traceparent() };
    for (name, amount) in made_elsewhere(&root.payment, found) {
        match root.payment.given_back_elsewhere(&name, amount) {
            Ok(step) => {
                let (order, amount) = (root.payment.order_id, amount.amount());
                tracing::warn!(order.id = %order, gateway.id = name, amount, "money went back that nobody here asked for");
                metrics::counter!("payment_refunds_made_elsewhere_total").increment(1);
                let beyond = root.payment.refunds.last().and_then(Refund::beyond_captured);
                follow(conn, root, step, &cause).await?;
                if let Some(beyond) = beyond {
                    tracing::error!(order.id = %order, gateway.id = name, %beyond,
                        "more went back than was left of what was captured: somebody must look");
                    metrics::counter!("payment_refunds_over_captured_total").increment(1);
                }
                booked = Booked::Something;
            }
            Err(refused) => {
                tracing::debug!(order.id = %root.payment.order_id, %refused, "what went back is booked later");
                return Ok(Booked::Awaited);
            }
        }
    }
    if booked == Booked::Something {
        // Not before all of it is booked: while a refund is asked for, nothing else is.
        let next = root.payment.next_refund();
        follow(conn, root, next, &cause).await?;
    }
    Ok(booked)
}

async fn take_back(
    conn: &mut AsyncPgConnection,
    root: &mut Root,
    id: RefundId,
    code: &str,
) -> Result<(), ReactionError> {
    let Ok(step) = root.payment.refund_came_back(id, code.to_owned()) else { return Ok(()) };
    let order = root.payment.order_id;
    tracing::error!(order.id = %order, refund.id = %id, code, "a refund that was made has failed: somebody must look");
    metrics::counter!("payment_refunds_come_back_total").increment(1);
    let cause = Cause { event: None, traceparent: trace::current_traceparent() };
    follow(conn, root, step, &cause).await
}
