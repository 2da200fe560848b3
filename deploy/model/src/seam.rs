//! Where the explorer calls the services' domains, as their reactions and commands do. A rule is left out here: a
//! decision is dropped, or made about a changed event.

use order_svc::domain::{Destination, PaymentFact, Progress, Status};
use payment_svc::commands;
use payment_svc::domain::{Call, GatewayReply, Payment, Refund, RefundState, Refused, State, Transition};
use payment_svc::gateway::IntentState;
use shared_events::{
    Address, CancelReason, Event, EventId, Money, OrderCancelled, OrderCompleted, OrderEvent, PaymentDeclined,
    PaymentEvent, RefundId, Rejection, RestockCause, ShipmentEvent, StockEvent,
};
use stock_svc::domain::{Allocation, Change, Refused as StockRefused, Shipment, Stage};

use crate::hear::{self, now};
use crate::play::nowhere;
use crate::sabotage::Sabotage;
use crate::shared::Shared;
use crate::world::World;

/// order-svc reacts, by its own `reactions::decide`.
pub fn order(world: &mut World, left_out: Option<Sabotage>, event: &Event, id: EventId, sequence: i64) {
    let mut row = world.order.clone_value();
    if left_out == Some(Sabotage::CalledOffCounts) && is_called_off(event) {
        return;
    }
    let event = &misheard(event, left_out);
    let Some(Ok((progress, mut events))) = hear::order(&mut row, event, id, sequence) else { return };
    row.progress = progress;
    match left_out {
        Some(Sabotage::NeverStarted) => events.extend(ended_without_a_word_of_money(&mut row.progress)),
        Some(Sabotage::LossAwaitsRefund) => events.extend(completed_without_the_refund(&mut row.progress, 0)),
        Some(Sabotage::CalledOffAwaitsRefund) => {
            let called_off = row.progress.facts.pieces_called_off();
            events.extend(completed_without_the_refund(&mut row.progress, called_off));
        }
        Some(Sabotage::FactsStayTrue) => {
            row.progress.facts.captured = row.progress.facts.payment == Some(PaymentFact::Captured);
        }
        _ => {}
    }
    world.order = Shared::new(row);
    world.say(events);
}

fn misheard(event: &Event, left_out: Option<Sabotage>) -> Event {
    let mut event = event.clone();
    match (left_out, &mut event) {
        (Some(Sabotage::ReturnIsNoCancel), Event::Stock(StockEvent::Restocked(back))) => {
            back.cause = RestockCause::Cancelled;
        }
        (Some(Sabotage::LeftAddressesAreTold), Event::Stock(StockEvent::AddressDecided(decided))) => {
            decided.kept.clear();
        }
        (Some(Sabotage::RefundCapped), Event::Payment(PaymentEvent::Refunded(refund))) => {
            refund.remaining = Money::zero(refund.remaining.currency());
        }
        (Some(Sabotage::PartsCountTheirPieces), Event::Shipment(ShipmentEvent::Created(part))) => {
            part.lines.push(part.lines[0].clone());
        }
        _ => {}
    }
    event
}

fn ended_without_a_word_of_money(order: &mut Progress) -> Option<Event> {
    match order.status {
        Status::Cancelling(reason) if order.facts.goods_are_back() && order.facts.payment.is_none() => {
            order.status = Status::Cancelled(reason);
            Some(OrderCancelled::new(order.order_id, reason).into())
        }
        _ => None,
    }
}

fn is_called_off(event: &Event) -> bool {
    matches!(event, Event::Stock(StockEvent::Restocked(back)) if back.cause == RestockCause::CalledOff)
}

fn completed_without_the_refund(order: &mut Progress, called_off: i64) -> Option<Event> {
    let ended = order.facts.captured && order.facts.pieces_ended() + called_off >= order.pieces;
    if order.status != Status::Shipped || !ended {
        return None;
    }
    order.status = Status::Completed;
    Some(OrderCompleted { order_id: order.order_id }.into())
}

/// The customer changes the address, as `commands::redirect_order` does.
pub fn redirect(world: &mut World, left_out: Option<Sabotage>, address: Address) -> bool {
    let (destination, status) = (world.order.destination.clone(), world.order.progress.status);
    let goes_on = matches!(status, Status::Confirmed | Status::PartiallyShipped);
    let alone = left_out == Some(Sabotage::AddressDecidedByStock) && goes_on;
    let status = if alone { Status::Pending } else { status };
    let decided = destination.redirect(world.order.progress.order_id, status, address);
    let Ok((destination, events)) = decided else { return false };
    world.order.change(|row| row.destination = destination);
    world.say(events);
    true
}

/// An operator has the customer forgotten, as `commands::forget_customer` does.
pub fn forget(world: &mut World, left_out: Option<Sabotage>) -> bool {
    let customer = world.placed().customer.id.clone();
    let Ok((progress, events)) = world.order.progress.clone().forget(customer) else { return false };
    world.order.change(|row| {
        let asked = row.destination.asked.take().filter(|_| left_out == Some(Sabotage::ForgottenWishesGo));
        (row.progress, row.forgotten) = (progress, true);
        row.destination = Destination { address: nowhere(), asked };
    });
    world.say(events);
    true
}

/// stock-svc reacts, by its own `reactions::decide`.
pub fn stock(world: &mut World, left_out: Option<Sabotage>, event: &Event, sequence: i64) {
    let allocation = world.allocation.clone_value();
    let decided = match left_out.and_then(|left_out| stock_without(left_out, &allocation, event, sequence)) {
        Some(instead) => instead,
        None => hear::stock(allocation, event, sequence, &world.shelf.levels()),
    };
    if let Some(Ok(change)) = decided {
        world.keep(change);
    }
}

type StockDecision = Option<Result<Change, StockRefused>>;

/// The decision without the rule; none if the rule makes no difference here.
fn stock_without(left_out: Sabotage, allocation: &Allocation, event: &Event, sequence: i64) -> Option<StockDecision> {
    let cancel = |allocation: Allocation, reason| allocation.cancel(reason, now());
    match (left_out, event) {
        (Sabotage::UndoOnRequest, Event::Order(OrderEvent::CancelRequested(_))) => Some(None),
        (Sabotage::ForgottenAddressesGo, Event::Order(OrderEvent::Forgotten(_))) => Some(None),
        (Sabotage::UndoOnRequest, Event::Order(OrderEvent::Cancelled(cancelled))) => {
            Some(Some(cancel(allocation.clone(), cancelled.reason)))
        }
        (Sabotage::ShipAfterCapture, Event::Order(OrderEvent::Confirmed(_))) => {
            let paid = Allocation { captured: true, ..allocation.clone() };
            Some(hear::stock(paid, event, sequence, &Default::default()))
        }
        (Sabotage::ConfirmAnswered, Event::Order(OrderEvent::Confirmed(_))) if allocation.hold_expired() => Some(None),
        (Sabotage::DeclinesRelease, Event::Payment(PaymentEvent::Declined(_))) if allocation.hold_expired() => {
            Some(None)
        }
        (Sabotage::LeftGoodsStay, Event::Order(OrderEvent::CancelRequested(request))) => {
            let gone = allocation.shipments.iter().any(|parcel| parcel.stage == Stage::Dispatched);
            gone.then(|| Some(cancel_what_is_there(allocation, request.reason)))
        }
        (Sabotage::LeftAddressesStay, Event::Order(OrderEvent::AddressChangeRequested(asked))) => {
            let decided = allocation.clone().decide_address(&asked.delivery_address, sequence);
            Some(Some(decided.map(|mut change| {
                for parcel in change.allocation.shipments.iter_mut().filter(|parcel| parcel.stage == Stage::Dispatched)
                {
                    parcel.address = Some(asked.delivery_address.clone());
                }
                change
            })))
        }
        (Sabotage::CallOffSparesWhatLeft, Event::Order(OrderEvent::CallOffRequested(_))) => {
            let mut allocation = allocation.clone();
            let there = |parcel: &&mut Shipment| parcel.stage == Stage::Dispatched;
            allocation.shipments.iter_mut().filter(there).skip(1).for_each(|parcel| parcel.stage = Stage::Packed);
            Some(Some(allocation.call_off(None, now())))
        }
        (Sabotage::PartsCancelledApart, Event::Order(OrderEvent::CancelRequested(request))) => {
            let parts = allocation.shipments.iter().filter(|parcel| parcel.stage != Stage::Cancelled);
            let (there, gone): (Vec<_>, Vec<_>) = parts.partition(|parcel| parcel.stage.in_the_warehouse());
            (!there.is_empty() && !gone.is_empty()).then(|| Some(cancel_what_is_there(allocation, request.reason)))
        }
        _ => None,
    }
}

/// Cancels as if the shipments that have left did not exist.
fn cancel_what_is_there(allocation: &Allocation, reason: CancelReason) -> Result<Change, StockRefused> {
    let mut rest = allocation.clone();
    rest.shipments.retain(|parcel| parcel.stage.in_the_warehouse());
    let mut change = rest.cancel(reason, now())?;
    let gone = allocation.shipments.iter().filter(|parcel| !parcel.stage.in_the_warehouse());
    change.allocation.shipments.splice(0..0, gone.cloned());
    Ok(change)
}

/// payment-svc reacts, as its own reactions do.
pub fn payment(world: &mut World, left_out: Option<Sabotage>, event: &Event, id: EventId) {
    let mut payment = world.payment.payment.clone();
    let decided = match left_out.and_then(|left_out| payment_without(left_out, &mut payment, event, id)) {
        Some(instead) => instead,
        None => hear::payment(&mut payment, event, id),
    };
    match decided {
        Some(Ok(step)) => world.follow(payment, step),
        Some(Err(Refused::NotOrdered { .. })) => world.fault = Some("payment-svc fails an event for good"),
        Some(Err(Refused::Not { .. } | Refused::MoreThanRemains { .. } | Refused::RefundNotFailed { .. })) | None => {}
    }
}

type PaymentDecision = Option<Result<Transition, Refused>>;

fn payment_without(left_out: Sabotage, payment: &mut Payment, event: &Event, id: EventId) -> Option<PaymentDecision> {
    let undo = matches!(event, Event::Stock(StockEvent::Released(_) | StockEvent::Restocked(_)));
    match (left_out, payment.state) {
        (Sabotage::AllocationFirst, _) if matches!(event, Event::Order(OrderEvent::CancelRequested(_))) => {
            Some(Some(payment.released(RefundId::caused_by(id))))
        }
        (Sabotage::ExpiryStopsOnlyAuthorising, State::Authorized)
            if matches!(event, Event::Stock(StockEvent::Expired(_))) =>
        {
            Some(Some(payment.released(RefundId::caused_by(id))))
        }
        (Sabotage::UndoRemembered, State::Authorizing | State::Capturing) if undo => Some(None),
        (Sabotage::UndoClosesWaiting, State::WaitingToRetry | State::ActionRequired) if undo => Some(None),
        (Sabotage::RejectedExpiredKeepsNote, State::Authorized | State::CaptureFailed) => match event {
            Event::Stock(StockEvent::Rejected(rejected)) if rejected.rejection == Rejection::Expired => {
                payment.state = State::Closed;
                Some(Some(Ok(Transition::default())))
            }
            _ => None,
        },
        (Sabotage::CalledOffRefunded, _) if is_called_off(event) => Some(None),
        (Sabotage::LossRefunded, _) if matches!(event, Event::Shipment(_)) => Some(None),
        (Sabotage::RefundCapped, _) if undo => Some(without_cap(payment, event, id)),
        (Sabotage::RefundOwedWhole, _) => Some(cut_when_it_is_written(payment, event, id)),
        _ => None,
    }
}

/// Limits the refund that an event causes to what will remain if all earlier refunds succeed.
fn cut_when_it_is_written(payment: &mut Payment, event: &Event, id: EventId) -> PaymentDecision {
    let known = payment.refunds.len();
    let step = hear::payment(payment, event, id);
    let waits = payment.refunds.len() > known && payment.refunds[known].state == RefundState::Queued;
    if let (true, Some(charge)) = (waits, &payment.charge) {
        let claims = |refund: &&Refund| !matches!(refund.state, RefundState::Failed | RefundState::Moot);
        let mut before = payment.refunds[..known].iter().filter(claims).map(|refund| refund.amount);
        let left = before.try_fold(charge.amount, |left, amount| left.checked_sub(amount));
        match left.filter(|left| !left.is_zero()) {
            Some(left) if left.amount() < payment.refunds[known].amount.amount() => {
                payment.refunds[known].amount = left
            }
            Some(_) => {}
            None => payment.refunds.truncate(known),
        }
    }
    step
}

/// Hides earlier refunds, so that they don't count against the cap.
fn without_cap(payment: &mut Payment, event: &Event, id: EventId) -> PaymentDecision {
    let before = std::mem::take(&mut payment.refunds);
    let busy = before.iter().any(|refund| refund.state == RefundState::Calling);
    let step = hear::payment(payment, event, id);
    if busy {
        payment.refunds.iter_mut().for_each(|refund| refund.state = RefundState::Queued);
    }
    payment.refunds.splice(0..0, before);
    step.map(|step| step.map(|step| Transition { call: step.call.filter(|_| !busy), ..step }))
}

/// payment-svc applies the gateway's answer, by its own `commands::answered`.
pub fn answered(
    payment: &mut Payment,
    left_out: Option<Sabotage>,
    call: Call,
    answer: GatewayReply,
) -> Result<(Transition, Option<&'static str>), Refused> {
    let undone = payment.void_requested;
    if left_out == Some(Sabotage::UndoneDeclineFinal) && matches!(answer, GatewayReply::NotNow { .. }) {
        payment.void_requested = false;
    }
    let answer = match (left_out, answer) {
        (Some(Sabotage::OvertakenRefundLooksUp), GatewayReply::Overtaken { code, .. }) => GatewayReply::No { code },
        (Some(Sabotage::CapturedIsNotVoided), GatewayReply::CapturedElsewhere { .. }) => GatewayReply::Done,
        (_, answer) => answer,
    };
    let step = commands::answered(payment, call, answer);
    payment.void_requested |= undone;
    step
}

/// The customer fails 3-D Secure, and payment-svc learns of it, by its own `commands::found`.
pub fn action_failed(payment: &mut Payment, left_out: Option<Sabotage>, code: String) -> Option<Transition> {
    let before = payment.clone();
    let step = commands::found(payment, &before, IntentState::Declined { code: code.clone() })?.ok()?;
    if left_out != Some(Sabotage::FailedActionClosedFirst) {
        return Some(step);
    }
    payment.state = State::Declined;
    let (order_id, payment_id) = (payment.order_id, payment.id);
    let declined = PaymentDeclined { order_id, payment_id, code, retryable: false };
    Some(Transition { events: vec![PaymentEvent::Declined(declined)], call: None, ..step })
}
