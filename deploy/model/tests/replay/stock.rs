use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_async::{AsyncConnection, RunQueryDsl};
use outbox_relay::Nudge;
use quadrille_model::{Action, Label, Service, Trace};
use service_kit::consumer::testing::react;
use service_kit::testing::TestDb;
use service_kit::timers;
use shared_events::{Currency, Event, Money, OrderId, ShipmentEvent, ShipmentId, StockLine, Topic};
use stock_svc::commands::{self, NewDetails, Step};
use stock_svc::domain::{Allocation, Description, OnHand, Price, Shipment, State};
use stock_svc::expiry::Expiry;
use stock_svc::reactions::StockReactions;
use stock_svc::store::roots::EXPIRY;
use stock_svc::store::{self, shipments};

/// stock-svc on a database of its own, with this stock of each SKU.
pub async fn warehouse(trace: &Trace, on_hand: i64) -> TestDb {
    let db = TestDb::new(&stock_svc::migrations()).await;
    for sku in trace.shelf().0.keys() {
        let price = Price::try_from(Money::new(1, Currency::EUR).unwrap()).unwrap();
        let (name, description) = ("Something".parse().unwrap(), Description::default());
        let details = NewDetails { name, brand: None, description, category: None, price, low_stock_mark: None };
        let on_hand = OnHand::try_from(on_hand).unwrap();
        commands::add_product(&db.pool, sku.clone(), details, on_hand).await.unwrap();
    }
    db
}

/// Replays the trace on stock-svc, which must end with the same allocation, levels and events.
pub async fn lives(db: &TestDb, trace: &Trace) {
    let id = trace.order.placed.order_id;
    let reactions = StockReactions { reservation_ttl: Duration::from_secs(900), nudge: Nudge::default() };
    let mut returns = trace.said(Topic::Shipments).into_iter().filter_map(returned);
    for action in &trace.actions {
        match action {
            Action::Heard { service: Service::Stock, event, sequence, sold_out, .. } => {
                if *sold_out {
                    sell_out(db, trace.order.placed.lines[0].sku.as_str()).await;
                }
                react(&db.pool, &reactions, &super::record(event, *sequence)).await.unwrap();
            }
            Action::Did(label) if super::doer(label) == Some(Service::Stock) => act(db, id, label, &mut returns).await,
            _ => {}
        }
    }
    let conn = &mut *db.conn().await;
    let skus = trace.shelf().0.keys().cloned();
    let loaded = conn.transaction(async |conn| store::load(conn, [id], skus).await).await.unwrap();
    assert_eq!(timeless(loaded.allocation(id).unwrap().clone()), timeless(trace.allocation().clone()));
    assert_eq!(format!("{:?}", loaded.levels()), format!("{:?}", trace.shelf().levels()));
    for topic in [Topic::Stock, Topic::Shipments] {
        let said: Vec<_> = trace.said(topic).iter().map(super::in_essence).collect();
        assert_eq!(super::said(db, id, topic).await, said);
    }
}

async fn act(db: &TestDb, order: OrderId, label: &Label, returns: &mut impl Iterator<Item = Vec<StockLine>>) {
    let step = match label.does {
        "ends the hold" => return expire(db, order).await,
        "packs" => Step::Pack,
        "calls off" => Step::CallOff,
        "splits" => Step::Split { lines: Vec::new() },
        "dispatches" => Step::Dispatch { carrier: "An Post".parse().unwrap(), tracking_number: "AP1".parse().unwrap() },
        "delivers" => Step::Deliver,
        "loses" => Step::Lose,
        _ => Step::TakeBack { lines: returns.next().unwrap() },
    };
    let parcels = shipments::of_orders(&*db.conn().await, &[order.0]).await.unwrap();
    let (_, parcel) =
        &parcels[["the part", "the rest"].iter().position(|name| *name == label.of).map_or(0, |part| part + 1)];
    let step = match step {
        Step::Split { .. } => Step::Split { lines: parcel.lines[..1].to_vec() },
        step => step,
    };
    commands::move_shipment(&db.pool, parcel.id, step).await.unwrap();
}

async fn expire(db: &TestDb, order: OrderId) {
    let (expiry, key) = (Expiry { nudge: Nudge::default() }, order.to_string());
    timers::fire_by_hand(&mut *db.conn().await, &expiry, EXPIRY, &[&key]).await.unwrap();
}

/// Somebody else buys all that is available.
async fn sell_out(db: &TestDb, sku: &str) {
    let sql = "update stock_levels set on_hand = held where sku = $1";
    sql_query(sql).bind::<Text, _>(sku).execute(&mut *db.conn().await).await.unwrap();
}

fn returned(event: Event) -> Option<Vec<StockLine>> {
    match event {
        Event::Shipment(ShipmentEvent::Returned(returned)) => Some(returned.lines),
        _ => None,
    }
}

/// The allocation without the ids and times that differ in each run.
fn timeless(allocation: Allocation) -> Allocation {
    let at = |_: DateTime<Utc>| DateTime::UNIX_EPOCH;
    let reservation = allocation.reservation.map(|mut known| {
        if let State::Held { expires_at } = &mut known.state {
            *expires_at = at(*expires_at);
        }
        known
    });
    let split_into = |parcel: &Shipment| parcel.split_into.iter().map(|_| ShipmentId(uuid::Uuid::nil())).collect();
    let shipments = allocation.shipments.into_iter().map(|parcel| Shipment {
        split_into: split_into(&parcel),
        id: ShipmentId(uuid::Uuid::nil()),
        created_at: at(parcel.created_at),
        packed_at: parcel.packed_at.map(at),
        dispatched_at: parcel.dispatched_at.map(at),
        delivered_at: parcel.delivered_at.map(at),
        cancelled_at: parcel.cancelled_at.map(at),
        returned_at: parcel.returned_at.map(at),
        lost_at: parcel.lost_at.map(at),
        ..parcel
    });
    Allocation { reservation, shipments: shipments.collect(), ..allocation }
}
