//! Reactions on a real database: duplicates, and both orders of events that race.

mod shop;

use chrono::{TimeDelta, Utc};
use payment_svc::domain::State;
use service_kit::consumer::Outcome;
use shop::{Order, Shop, gateways, record};

fn order() -> Order {
    Order::new("pm_card_visa")
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_and_placed_authorise_once_in_both_orders() {
    for swapped in [false, true] {
        let (shop, order) = (Shop::new(gateways::that_agrees()).await, order());
        let events = if swapped { [order.reserved(), order.placed()] } else { [order.placed(), order.reserved()] };
        shop.hear(events).await;
        assert_eq!(shop.decided().await, ["authorise unfinished"]);
        assert!(shop.said().await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn race_delivered_twice_is_heard_once() {
    let (shop, order) = (Shop::new(gateways::that_agrees()).await, order());
    for event in [order.placed(), order.reserved(), order.confirmed(), order.restocked(&[("TEA", 1)])] {
        let record = record(event);
        assert_eq!(shop.hear_record(&record).await, Outcome::Applied);
        assert_eq!(shop.hear_record(&record).await, Outcome::Duplicate);
        shop.call_gateway().await;
    }
    assert_eq!(shop.said().await, ["authorized 2598", "captured 2598", "refunded 1000 remaining 1598"]);
    assert_eq!(shop.decided().await, ["authorise done", "capture done", "refund done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_undo_before_do_released_before_placed_voids_nothing_and_never_authorises() {
    for swapped in [false, true] {
        let (shop, order) = (Shop::new(gateways::never_called()).await, order());
        shop.hear([order.released()]).await;
        shop.hear(if swapped { [order.reserved(), order.placed()] } else { [order.placed(), order.reserved()] }).await;
        shop.call_gateway().await;
        assert_eq!(shop.said().await, ["voided 0"]);
        assert!(shop.decided().await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn short_stock_closes_the_note_in_both_orders() {
    for swapped in [false, true] {
        let (shop, order) = (Shop::new(gateways::never_called()).await, order());
        let rejected = || order.rejected("shortages");
        shop.hear(if swapped { [rejected(), order.placed()] } else { [order.placed(), rejected()] }).await;
        assert_eq!(shop.payment(&order).await.state, State::Closed);
        assert!(shop.said().await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_expired_and_was_not_had_again_closes_nothing() {
    let (shop, order) = (Shop::new(gateways::that_agrees()).await, order());
    shop.hear_and_call([order.placed(), order.reserved()]).await;
    shop.hear([order.expired(), order.rejected("expired")]).await;
    assert_eq!(shop.payment(&order).await.state, State::Authorized);
    shop.hear_and_call([order.released()]).await;
    assert_eq!(shop.said().await, ["authorized 2598", "voided 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn released_before_the_gateway_is_asked_voids_nothing_without_asking() {
    let (shop, order) = (Shop::new(gateways::never_called()).await, order());
    shop.hear_and_call([order.placed(), order.reserved(), order.released()]).await;
    assert_eq!(shop.said().await, ["voided 0"]);
    assert_eq!(shop.decided().await, ["authorise not_asked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_hold_expires_or_a_deadline_passes_and_the_authorisation_is_stopped() {
    for by_event in [true, false] {
        let (shop, order) = (Shop::new(gateways::never_called()).await, order());
        shop.hear([order.placed()]).await;
        if by_event {
            shop.hear([order.reserved(), order.expired()]).await;
        } else {
            shop.hear([order.reserved_until(Utc::now() - TimeDelta::seconds(1))]).await;
        }
        shop.call_gateway().await;
        assert_eq!(shop.decided().await, ["authorise not_asked"]);
        assert!(shop.said().await.is_empty());
        shop.hear([order.released()]).await;
        assert_eq!(shop.said().await, ["voided 0"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn race_cancel_races_confirm_released_and_confirmed_end_the_same_in_both_orders() {
    for swapped in [false, true] {
        let (shop, order) = (Shop::new(gateways::that_agrees()).await, order());
        shop.hear_and_call([order.placed(), order.reserved()]).await;
        let events =
            if swapped { [order.released(), order.confirmed()] } else { [order.confirmed(), order.released()] };
        shop.hear_and_call(events).await;
        let ended: &[&str] = if swapped {
            &["authorized 2598", "voided 2598"]
        } else {
            &["authorized 2598", "captured 2598", "refunded 2598 remaining 0"]
        };
        assert_eq!(shop.said().await, ended);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn race_refunds_have_the_same_id_however_often_their_cause_is_heard() {
    let mut ids = vec![];
    let cause = order();
    let restocked = record(cause.restocked(&[("TEA", 1)]));
    for _ in 0..2 {
        let shop = Shop::new(gateways::that_agrees()).await;
        shop.hear_and_call([cause.placed(), cause.reserved()]).await;
        shop.hear([cause.confirmed()]).await;
        shop.hear_record(&restocked).await;
        ids.push(shop.payment(&cause).await.refunds[0].id);
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[0].0.get_version_num(), 5);
}

async fn captured() -> (Shop<impl payment_svc::gateway::PaymentGateway>, Order) {
    let (shop, order) = (Shop::new(gateways::that_agrees()).await, order());
    for event in [order.placed(), order.reserved(), order.confirmed()] {
        shop.hear_and_call([event]).await;
    }
    (shop, order)
}

#[tokio::test(flavor = "multi_thread")]
async fn race_delivered_twice_a_loss_is_refunded_once_at_the_price_of_its_lines() {
    let (shop, order) = captured().await;
    let lost = record(order.lost(&[("TEA", 1)]));
    assert_eq!(shop.hear_record(&lost).await, Outcome::Applied);
    assert_eq!(shop.hear_record(&lost).await, Outcome::Duplicate);
    shop.call_gateway().await;
    assert_eq!(shop.said().await, ["authorized 2598", "captured 2598", "refunded 1000 remaining 1598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_refunds_of_two_losses_and_a_return_are_never_more_than_was_captured() {
    let (shop, order) = captured().await;
    shop.hear_and_call([order.lost(&[("TEA", 2)]), order.lost(&[("POT", 1)]), order.lost(&[("POT", 1)])]).await;
    let said = shop.said().await;
    assert_eq!(said[2..], ["refunded 2000 remaining 598", "refunded 598 remaining 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn goods_that_were_never_ordered_park_the_order_for_a_person() {
    let (shop, order) = (Shop::new(gateways::that_agrees()).await, order());
    shop.hear_and_call([order.placed(), order.reserved()]).await;
    let outcome = shop.hear([order.restocked(&[("CAKE", 1)])]).await;
    assert!(matches!(outcome, Outcome::DeadLettered(_)), "{outcome:?}");
    assert_eq!(shop.payment(&order).await.state, State::Authorized);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_are_heard_at_once_by_many_lanes_do_not_get_in_each_others_way() {
    let shop = std::sync::Arc::new(Shop::new(gateways::that_agrees()).await);
    let lanes = (0..8).map(|_| {
        let shop = shop.clone();
        tokio::spawn(async move {
            for _ in 0..5 {
                let order = order();
                shop.hear([order.placed(), order.reserved()]).await;
            }
        })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.unwrap();
    }
    shop.call_gateway().await;
    assert_eq!(shop.said().await.len(), 40);
}
