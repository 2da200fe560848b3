//! What is deleted when it has passed its time to live, and what stays, on a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use payment_svc::housekeeping::times_to_live;
use service_kit::testing::prune_all;
use shop::{Order, Shop, gateways::that_agrees};

#[tokio::test(flavor = "multi_thread")]
async fn finished_calls_go_after_ninety_days_unfinished_ones_and_the_ledger_never() {
    let (shop, order) = (Shop::new(that_agrees()).await, Order::new("pm_card_visa"));
    shop.hear_and_call([order.placed(), order.reserved()]).await;
    shop.hear([order.confirmed()]).await;
    let older = "update gateway_calls set created_at = now() - interval '91 days', due_at = now() - interval '91 days',
                    finished_at = finished_at - interval '91 days'";
    shop.db.run(older).await;
    let ledger = shop.ledger(&order).await;
    assert_eq!(prune_all(&shop.db.pool, &times_to_live()).await, 1);
    assert_eq!(shop.db.rows::<String>("select operation from gateway_calls").await, ["capture"], "it is unfinished");
    assert_eq!(shop.ledger(&order).await, ledger);
    shop.call_gateway().await;
    assert_eq!(shop.said().await, ["authorized 2598", "captured 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_go_after_thirty_days_and_stored_answers_after_one() {
    let shop = Shop::new(that_agrees()).await;
    let fill = "insert into webhook_events (event_id, type, outcome, received_at) values
                    ('old', 't', 'applied', now() - interval '31 days'), ('new', 't', 'applied', now() - interval '29 days');
                insert into idempotency_keys (key, request, refund_id, body, created_at) values
                    ('old', '', gen_random_uuid(), '', now() - interval '25 hours'),
                    ('new', '', gen_random_uuid(), '', now() - interval '23 hours')";
    shop.db.run(fill).await;
    assert_eq!(prune_all(&shop.db.pool, &times_to_live()).await, 2);
    let left = "select event_id from webhook_events union all select key from idempotency_keys";
    assert_eq!(shop.db.rows::<String>(left).await, ["new", "new"]);
}
