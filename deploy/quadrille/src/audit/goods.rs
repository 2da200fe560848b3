//! Rules 4, 5 and 13: goods.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use stock_svc::store::books::Books;

use super::evidence::Evidence;
use super::findings::Broken;
use super::refunds;
use super::rows::{Line, Reservation};

/// A timer ends a hold a moment after its time, once its consumer has heard what came before.
const GRACE: TimeDelta = TimeDelta::minutes(2);

/// Rule 4, by SKU.
pub(super) fn levels(evidence: &Evidence, broken: &mut Broken) {
    for (sku, Books { level, moved, held }) in &evidence.books {
        let of = format!("SKU {sku}");
        let Some(level) = level else {
            broken.add(of, "it has movements or holds, and no level");
            continue;
        };
        if level.on_hand != *moved {
            broken.add(&of, format!("{} are on hand, its movements add up to {moved}", level.on_hand));
        }
        if level.held != *held {
            broken.add(&of, format!("{} are held, its live holds add up to {held}", level.held));
        }
        if level.held < 0 || level.on_hand < level.held {
            broken.add(&of, format!("{} are on hand and {} held", level.on_hand, level.held));
        }
    }
    broken.figures.count("SKUs", evidence.books.len());
}

/// Rule 4, by order: what was moved for each order is what it says of its lines.
pub(super) fn of_orders(evidence: &Evidence, broken: &mut Broken) {
    let mut moved = BTreeMap::<(&str, &str, &str), i64>::new();
    for movement in &evidence.movements {
        if let Some(order) = &movement.order_id {
            *moved.entry((order, &movement.kind, &movement.sku)).or_default() += movement.quantity;
        }
    }
    let mut returned = BTreeMap::<(&str, &str), i64>::new();
    for shipment in &evidence.shipments {
        let called_off = if shipment.was_called_off() { &shipment.lines[..] } else { &[] };
        for Line { sku, quantity } in shipment.returned.iter().chain(called_off) {
            *returned.entry((&shipment.order_id, sku)).or_default() += quantity;
        }
    }
    for of in evidence.reservations.values() {
        let state = of.reservation.as_deref().unwrap_or("not there");
        let ordered = evidence.orders.get(&of.order_id).filter(|_| !of.lines.is_empty());
        if let Some(order) = ordered.filter(|order| pieces(&order.lines) != pieces(&of.lines)) {
            let (ordered, held) = (pieces(&order.lines), pieces(&of.lines));
            broken.order(&of.order_id, format!("{ordered:?} are ordered, stock-svc has {held:?}"));
        }
        for Line { sku, quantity } in &of.lines {
            let (committed, restocked) = match state {
                "committed" => (-quantity, returned.get(&(&*of.order_id, sku)).copied().unwrap_or_default()),
                "restocked" => (-quantity, *quantity),
                _ => (0, 0),
            };
            for (kind, expected) in [("committed", committed), ("restocked", restocked)] {
                let found = moved.remove(&(&of.order_id, kind, sku)).unwrap_or_default();
                if found != expected {
                    let what =
                        format!("its hold of {quantity} {sku} is {state}: {kind} should be {expected}, and is {found}");
                    broken.order(&of.order_id, what);
                }
            }
        }
    }
    for ((order, kind, sku), quantity) in moved {
        broken.order(order, format!("{quantity} {sku} were {kind} for it, which it has no line for"));
    }
    broken.figures.count("movements of orders", evidence.movements.len());
    broken.figures.count("live holds", live(evidence).count());
}

/// Rule 5.
pub(super) fn holds(evidence: &Evidence, broken: &mut Broken) {
    for hold in live(evidence) {
        if let Some(expired) = hold.expires_at.filter(|expires| *expires + GRACE < evidence.now) {
            broken.order(&hold.order_id, format!("its hold expired at {expired:.0} and is live still"));
        }
        let ended =
            evidence.orders.get(&hold.order_id).filter(|order| matches!(&*order.status, "cancelled" | "completed"));
        if let Some(order) = ended {
            broken.order(&hold.order_id, format!("it is {}, and goods are held for it still", order.status));
        }
    }
    for order in evidence.orders.values() {
        let known = evidence.reservations.get(&order.id).and_then(|known| known.reservation.as_deref());
        if order.status == "cancelled" && known == Some("committed") {
            broken.order(&order.id, "it is cancelled, and its goods never came back".to_owned());
        }
        let heard = order.stock.as_deref().filter(|heard| matches!(*heard, "reserved" | "committed"));
        if let (Some(heard), None) = (heard, known) {
            broken.order(&order.id, format!("order-svc has heard stock.{heard}, and stock-svc has no hold for it"));
        }
    }
    broken.figures.count("live holds", live(evidence).count());
}

fn has_left(status: &str) -> bool {
    matches!(status, "dispatched" | "delivered" | "returned" | "lost")
}

/// Rule 13.
pub(super) fn shipped(evidence: &Evidence, broken: &mut Broken) {
    refunds::follow_the_goods(evidence, broken);
    let mut count = 0;
    for shipment in evidence.shipments.iter().filter(|shipment| has_left(&shipment.status)) {
        count += 1;
        let (order, what) = (&shipment.order_id, format!("shipment {} is {}", shipment.id, shipment.status));
        if evidence.payments.get(order).is_none_or(|payment| payment.captured == 0) {
            broken.order(order, format!("{what}, and nothing is captured"));
        }
        if evidence.orders.get(order).is_some_and(|order| order.status == "cancelled") {
            broken.order(order, format!("{what}, and the order is cancelled"));
        }
    }
    broken.figures.count("shipments that have left", count);
}

fn pieces(lines: &[Line]) -> BTreeMap<&str, i64> {
    lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect()
}

fn live(evidence: &Evidence) -> impl Iterator<Item = &Reservation> {
    evidence.reservations.values().filter(|known| known.reservation.as_deref() == Some("held"))
}
