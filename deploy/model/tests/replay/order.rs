use std::collections::BTreeMap;

use order_svc::commands;
use order_svc::deadline::Deadlines;
use order_svc::reactions::OrderReactions;
use order_svc::store;
use outbox_relay::Nudge;
use quadrille_model::{Action, Service, Trace, elsewhere};
use service_kit::consumer::testing::react;
use service_kit::testing::TestDb;
use service_kit::timers;
use service_kit::transaction::Transaction;
use shared_events::{Event, EventId, PaymentEvent, RefundId, ShipmentEvent, StockEvent, Topic};

/// Replays the trace on order-svc, which must end with the same order and the same events.
pub async fn lives(db: &TestDb, trace: &Trace) {
    let id = trace.order.placed.order_id;
    let reactions = OrderReactions::new(Nudge::default());
    let conn = &mut db.conn().await;
    let transaction = Transaction::on(conn).unwrap();
    transaction.begin().await.unwrap();
    let placed = store::placement::commit(&transaction, &trace.order, None).await;
    transaction.end(placed).await.unwrap();
    let causes = causes(trace);
    for action in &trace.actions {
        match action {
            Action::Heard { service: Service::Order, event, id, sequence, .. } => {
                let (event, id) = (renamed(event, &causes), causes.get(id).copied().unwrap_or_else(EventId::new));
                react(&db.pool, &reactions, &super::record_of(&event, id, *sequence)).await.unwrap();
            }
            Action::Did(label) if super::doer(label) == Some(Service::Order) => match label.does {
                "cancels" => drop(commands::cancel_order(&db.pool, id).await.unwrap()),
                "wants it elsewhere" => {
                    drop(commands::redirect_order(&db.pool, id, elsewhere()).await.unwrap());
                }
                "calls off the rest" => drop(commands::call_off_rest(&db.pool, id).await.unwrap()),
                _ => {
                    let (deadlines, key) = (Deadlines::new(Nudge::default()), id.to_string());
                    let conn = &mut *db.conn().await;
                    timers::fire_by_hand(conn, &deadlines, commands::DEADLINE_TIMER, &[&key]).await.unwrap();
                }
            },
            _ => {}
        }
    }
    let order = store::orders::find(&*db.conn().await, id).await.unwrap().unwrap();
    let mut progress = trace.progress().clone();
    let facts = &mut progress.facts;
    let awaited = facts.parcels.iter_mut().filter_map(|parcel| parcel.refund_id.as_mut());
    let called_off = facts.called_off.iter_mut().map(|part| &mut part.refund_id);
    awaited.chain(called_off).chain(&mut facts.refunds).for_each(|refund| *refund = name_of(*refund, &causes));
    assert_eq!((&order.progress, &order.destination), (&progress, trace.destination()));
    let said = super::said(db, id, Topic::Orders).await;
    assert_eq!(said[1..], trace.said(Topic::Orders).iter().map(super::in_essence).collect::<Vec<_>>());
}

/// For each loss and restock of the trace, an event id that the inbox accepts, because it is of today. The ids of
/// refunds are derived from these.
fn causes(trace: &Trace) -> BTreeMap<EventId, EventId> {
    let cause = |action: &Action| match action {
        Action::Heard { event, id, .. }
            if matches!(**event, Event::Shipment(ShipmentEvent::Lost(_)) | Event::Stock(StockEvent::Restocked(_))) =>
        {
            Some(*id)
        }
        _ => None,
    };
    trace.actions.iter().filter_map(cause).map(|id| (id, EventId::new())).collect()
}

fn name_of(refund: RefundId, causes: &BTreeMap<EventId, EventId>) -> RefundId {
    let its = causes.iter().find(|(told, _)| RefundId::caused_by(**told) == refund);
    its.map_or(refund, |(_, new)| RefundId::caused_by(*new))
}

fn renamed(event: &Event, causes: &BTreeMap<EventId, EventId>) -> Event {
    let mut event = event.clone();
    if let Event::Payment(PaymentEvent::Refunded(refunded)) = &mut event {
        refunded.refund_id = name_of(refunded.refund_id, causes);
    }
    event
}
