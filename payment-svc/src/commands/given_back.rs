use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::{Pool, consumer::ReactionError};
use shared_events::{Money, OrderId};

use super::{Heard, NotHeard};
use crate::domain::{Elsewhere, Payment, Refund, RefundState, State, Transition, refund_made_elsewhere};
use crate::gateway::{GivenBack, PaymentGateway};
use crate::store::webhooks::{self, Outcome};
use crate::store::{self, Causation, Loaded, calls};
use crate::webhooks::WebhookEvent;

/// What entering the gateway's refunds has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// All of it was known.
    Nothing,
    /// Something was entered, or taken back.
    Something,
    /// A call is unfinished: its answer must be entered first.
    Awaited,
}

/// The gateway reports that something happened to money that went back: by us, in its dashboard, or by a dispute of the
/// customer's bank. All that it has given back of the intent is looked up, and what is unknown is entered. While a
/// call's own answer is awaited, the gateway must report it again later.
pub(super) async fn given_back_changed<G: PaymentGateway>(
    pool: &Pool,
    gateway: &G,
    event: &WebhookEvent,
    before: &Payment,
    intent: String,
) -> Result<Heard, NotHeard> {
    if before.state != State::Captured {
        return awaited(pool, before).await;
    }
    let found = gateway.given_back(intent).await?;
    let mut conn = pool.get().await?;
    let heard = conn.transaction(async |conn| {
        let mut loaded = store::load(conn, [before.order_id]).await?;
        let payment = loaded.payment(before.order_id)?;
        let early = event.refund.as_deref().is_some_and(|name| is_awaited(payment, &found, name));
        let outcome = match enter_loaded(&mut loaded, before.order_id, &found)? {
            Entered::Nothing => Outcome::NothingNew,
            Entered::Something => Outcome::Applied,
            Entered::Awaited => return Err(NotHeard::TooEarly),
        };
        if !webhooks::take(conn, event, outcome).await? {
            return Ok(Heard::Duplicate);
        }
        if early {
            return Err(NotHeard::TooEarly);
        }
        store::save(conn, loaded).await?;
        Ok(Heard::Now(outcome))
    });
    match heard.await {
        Err(NotHeard::TooEarly) => awaited(pool, before).await,
        heard => heard,
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

/// What the gateway has given back that this service neither asked for nor entered.
fn made_elsewhere(payment: &Payment, found: &[GivenBack]) -> Vec<Elsewhere> {
    let Some(currency) = payment.charge.as_ref().map(|charge| charge.amount.currency()) else { return vec![] };
    let unknown = found.iter().filter(|given| given.failed.is_none() && known(payment, given).is_none());
    let named = |given: &GivenBack| Some((given.id.clone(), Money::new(given.amount, currency).ok()?));
    unknown.filter_map(named).collect()
}

/// Enters, under the payment's lock, what the gateway has given back and this service doesn't know, and takes back what
/// has failed since. Reports if something can't be entered before the answer to an unfinished call.
pub async fn enter_given_back(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    found: &[GivenBack],
) -> Result<Vec<Elsewhere>, ReactionError> {
    let mut loaded = store::load(conn, [order_id]).await?;
    enter_loaded(&mut loaded, order_id, found)?;
    let left = made_elsewhere(loaded.payment(order_id)?, found);
    store::save(conn, loaded).await?;
    Ok(left)
}

fn enter_loaded(loaded: &mut Loaded, order_id: OrderId, found: &[GivenBack]) -> diesel::QueryResult<Entered> {
    let causation = Causation::current(None);
    let mut payment = loaded.payment(order_id)?.clone();
    enter_found(&mut payment, found, |payment, step| loaded.apply(payment.clone(), step, &causation))
}

/// Enters what the gateway has given back, step by step. `follow` gets the payment after each step; its errors are
/// returned.
pub fn enter_found<E>(
    payment: &mut Payment,
    found: &[GivenBack],
    mut follow: impl FnMut(&Payment, Transition) -> Result<(), E>,
) -> Result<Entered, E> {
    let (order, mut entered) = (payment.order_id, Entered::Nothing);
    for given in found {
        let Some(code) = &given.failed else { continue };
        let done = known(payment, given).filter(|refund| refund.is_made_at_gateway()).map(|refund| refund.id);
        let Some(id) = done else { continue };
        if let Ok(step) = payment.refund_came_back(id, code.clone()) {
            tracing::error!(order.id = %order, refund.id = %id, code, "a refund that was made has failed: somebody must look");
            metrics::counter!("payment_refunds_come_back_total").increment(1);
            follow(payment, step)?;
            entered = Entered::Something;
        }
    }
    for (name, amount) in made_elsewhere(payment, found) {
        match payment.given_back_elsewhere(&name, amount) {
            Ok(step) => {
                let amount = amount.amount();
                tracing::warn!(order.id = %order, gateway.id = name, amount, "money went back that nobody here asked for");
                metrics::counter!("payment_refunds_made_elsewhere_total").increment(1);
                if let Some(beyond) = payment.refunds.last().and_then(Refund::beyond_captured) {
                    tracing::error!(order.id = %order, gateway.id = name, %beyond,
                        "more went back than was left of what was captured: somebody must look");
                    metrics::counter!("payment_refunds_over_captured_total").increment(1);
                }
                follow(payment, step)?;
                entered = Entered::Something;
            }
            Err(refused) => {
                tracing::debug!(order.id = %order, %refused, "what went back is entered later");
                return Ok(Entered::Awaited);
            }
        }
    }
    if entered == Entered::Something {
        // Not before all of it is entered: while a refund is asked for, nothing else is.
        let next = payment.next_refund();
        follow(payment, next)?;
    }
    Ok(entered)
}
