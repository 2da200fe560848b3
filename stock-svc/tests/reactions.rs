//! What stock-svc does about what it hears, on a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod common;

use common::*;
use outbox_relay::Nudge;
use quadrille_testing::lines;
use service_kit::consumer::{Outcome, Why};
use service_kit::timers;
use shared_events::*;
use stock_svc::commands::Step;
use stock_svc::domain::Shipment;
use stock_svc::expiry::Expiry;
use stock_svc::store::{self, shipments};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_held_committed_shipped_and_delivered() {
    let warehouse = Warehouse::with(&[("TEA", 10), ("MUG", 5)]).await;
    let order = OrderId::new();
    assert_eq!(warehouse.hears(placed(order, &[("TEA", 3), ("MUG", 1)])).await, Outcome::Applied);
    assert_eq!((warehouse.level("TEA").await, warehouse.level("MUG").await), ((10, 3), (5, 1)));
    assert_eq!(warehouse.hears(confirmed(order)).await, Outcome::Applied);
    assert_eq!((warehouse.level("TEA").await, warehouse.level("MUG").await), ((7, 0), (4, 0)));
    assert_eq!(warehouse.hears(captured(order)).await, Outcome::Applied);
    let shipment = warehouse.shipment_of(order).await;
    warehouse.moves(shipment, dispatched()).await.unwrap();
    warehouse.moves(shipment, Step::Deliver).await.unwrap();
    let said = [
        "stock.reserved.v1",
        "stock.committed.v1",
        "shipment.created.v1",
        "shipment.dispatched.v1",
        "shipment.delivered.v1",
    ];
    assert_eq!(warehouse.said_of(order).await, said);
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_delivered_twice_is_handled_once() {
    let warehouse = Warehouse::with(&[("TEA", 10)]).await;
    let order = OrderId::new();
    let events: [Event; 4] = [
        placed(order, &[("TEA", 3)]).into(),
        confirmed(order).into(),
        captured(order).into(),
        cancel_requested(order).into(),
    ];
    for event in &events {
        let record = record(event.clone());
        assert_eq!(warehouse.hears_record(&record).await, Outcome::Applied);
        let said = warehouse.said().await;
        assert_eq!(warehouse.hears_record(&record).await, Outcome::Duplicate);
        assert_eq!(warehouse.said().await, said);
    }
    assert_eq!(warehouse.level("TEA").await, (10, 0));
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_that_is_said_twice_has_one_effect() {
    let warehouse = Warehouse::with(&[("TEA", 10)]).await;
    let order = warehouse.paid(&[("TEA", 3)]).await;
    let said = warehouse.said().await;
    for again in [placed(order, &[("TEA", 3)]).into(), confirmed(order).into(), Event::from(captured(order))] {
        assert!(matches!(warehouse.hears(again).await, Outcome::Ignored(Why::Refused(_))));
    }
    assert_eq!(warehouse.said().await, said);
    assert_eq!(warehouse.level("TEA").await, (7, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn race_stock_is_short_holds_nothing_and_says_which_line_it_was() {
    let warehouse = Warehouse::with(&[("TEA", 10), ("MUG", 1)]).await;
    let order = OrderId::new();
    warehouse.hears(placed(order, &[("TEA", 3), ("MUG", 2), ("GHOST", 1)])).await;
    let short = |sku: &str, requested: i64, available| Shortage {
        sku: sku.parse().unwrap(),
        requested: requested.try_into().unwrap(),
        available,
    };
    let rejection = Rejection::Shortages { lines: vec![short("MUG", 2, 1), short("GHOST", 1, 0)] };
    assert_eq!(warehouse.said().await, [StockRejected { order_id: order, rejection }.into()]);
    assert_eq!((warehouse.level("TEA").await, warehouse.level("MUG").await), ((10, 0), (1, 0)));
    assert!(matches!(warehouse.hears(cancel_requested(order)).await, Outcome::Ignored(_)), "answers nothing");
    assert_eq!(warehouse.said().await.len(), 1);
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_facts_out_of_order_a_capture_heard_first_ships_when_the_goods_are_firm() {
    let warehouse = Warehouse::with(&[("TEA", 10)]).await;
    let order = OrderId::new();
    warehouse.hears(placed(order, &[("TEA", 3)])).await;
    assert_eq!(warehouse.hears(captured(order)).await, Outcome::Applied);
    assert_eq!(warehouse.said_of(order).await, ["stock.reserved.v1"]);
    warehouse.hears(confirmed(order)).await;
    assert_eq!(warehouse.said_of(order).await, ["stock.reserved.v1", "stock.committed.v1", "shipment.created.v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_cancel_races_confirm_and_both_orders_leave_the_goods_on_the_shelf() {
    for confirm_first in [true, false] {
        let warehouse = Warehouse::with(&[("TEA", 10)]).await;
        let order = OrderId::new();
        warehouse.hears(placed(order, &[("TEA", 3)])).await;
        if confirm_first {
            warehouse.hears(confirmed(order)).await;
            warehouse.hears(cancel_requested(order)).await;
            let said = ["stock.reserved.v1", "stock.committed.v1", "stock.restocked.v1"];
            assert_eq!(warehouse.said_of(order).await, said);
        } else {
            warehouse.hears(cancel_requested(order)).await;
            assert!(matches!(warehouse.hears(confirmed(order)).await, Outcome::Ignored(Why::Refused(_))));
            assert_eq!(warehouse.said_of(order).await, ["stock.reserved.v1", "stock.released.v1"]);
        }
        assert_eq!(warehouse.hears(captured(order)).await, Outcome::Applied, "remembered, and nothing ships");
        assert_eq!(warehouse.count("shipments").await, 0);
        assert_eq!(warehouse.level("TEA").await, (10, 0));
        warehouse.books_balance().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn race_cancel_races_dispatch_before_it_the_parcel_is_called_off_and_after_it_all_stays() {
    let warehouse = Warehouse::with(&[("TEA", 10)]).await;
    let (called_off, gone) = (warehouse.paid(&[("TEA", 3)]).await, warehouse.paid(&[("TEA", 2)]).await);
    warehouse.moves(warehouse.shipment_of(gone).await, dispatched()).await.unwrap();
    warehouse.hears(cancel_requested(called_off)).await;
    assert!(matches!(warehouse.hears(cancel_requested(gone)).await, Outcome::Ignored(Why::Refused(_))));
    let said = warehouse.said_of(called_off).await;
    assert_eq!(said[2..], ["shipment.created.v1", "shipment.cancelled.v1", "stock.restocked.v1"]);
    assert_eq!(warehouse.said_of(gone).await[2..], ["shipment.created.v1", "shipment.dispatched.v1"]);
    let refused = warehouse.moves(warehouse.shipment_of(called_off).await, dispatched()).await;
    assert_eq!(refused.unwrap_err().to_string(), "a shipment that is cancelled can't be dispatched");
    assert_eq!(warehouse.level("TEA").await, (8, 0));
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_cancel_races_dispatch_and_one_of_them_wins_whole() {
    let warehouse = Warehouse::with(&[("TEA", 100)]).await;
    for _ in 0..10 {
        let order = warehouse.paid(&[("TEA", 1)]).await;
        let shipment = warehouse.shipment_of(order).await;
        let (cancelled, left) =
            tokio::join!(warehouse.hears(cancel_requested(order)), warehouse.moves(shipment, dispatched()));
        let said = warehouse.said_of(order).await;
        assert_ne!(cancelled == Outcome::Applied, left.is_ok(), "{said:?}");
        assert_ne!(said.contains(&"stock.restocked.v1"), said.contains(&"shipment.dispatched.v1"), "{said:?}");
    }
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_cancel_races_dispatch_of_a_part_and_one_of_them_wins_whole() {
    let warehouse = Warehouse::with(&[("TEA", 100), ("MUG", 100)]).await;
    for _ in 0..10 {
        let order = warehouse.paid(&[("MUG", 1), ("TEA", 3)]).await;
        let whole = warehouse.shipment_of(order).await;
        let lines = lines(&[("TEA", 2)]);
        let parts = warehouse.moves(whole, Step::Split { lines }).await.unwrap();
        let [_, (_, part), (_, rest)] = <[_; 3]>::try_from(parts).unwrap();
        let (cancelled, left) =
            tokio::join!(warehouse.hears(cancel_requested(order)), warehouse.moves(part.id, dispatched()));
        let said = warehouse.said_of(order).await;
        assert_ne!(cancelled == Outcome::Applied, left.is_ok(), "{said:?}");
        assert_ne!(said.contains(&"stock.restocked.v1"), said.contains(&"shipment.dispatched.v1"), "{said:?}");
        assert_eq!(warehouse.moves(rest.id, dispatched()).await.is_ok(), left.is_ok());
    }
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_cancel_races_dispatch_and_a_parcel_that_was_lost_stays_gone() {
    let warehouse = Warehouse::with(&[("TEA", 10)]).await;
    let order = warehouse.paid(&[("TEA", 3)]).await;
    let shipment = warehouse.shipment_of(order).await;
    warehouse.moves(shipment, Step::Lose).await.unwrap_err();
    warehouse.moves(shipment, dispatched()).await.unwrap();
    warehouse.moves(shipment, Step::Lose).await.unwrap();
    warehouse.moves(shipment, Step::Deliver).await.unwrap_err();
    assert!(matches!(warehouse.hears(cancel_requested(order)).await, Outcome::Ignored(Why::Refused(_))));
    let lines = lines(&[("TEA", 3)]);
    let lost = ShipmentLost { order_id: order, shipment_id: shipment, lines };
    assert_eq!(warehouse.said().await.last(), Some(&lost.into()));
    assert_eq!(warehouse.level("TEA").await, (7, 0));
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_address_races_dispatch_and_the_answer_is_what_the_parcel_bears() {
    let warehouse = Warehouse::with(&[("TEA", 100)]).await;
    let (mut taken, mut kept) = (0, 0);
    for round in 0..12 {
        let order = warehouse.paid(&[("TEA", 1)]).await;
        let id = warehouse.shipment_of(order).await;
        let before = parcel(&warehouse, id).await.address;
        let mut delivery_address = before.clone().expect("it goes where its order does");
        delivery_address.line1 = "2 Mill Rd".parse().unwrap();
        let request = OrderAddressChangeRequested { order_id: order, delivery_address: delivery_address.clone() };
        let send = async || warehouse.moves(id, dispatched()).await;
        let ask = async || warehouse.hears(request.clone()).await;
        let (asked, sent) = match round % 3 {
            0 => (ask().await, send().await),
            1 => {
                let sent = send().await;
                (ask().await, sent)
            }
            _ => tokio::join!(ask(), send()),
        };
        assert_eq!(asked, Outcome::Applied);
        sent.unwrap();
        let said = warehouse.said().await;
        let answer = said.iter().rev().find_map(|event| match event {
            Event::Stock(StockEvent::AddressDecided(decided)) => Some(decided.clone()),
            _ => None,
        });
        let answer = answer.expect("it is answered");
        let bears = parcel(&warehouse, id).await.address;
        match answer.taken {
            true => assert_eq!((answer.kept, bears), (vec![], Some(delivery_address.clone()))),
            false => assert_eq!((answer.kept, bears), (vec![id], before)),
        }
        *(if answer.taken { &mut taken } else { &mut kept }) += 1;
        assert_eq!(warehouse.said_of(order).await.contains(&"shipment.readdressed.v1"), answer.taken);
        let late = warehouse.hears(OrderAddressChanged { order_id: order, delivery_address }).await;
        assert!(matches!(late, Outcome::Ignored(Why::Refused(_))), "nothing is there to readdress: {late:?}");
    }
    assert!(taken >= 4 && kept >= 4, "{taken} took it, {kept} did not");
}

/// As older services had it: order-svc alone changed the address, and its word is still in the topic.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_address_that_is_told_and_not_asked_for_goes_to_what_is_still_there() {
    let warehouse = Warehouse::with(&[("TEA", 100)]).await;
    let order = warehouse.paid(&[("TEA", 1)]).await;
    let id = warehouse.shipment_of(order).await;
    let mut delivery_address = parcel(&warehouse, id).await.address.unwrap();
    delivery_address.line1 = "2 Mill Rd".parse().unwrap();
    let changed = OrderAddressChanged { order_id: order, delivery_address: delivery_address.clone() };
    warehouse.hears(changed).await;
    assert_eq!(parcel(&warehouse, id).await.address, Some(delivery_address));
    assert_eq!(warehouse.said_of(order).await.last(), Some(&"shipment.readdressed.v1"));
    warehouse.hears(cancel_requested(order)).await;
    let kept = "(select count(*) from orders where delivery_address is not null) +
        (select count(*) from shipments where delivery_address is not null)";
    let left = format!("(select 1 where {kept} > 0) known");
    assert_eq!(warehouse.count(&left).await, 0, "what will never leave needs no address");
}

async fn parcel(warehouse: &Warehouse, id: ShipmentId) -> Shipment {
    shipments::get(&mut *warehouse.db.conn().await, id).await.unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn race_call_off_races_dispatch_of_the_rest_and_one_of_them_wins_whole() {
    let warehouse = Warehouse::with(&[("TEA", 100), ("MUG", 100)]).await;
    for _ in 0..10 {
        let order = warehouse.paid(&[("MUG", 1), ("TEA", 3)]).await;
        let whole = warehouse.shipment_of(order).await;
        let lines = lines(&[("TEA", 2)]);
        let parts = warehouse.moves(whole, Step::Split { lines }).await.unwrap();
        let [_, (_, part), (_, rest)] = <[_; 3]>::try_from(parts).unwrap();
        let early = warehouse.hears(OrderCallOffRequested { order_id: order }).await;
        assert!(matches!(early, Outcome::Ignored(Why::Refused(_))), "nothing has left: {early:?}");
        warehouse.moves(part.id, dispatched()).await.unwrap();
        let (called_off, left) = tokio::join!(
            warehouse.hears(OrderCallOffRequested { order_id: order }),
            warehouse.moves(rest.id, dispatched())
        );
        let said = warehouse.said_of(order).await;
        assert_ne!(called_off == Outcome::Applied, left.is_ok(), "{said:?}");
        let dispatches = said.iter().filter(|name| **name == "shipment.dispatched.v1").count();
        assert_eq!((said.contains(&"stock.restocked.v1"), dispatches), (left.is_err(), 1 + usize::from(left.is_ok())));
        let again = warehouse.moves(rest.id, Step::CallOff).await;
        assert_eq!(again.is_ok(), left.is_err(), "called off before is called off now");
        assert_eq!(warehouse.said_of(order).await, said);
    }
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_decline_releases_what_is_held_and_what_expired_and_others_release_nothing() {
    let warehouse = Warehouse::with(&[("TEA", 10)]).await;
    let (held, expired) = (OrderId::new(), OrderId::new());
    for order in [held, expired] {
        warehouse.hears(placed(order, &[("TEA", 3)])).await;
    }
    warehouse.expires(expired).await;
    assert_eq!(warehouse.hears(declined(held, true)).await, Outcome::Ignored(Why::NotForUs));
    assert_eq!(warehouse.level("TEA").await, (10, 3));
    for order in [held, expired] {
        assert_eq!(warehouse.hears(declined(order, false)).await, Outcome::Applied);
        let reason = CancelReason::PaymentDeclined;
        assert_eq!(warehouse.said().await.last(), Some(&StockReleased { order_id: order, reason }.into()));
    }
    assert_eq!(warehouse.level("TEA").await, (10, 0));
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_hold_expires_and_a_later_confirmation_holds_again_and_commits() {
    let warehouse = Warehouse::with(&[("TEA", 3)]).await;
    let order = OrderId::new();
    warehouse.hears(placed(order, &[("TEA", 3)])).await;
    warehouse.expires(order).await;
    assert_eq!(warehouse.level("TEA").await, (3, 0));
    warehouse.hears(confirmed(order)).await;
    assert_eq!(warehouse.said_of(order).await, ["stock.reserved.v1", "stock.expired.v1", "stock.committed.v1"]);
    assert_eq!(warehouse.level("TEA").await, (0, 0));
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_hold_expires_and_goods_that_are_gone_are_rejected_and_released_by_a_cancel() {
    let warehouse = Warehouse::with(&[("TEA", 3)]).await;
    let (late, quick) = (OrderId::new(), OrderId::new());
    warehouse.hears(placed(late, &[("TEA", 3)])).await;
    warehouse.expires(late).await;
    warehouse.hears(placed(quick, &[("TEA", 1)])).await;
    warehouse.hears(confirmed(late)).await;
    let rejected = StockRejected { order_id: late, rejection: Rejection::Expired };
    assert_eq!(warehouse.said().await.last(), Some(&rejected.into()));
    warehouse.hears(cancel_requested(late)).await;
    assert_eq!(warehouse.said_of(late).await.last(), Some(&"stock.released.v1"));
    assert_eq!(warehouse.level("TEA").await, (3, 1));
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_became_firm_does_not_expire() {
    let warehouse = Warehouse::with(&[("TEA", 3)]).await;
    let order = OrderId::new();
    warehouse.hears(placed(order, &[("TEA", 3)])).await;
    assert_eq!(warehouse.count("timers").await, 1);
    warehouse.hears(confirmed(order)).await;
    assert_eq!(warehouse.count("timers").await, 0);
    warehouse.expires(order).await;
    assert_eq!(warehouse.said_of(order).await, ["stock.reserved.v1", "stock.committed.v1"]);
    assert_eq!(warehouse.level("TEA").await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_of_another_kind_ends_no_hold() {
    let warehouse = Warehouse::with(&[("TEA", 3)]).await;
    let order = OrderId::new();
    warehouse.hears(placed(order, &[("TEA", 3)])).await;
    let expiry = Expiry { nudge: Nudge::default() };
    let fired = timers::fire_by_hand(&mut *warehouse.db.conn().await, &expiry, "reminder", &[&order.to_string()]).await;
    assert!(fired.unwrap_err().to_string().contains("\"reminder\" is not a timer of this service"));
    assert_eq!(warehouse.level("TEA").await, (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn race_hold_expires_while_it_is_confirmed_and_the_goods_end_firm_either_way() {
    let warehouse = Warehouse::with(&[("TEA", 10)]).await;
    for _ in 0..10 {
        let order = OrderId::new();
        warehouse.hears(placed(order, &[("TEA", 1)])).await;
        tokio::join!(warehouse.expires(order), warehouse.hears(confirmed(order)));
        assert_eq!(warehouse.said_of(order).await.last(), Some(&"stock.committed.v1"));
    }
    assert_eq!(warehouse.level("TEA").await, (0, 0));
    warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_undo_before_do_leaves_a_tombstone_that_never_holds() {
    let warehouse = Warehouse::with(&[("TEA", 3)]).await;
    let order = OrderId::new();
    assert_eq!(warehouse.hears(cancel_requested(order)).await, Outcome::Applied);
    assert!(matches!(warehouse.hears(placed(order, &[("TEA", 3)])).await, Outcome::Ignored(Why::Refused(_))));
    assert_eq!(warehouse.said_of(order).await, ["stock.released.v1"]);
    assert_eq!(warehouse.level("TEA").await, (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_say_is_not_for_us() {
    let warehouse = Warehouse::with(&[]).await;
    let order_id = OrderId::new();
    let completed = OrderCompleted { order_id };
    assert_eq!(warehouse.hears(completed).await, Outcome::Ignored(Why::NotForUs));
    assert_eq!(warehouse.count("orders").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_an_order_are_numbered_without_a_gap_on_each_topic() {
    let warehouse = Warehouse::with(&[("TEA", 3)]).await;
    let order = warehouse.paid(&[("TEA", 3)]).await;
    warehouse.hears(cancel_requested(order)).await;
    let numbers = |topic: &str| {
        format!(
            "(select (h ->> 1)::bigint as sequence, row_number() over (order by o.id) as place
              from outbox o, json_array_elements(headers) h
              where h ->> 0 = 'ce_sequence' and topic = '{topic}') numbered where sequence = place"
        )
    };
    assert_eq!(warehouse.count(&numbers("stock.v1")).await, 3);
    assert_eq!(warehouse.count(&numbers("shipments.v1")).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_event_becomes_a_dead_letter_and_parks_its_order_alone() {
    let warehouse = Warehouse::with(&[("TEA", 3)]).await;
    let (broken, fine) = (OrderId::new(), OrderId::new());
    let mut poison = record(placed(broken, &[("TEA", 1)]));
    poison.value = Some(b"{\"order_id\": 7}".to_vec());
    assert!(matches!(warehouse.hears_record(&poison).await, Outcome::DeadLettered(_)));
    assert_eq!(warehouse.hears(cancel_requested(broken)).await, Outcome::QueuedBehind);
    assert_eq!(warehouse.hears(placed(fine, &[("TEA", 1)])).await, Outcome::Applied);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_on_the_root_makes_what_is_said_of_an_order_wait() {
    let warehouse = Warehouse::with(&[("TEA", 3)]).await;
    let order = OrderId::new();
    warehouse.hears(placed(order, &[("TEA", 3)])).await;
    let mut conn = warehouse.db.conn().await;
    let confirmed = record(confirmed(order));
    let waits = diesel_async::AsyncConnection::transaction(&mut *conn, async |conn| {
        store::load(conn, [order], []).await?;
        let soon = std::time::Duration::from_millis(200);
        let waits = tokio::time::timeout(soon, warehouse.tries(&confirmed)).await.is_err();
        Ok::<_, diesel::result::Error>(waits)
    });
    assert!(waits.await.unwrap());
    assert_eq!(warehouse.hears_record(&confirmed).await, Outcome::Applied);
}
