use diesel_async::AsyncPgConnection;
use service_kit::{
    consumer::{Handled, Incoming, ReactionError, Why},
    timers, trace,
};
use shared_events::{Event, EventId};

use crate::{
    domain::{Refused, State, Transition},
    store::{
        self, calls, ledger, look_ups,
        roots::{self, Cause, Root},
    },
};

/// The timer that asks the gateway again after a decline that may pass; its key is the order's id.
pub const RETRY: &str = "payment_retry";

/// Does what a step of the state machine asks for, in the caller's transaction and under the root's lock: announces,
/// saves, enters what was moved into the ledger, writes down the next gateway call, and sets the time of a retry.
pub async fn follow(
    conn: &mut AsyncPgConnection,
    root: &mut Root,
    step: Transition,
    cause: &Cause,
) -> Result<(), ReactionError> {
    let events = step.events.into_iter().map(Event::Payment).collect();
    roots::announce(conn, root, events, cause).await?;
    for (call, amount) in step.moved {
        ledger::write(conn, &root.payment, call, amount).await?;
    }
    if let Some((refund, amount)) = step.came_back {
        ledger::reverse(conn, &root.payment, refund, amount).await?;
    }
    for (refund, amount) in step.made_good {
        ledger::write_more(conn, &root.payment, refund, amount).await?;
    }
    if let Some((refund, amount)) = step.outside {
        ledger::write_outside(conn, &root.payment, refund, amount).await?;
    }
    if step.hastens {
        calls::hasten(conn, root.payment.id).await?;
    }
    if let Some(call) = step.finishes {
        let outcome = if root.payment.state == State::Closing { "action_failed" } else { "done" };
        calls::finish(conn, &root.payment.key(call), outcome).await?;
    }
    if let Some(call) = step.call {
        calls::insert(conn, &root.payment, call, cause).await?;
    }
    if root.payment.state == State::ActionRequired {
        look_ups::begin(conn, root.payment.order_id).await?;
    }
    if let Some(wait) = step.retry_in {
        let due_at = store::now(conn).await? + wait;
        timers::set(conn, RETRY, &root.payment.order_id.to_string(), due_at).await?;
    }
    Ok(())
}

/// Follows the step that an event has led to. A refusal that a race can cause is recorded and ignored; one that no race
/// can cause needs a person.
///
/// # Errors
/// The database, or an event that contradicts what is known.
pub async fn heard(
    conn: &mut AsyncPgConnection,
    incoming: &Incoming<Event>,
    mut root: Root,
    step: Result<Transition, Refused>,
) -> Result<Handled, ReactionError> {
    match step {
        Ok(step) => {
            let cause = Cause { event: Some(EventId(incoming.envelope.id)), traceparent: trace::current_traceparent() };
            follow(conn, &mut root, step, &cause).await?;
            Ok(Handled::Applied)
        }
        Err(race @ (Refused::Not { .. } | Refused::MoreThanRemains { .. } | Refused::RefundNotFailed { .. })) => {
            Ok(Handled::Ignored(Why::refused(race.to_string())))
        }
        Err(nonsense @ Refused::NotOrdered { .. }) => Err(ReactionError::permanent(nonsense)),
    }
}
