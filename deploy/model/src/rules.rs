//! The rules: what must hold in every state, in a state at rest, at the end, and between two states.

use order_svc::domain::Status;
use payment_svc::domain::State as PaymentState;
use shared_events::{Event, GatewayOperation, OrderEvent, PaymentEvent, ShipmentEvent, Sku, Topic};
use stock_svc::domain::{Allocation, State};

use crate::bank::Entry;
use crate::play::ELSEWHERE;
use crate::shelf::Shelf;
use crate::steps::Step;
use crate::world::World;

/// The order's status and reason, as text.
pub fn end_of(world: &World) -> String {
    let status = world.order.progress.status;
    status.reason().map_or(status.name().to_owned(), |reason| format!("{} {}", status.name(), reason.as_str()))
}

/// The rule that is broken in `world`; `next` are the steps that are possible there.
pub fn broken(world: &World, next: &[Step]) -> Option<String> {
    let now = always(world).or_else(|| shelf(&world.shelf, [world]));
    now.map(str::to_owned).or_else(|| at_rest(world, next))
}

/// The rule that is broken in a state in which nothing happens by itself any more.
pub fn at_rest(world: &World, next: &[Step]) -> Option<String> {
    if next.iter().any(|step| step.by_itself) {
        return None;
    }
    let left_over = resting(world).or_else(|| if next.is_empty() { ended(world) } else { None });
    left_over.map(str::to_owned).or_else(|| stuck(world, next))
}

/// What must hold of one order at all times.
pub fn always(world: &World) -> Option<&'static str> {
    let money = sent(world).or_else(|| money(world)).or_else(|| said(world));
    let ends = || cancelled(world).or_else(|| completed(world));
    money
        .or_else(ends)
        .or_else(|| packed(&world.allocation))
        .or_else(|| gone(world))
        .or_else(|| sent_elsewhere(world))
        .or_else(|| named_again(world))
        .or(world.fault)
}

fn has_left(allocation: &Allocation) -> bool {
    allocation.shipments.iter().any(|parcel| parcel.stage.has_left())
}

/// Nothing is shipped before it is captured. Once something has left, only returns, losses, staff refunds and lines
/// that were called off are refunded.
fn sent(world: &World) -> Option<&'static str> {
    if !has_left(&world.allocation) {
        None
    } else if world.bank.captured == 0 {
        Some("shipped and not captured")
    } else if world.bank.refunded > world.given_back {
        Some("shipped and refunded beyond what came back")
    } else {
        None
    }
}

/// The captured amount is 0 or the total, and refunds never exceed it. While no call is unfinished, the gateway's
/// journal and payment-svc's ledger agree, entry by entry.
fn money(world: &World) -> Option<&'static str> {
    let (bank, rows) = (&world.bank, &world.payment);
    let total = rows.payment.charge.as_ref().map_or(0, |charge| charge.amount.amount());
    let is_total_or_nothing = |amount| amount == 0 || amount == total;
    let keys = || bank.journal.iter().map(|entry| &entry.key);
    if !is_total_or_nothing(bank.captured) || !is_total_or_nothing(bank.authorised) {
        Some("another amount than the order's total was taken")
    } else if bank.net() < 0 {
        Some("refunded more than captured")
    } else if keys().enumerate().any(|(n, key)| keys().take(n).any(|earlier| earlier == key)) {
        Some("two effects of one key")
    } else if rows.call.is_none() && !acted_unheard(world) && !the_same(world) {
        Some("the ledger isn't the gateway's journal")
    } else {
        None
    }
}

/// Whether the customer has acted but payment-svc has not asked the gateway yet.
fn acted_unheard(world: &World) -> bool {
    world.payment.payment.state == PaymentState::ActionRequired && world.bank.authorised > 0
}

/// Whether ledger and journal agree, in any order. Movements that payment-svc can't know of yet are left out.
fn the_same(world: &World) -> bool {
    let (ledger, journal) = (&world.payment.ledger, &world.bank.journal);
    let unheard = |entry: &&Entry| !ledger.iter().any(|known| known.key == entry.key);
    let by_somebody_else = |entry: &&Entry| world.unheard_refund().is_some() && entry.key == ELSEWHERE;
    let missing =
        journal.iter().filter(unheard).filter(|entry| !by_somebody_else(entry) && !world.by_hand.contains(&entry.key));
    ledger.iter().all(|entry| journal.contains(entry)) && missing.count() == 0
}

/// Each of these events is published at most once, and no two that exclude each other.
fn said(world: &World) -> Option<&'static str> {
    const ONCE: [(&str, &str); 7] = [
        ("payment.authorized.v1", "authorized twice"),
        ("payment.captured.v1", "captured twice"),
        ("payment.voided.v1", "voided twice"),
        ("order.confirmed.v1", "confirmed twice"),
        ("order.cancelled.v1", "cancelled twice"),
        ("order.completed.v1", "completed twice"),
        ("stock.released.v1", "released twice"),
    ];
    if let Some((_, twice)) = ONCE.iter().find(|(type_name, _)| world.times_said(type_name) > 1) {
        return Some(twice);
    }
    let all_refunded = |event: &&Event| match event {
        Event::Payment(PaymentEvent::Refunded(refund)) => refund.remaining.is_zero(),
        _ => false,
    };
    let declined_for_good = |event: &&Event| match event {
        Event::Payment(PaymentEvent::Declined(declined)) => !declined.retryable,
        _ => false,
    };
    let declines = world.said(Topic::Payments).filter(declined_for_good).count();
    if declines > 1 {
        Some("declined for good twice")
    } else if declines > 0 && world.times_said("payment.authorized.v1") > 0 {
        Some("declined and authorised")
    } else if declines > 0
        && world.by_hand.is_empty()
        && world.bank.journal.iter().any(|entry| entry.operation == GatewayOperation::Authorise)
    {
        Some("declined although the bank had agreed")
    } else if world.said(Topic::Payments).filter(all_refunded).count() > 1 {
        Some("refunded to the end twice")
    } else {
        None
    }
}

/// The shelf's sums are right at all times, given all orders that may have reserved something.
pub fn shelf<'a>(shelf: &Shelf, orders: impl IntoIterator<Item = &'a World>) -> Option<&'static str> {
    let holds: Vec<_> = orders.into_iter().flat_map(World::holds).collect();
    let held = |sku: &Sku| holds.iter().filter(|line| line.sku == *sku).map(|line| i64::from(line.quantity)).sum();
    shelf.wrong(held)
}

/// A cancelled order has neither stock nor money.
fn cancelled(world: &World) -> Option<&'static str> {
    if !matches!(world.order.progress.status, Status::Cancelled(_)) {
        return None;
    }
    match world.allocation.reservation.as_ref().map(|reservation| reservation.state) {
        Some(State::Held { .. } | State::Committed) => Some("cancelled with goods held"),
        _ if world.bank.authorised > 0 || world.bank.net() > 0 => Some("cancelled with money held at the gateway"),
        _ if under_way(world) => Some("cancelled with a payment under way"),
        _ if has_left(&world.allocation) => Some("cancelled and shipped"),
        _ => None,
    }
}

/// The shipments that were not split contain exactly what was ordered, including those that were called off.
fn packed(allocation: &Allocation) -> Option<&'static str> {
    let parcels = || allocation.shipments.iter().filter(|parcel| parcel.split_into.is_empty());
    let in_parcels = |sku: &Sku| -> i64 {
        let lines = parcels().flat_map(|parcel| &parcel.lines).filter(|line| line.sku == *sku);
        lines.map(|line| i64::from(line.quantity)).sum()
    };
    let whole = allocation.lines().iter().all(|line| in_parcels(&line.sku) == i64::from(line.quantity));
    (parcels().next().is_some() && !whole).then_some("what is in the parcels isn't what was ordered")
}

/// A shipment that has left is never called off.
fn gone(world: &World) -> Option<&'static str> {
    let stays = |id| world.allocation.shipments.iter().any(|parcel| parcel.id == id && parcel.stage.has_left());
    let came_back = |event: &Event| match event {
        Event::Shipment(ShipmentEvent::Dispatched(gone)) => !stays(gone.shipment_id),
        _ => false,
    };
    world.said(Topic::Shipments).any(came_back).then_some("called off after it had left")
}

/// A shipment that has left keeps the address that it was sent to, until the customer is forgotten.
fn sent_elsewhere(world: &World) -> Option<&'static str> {
    let fits = |kept: &Option<_>, address: &Option<_>| kept == address || (world.order.forgotten && kept.is_none());
    let bears =
        |id, address: &Option<_>| world.allocation.shipments.iter().any(|p| p.id == id && fits(&p.address, address));
    let wrong = world.sent_to.iter().any(|(id, address)| !bears(*id, address));
    wrong.then_some("a parcel bears another address than it was sent to")
}

/// Nothing that is said of an order behind `order.forgotten` names an address, so a replay ends without one.
fn named_again(world: &World) -> Option<&'static str> {
    let is_forgotten = |event: &&Event| matches!(event, Event::Order(OrderEvent::Forgotten(_)));
    let mut behind = world.said(Topic::Orders).skip_while(|event| !is_forgotten(event));
    let named = behind.any(|event| {
        matches!(event, Event::Order(OrderEvent::AddressChanged(_) | OrderEvent::AddressChangeRequested(_)))
    });
    named.then_some("an address was said of a customer who was forgotten")
}

/// In the end nobody keeps an address of whoever was forgotten.
fn kept(world: &World) -> Option<&'static str> {
    let has_one = || {
        let shipments = world.allocation.shipments.iter().any(|parcel| parcel.address.is_some());
        shipments || world.allocation.address.is_some() || world.order.destination.asked.is_some()
    };
    (world.order.forgotten && has_one()).then_some("an address is kept of a customer who was forgotten")
}

/// In the end the customer knows where each shipment went: to the order's address, unless they were told otherwise.
fn told_where(world: &World) -> Option<&'static str> {
    let order = &world.order;
    if order.forgotten {
        return kept(world);
    }
    if order.destination.asked.is_some() {
        return Some("ended with nothing said to a change of address");
    }
    let told = |id| {
        world.said(Topic::Orders).any(|event| match event {
            Event::Order(OrderEvent::AddressChangeRefused(refused)) => refused.shipments.contains(&id),
            _ => false,
        })
    };
    let home = Some(&order.destination.address);
    let untold = world.sent_to.iter().any(|(id, address)| address.as_ref() != home && !told(*id));
    untold.then_some("a parcel went elsewhere than the customer was told")
}

/// A completed order has nothing left to send, and everything that was lost or called off is refunded.
fn completed(world: &World) -> Option<&'static str> {
    let is_completed = world.order.progress.status == Status::Completed;
    if is_completed && world.allocation.shipments.iter().any(|parcel| parcel.stage.in_the_warehouse()) {
        return Some("completed with a parcel in the warehouse");
    }
    let open = is_completed && world.bank.refunded < world.to_refund.min(world.bank.captured);
    open.then_some("completed with something lost or called off that is not refunded")
}

fn under_way(world: &World) -> bool {
    let waits = matches!(world.payment.payment.state, PaymentState::WaitingToRetry | PaymentState::ActionRequired);
    waits || world.payment.call.is_some()
}

/// Rules for a state at rest: only people and timers can still do something.
fn resting(world: &World) -> Option<&'static str> {
    if world.payment.call.is_some() {
        Some("at rest with a call to the gateway unfinished")
    } else if world.bank.authorised > 0 {
        Some("at rest with authorised money left at the gateway")
    } else if has_left(&world.allocation)
        && world.bank.refunded < world.given_back.min(world.bank.captured) - refused(world)
    {
        Some("at rest with something that came back not refunded")
    } else {
        None
    }
}

/// The amount of the refund that the gateway has refused and that waits for a person.
fn refused(world: &World) -> i64 {
    world.refused_refund().map_or(0, |refund| refund.amount.amount())
}

/// Rules for the end: nothing can happen any more.
fn ended(world: &World) -> Option<&'static str> {
    if !world.holds().is_empty() {
        Some("ended with goods held")
    } else if world.order.progress.facts.call_off_asked {
        Some("ended with nothing said to what was to be called off")
    } else {
        told_where(world)
    }
}

/// An order must come to an end by itself, unless it waits for the customer, for staff to make up for a refused
/// refund, or for either to call off what can't leave.
fn stuck(world: &World, next: &[Step]) -> Option<String> {
    let status = world.order.progress.status;
    if matches!(status, Status::Completed | Status::Cancelled(_)) {
        return None;
    }
    let waits_for_customer = world.payment.payment.state == PaymentState::ActionRequired && status == Status::Pending;
    let waits_for_the_hold_to_end = world.late && !world.holds().is_empty();
    let waits_for_staff = world.refused_refund().is_some();
    let waits_to_be_called_off = next.iter().any(|step| step.label.does.starts_with("calls off"));
    let waits = waits_for_customer || waits_for_the_hold_to_end || waits_for_staff || waits_to_be_called_off;
    if waits && !next.is_empty() {
        return None;
    }
    let help = if next.is_empty() { "nothing can end it" } else { "only a timer or the customer can" };
    Some(format!("stuck {}, payment {}: {help}", end_of(world), world.payment.payment.state.as_str()))
}

/// A transition that the state machine doesn't have.
pub fn illegal(before: &World, after: &World) -> Option<String> {
    let parts = [
        ("order", status_of(before), status_of(after), ORDER),
        ("payment", payment_of(before), payment_of(after), PAYMENT),
        ("reservation", reservation_of(before), reservation_of(after), RESERVATION),
    ];
    let parcels = after.allocation.shipments.iter().map(|parcel| {
        let was = before.allocation.shipments.iter().find(|before| before.id == parcel.id);
        ("shipment", was.map_or("not created", |before| before.stage.name()), parcel.stage.name(), SHIPMENT)
    });
    let (what, from, to, _) = parts.into_iter().chain(parcels).find(|(_, from, to, allowed)| {
        from != to && !allowed.iter().any(|(one, others)| one == from && others.contains(to))
    })?;
    Some(format!("a {what} that is {from} became {to}"))
}

type Transitions = &'static [(&'static str, &'static [&'static str])];

const ORDER: Transitions = &[
    ("pending", &["confirmed", "cancelling", "cancelled"]),
    ("confirmed", &["partially_shipped", "shipped", "cancelling"]),
    ("partially_shipped", &["shipped", "completed"]),
    ("shipped", &["completed"]),
    ("cancelling", &["cancelled", "partially_shipped", "shipped"]),
];
const PAYMENT: Transitions = &[
    ("new", &["tombstone", "closed", "authorizing", "voided"]),
    ("tombstone", &["voided"]),
    (
        "authorizing",
        &["authorized", "waiting_to_retry", "action_required", "declined", "closing", "voiding", "voided", "new"],
    ),
    ("waiting_to_retry", &["authorizing", "closing"]),
    ("action_required", &["authorized", "closing"]),
    ("closing", &["authorized", "declined", "voided", "captured"]),
    ("authorized", &["capturing", "voiding", "captured", "capture_failed"]),
    ("capturing", &["captured", "capture_failed", "voiding"]),
    ("capture_failed", &["voiding"]),
    ("voiding", &["voided", "captured"]),
];
const RESERVATION: Transitions = &[
    ("unheard of", &["held", "rejected_shortages", "tombstone"]),
    ("held", &["committed", "released", "expired"]),
    ("expired", &["committed", "released", "rejected_expired"]),
    ("rejected_expired", &["released"]),
    ("committed", &["restocked"]),
];
const SHIPMENT: Transitions = &[
    ("not created", &["pending"]),
    ("pending", &["packed", "dispatched", "cancelled"]),
    ("packed", &["dispatched", "cancelled"]),
    ("dispatched", &["delivered", "returned", "lost"]),
    ("delivered", &["returned"]),
];

fn status_of(world: &World) -> &'static str {
    world.order.progress.status.name()
}

fn payment_of(world: &World) -> &'static str {
    world.payment.payment.state.as_str()
}

fn reservation_of(world: &World) -> &'static str {
    world.allocation.reservation.as_ref().map_or("unheard of", |reservation| reservation.state.name())
}
