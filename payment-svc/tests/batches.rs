//! Many events in one transaction: each finds what those before it decided, and all together cost what one costs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the figures are for whoever compares them")]

mod shop;

use diesel::sql_query;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use payment_svc::commands::{self, Settlement};
use payment_svc::domain::{GatewayReply, Payment, State};
use payment_svc::gateway::PaymentGateway;
use payment_svc::retries::Retries;
use payment_svc::store::{RETRY, calls, payments, webhooks};
use payment_svc::webhooks::WebhookEvent;
use service_kit::consumer::testing::react_to_all;
use service_kit::consumer::{Outcome, Record};
use service_kit::testing::Statements;
use service_kit::timers;
use shared_events::Event;
use shop::{Order, Shop, gateways, record};

fn orders(count: usize) -> Vec<Order> {
    (0..count).map(|_| Order::new("pm_card_visa")).collect()
}

fn all(orders: &[Order], event: impl Fn(&Order) -> Event) -> Vec<Record> {
    orders.iter().map(|order| record(event(order))).collect()
}

async fn payments_of<G: PaymentGateway>(shop: &Shop<G>, orders: &[Order]) -> Vec<Payment> {
    let mut payments = vec![];
    for order in orders {
        payments.push(shop.payment(order).await);
    }
    payments
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_any_size_takes_as_many_statements_as_one_event_or_one_answer() {
    let shop = Shop::new(gateways::never_called()).await;
    let conn = &mut *shop.db.conn().await;
    let statements = Statements::of(conn);
    let mut taken = vec![];
    for orders in [orders(1), orders(64)] {
        let mut counts = vec![];
        let heard: [&dyn Fn(&Order) -> Event; 5] =
            [&Order::placed, &Order::reserved, &Order::confirmed, &|order| order.lost(&[("POT", 1)]), &|order| {
                order.restocked(&[("TEA", 1)])
            }];
        for event in heard {
            let outcomes = react_to_all(conn, &shop.reactions, &all(&orders, event)).await.unwrap();
            assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Applied), "{outcomes:?}");
            counts.push(statements.take().len());
            let calls = calls::take(conn, 100).await.unwrap();
            let settlements: Vec<_> = calls.into_iter().map(|call| Settlement::of(call, GatewayReply::Done)).collect();
            counts.push(statements.take().len());
            if !settlements.is_empty() {
                commands::settle(conn, &settlements).await.unwrap();
                counts.push(statements.take().len());
            }
        }
        for payment in payments_of(&shop, &orders).await {
            assert_eq!((payment.state, payment.refunds.len()), (State::Captured, 2));
        }
        taken.push(counts);
    }
    assert_eq!(taken[0], taken[1], "one, and sixty-four");
    assert!(taken[1].iter().all(|count| *count <= 12), "{taken:?}");
    let each: Vec<String> = shop.said().await;
    assert_eq!(each.len(), 65 * 4);
}

/// Statements and commits: what is in no transaction is one of its own.
fn cost(taken: &[String]) -> (usize, usize) {
    let mut within = false;
    let mut commits = 0;
    for statement in taken {
        match statement.as_str() {
            begin if begin.starts_with("begin") => within = true,
            commit if commit.starts_with("commit") => (within, commits) = (false, commits + 1),
            _ => commits += usize::from(!within),
        }
    }
    (taken.len(), commits)
}

/// Has these orders placed, authorised and captured, each step of all of them together: what is heard, what is taken and
/// settled by the worker, and the gateway's webhooks.
async fn paid<G: PaymentGateway>(shop: &Shop<G>, conn: &mut AsyncPgConnection, orders: &[Order]) {
    type EventOf = fn(&Order) -> Event;
    let steps: [(&[EventOf], &str); 2] = [
        (&[Order::placed, Order::reserved], "payment_intent.amount_capturable_updated"),
        (&[Order::confirmed], "payment_intent.succeeded"),
    ];
    for (events, webhook) in steps {
        for event in events {
            react_to_all(conn, &shop.reactions, &all(orders, event)).await.unwrap();
        }
        let calls = calls::take(conn, 100).await.unwrap();
        assert_eq!(calls.len(), orders.len());
        let intents: Vec<_> = orders.iter().map(|order| (order.id, format!("pi_{}", order.id))).collect();
        if events.len() == 2 {
            payments::note_intents(conn, &intents).await.unwrap();
        }
        let settlements: Vec<_> = calls.into_iter().map(|call| Settlement::of(call, GatewayReply::Done)).collect();
        commands::settle(conn, &settlements).await.unwrap();
        assert!(calls::take(conn, 100).await.unwrap().is_empty(), "the worker looks for more once");
        let told: Vec<_> = intents.iter().map(|(_, intent)| webhook_of(intent, webhook)).collect();
        webhooks::receive(conn, &told).await.unwrap();
    }
}

fn webhook_of(intent: &str, kind: &str) -> WebhookEvent {
    let object = serde_json::json!({"object": "payment_intent", "id": intent});
    let event = serde_json::json!({"id": format!("evt_{kind}_{intent}"), "type": kind, "data": {"object": object}});
    WebhookEvent::parse(event.to_string().as_bytes()).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_paid_takes_few_statements_alone_and_next_to_none_in_a_crowd() {
    let shop = Shop::new(gateways::never_called()).await;
    let conn = &mut *shop.db.conn().await;
    let statements = Statements::of(conn);
    paid(&shop, conn, &orders(1)).await;
    let alone = cost(&statements.take());
    paid(&shop, conn, &orders(64)).await;
    let all = cost(&statements.take());
    println!("statements and commits of one order alone: {alone:?}; of 64 orders together: {all:?}");
    assert_eq!(all, alone, "a batch of any size costs what one order does");
    assert!(alone.0 <= 61 && alone.1 <= 16, "{alone:?}");
    assert!(all.0 / 64 < 1 && all.1 * 4 < 64, "{all:?}");
    assert_eq!(shop.said().await.len(), 65 * 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_event_of_a_batch_decides_the_next_one_finds() {
    let shop = Shop::new(gateways::that_agrees()).await;
    let conn = &mut *shop.db.conn().await;
    let (lost, undone, known) = (Order::new("pm_card_visa"), Order::new("pm_card_visa"), Order::new("pm_card_visa"));
    for event in [known.placed(), known.reserved(), known.confirmed()] {
        shop.hear_and_call([event]).await;
    }
    let heard = [
        lost.reserved(),
        undone.released(),
        undone.reserved(),
        known.restocked(&[("TEA", 1)]),
        known.restocked(&[("POT", 1)]),
        lost.expired(),
    ];
    let outcomes = react_to_all(conn, &shop.reactions, &heard.map(record)).await.unwrap();
    let ignored = |outcome: &Outcome| matches!(outcome, Outcome::Ignored(_));
    assert_eq!(outcomes.iter().map(ignored).collect::<Vec<_>>(), [false, false, true, false, false, false]);
    shop.hear_and_call([lost.placed(), undone.placed()]).await;
    assert_eq!(shop.payment(&lost).await.state, State::New, "the hold had ended");
    assert_eq!(shop.payment(&undone).await.state, State::Voided);
    let said = ["voided 0", "refunded 1000 remaining 1598", "refunded 598 remaining 1000"];
    assert_eq!(shop.said().await[2..], said, "the second refund waited for the first");
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_in_a_batch_parks_its_order_and_the_others_go_on() {
    let shop = Shop::new(gateways::that_agrees()).await;
    let conn = &mut *shop.db.conn().await;
    let (broken, fine) = (Order::new("pm_card_visa"), Order::new("pm_card_visa"));
    shop.hear_and_call([broken.placed(), broken.reserved(), fine.placed(), fine.reserved()]).await;
    let heard = [broken.restocked(&[("CAKE", 1)]), fine.released(), broken.released()];
    let outcomes = react_to_all(conn, &shop.reactions, &heard.map(record)).await.unwrap();
    assert!(matches!(&outcomes[0], Outcome::DeadLettered(why) if why.contains("CAKE")), "{outcomes:?}");
    assert_eq!(outcomes[1..], [Outcome::Applied, Outcome::QueuedBehind]);
    assert_eq!(shop.payment(&broken).await.state, State::Authorized);
    assert_eq!(shop.payment(&fine).await.state, State::Voiding);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_waits_for_changes_nothing_and_the_others_are_settled_without_it() {
    let shop = Shop::new(gateways::never_called()).await;
    let conn = &mut *shop.db.conn().await;
    let orders = orders(3);
    for event in [Order::placed, Order::reserved] {
        react_to_all(conn, &shop.reactions, &all(&orders, event)).await.unwrap();
    }
    let mut settlements: Vec<_> =
        calls::take(conn, 10).await.unwrap().into_iter().map(|call| Settlement::of(call, GatewayReply::Done)).collect();
    settlements[1] = Settlement::of(settlements[1].call.clone(), GatewayReply::AuthorisedAfterAll);
    assert!(commands::settle(conn, &settlements).await.is_err());
    assert!(shop.said().await.is_empty(), "all of them are to be tried by themselves");
    let mut settled = vec![];
    for settlement in settlements.chunks(1) {
        settled.push(commands::settle(conn, settlement).await.is_ok());
    }
    assert_eq!(settled, [true, false, true]);
    assert_eq!(shop.said().await.len(), 2);
    assert_eq!(shop.decided().await.iter().filter(|call| *call == "authorise unfinished").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_settled_without_one_whose_payment_somebody_holds() {
    let shop = Shop::new(gateways::never_called()).await;
    let conn = &mut *shop.db.conn().await;
    let orders = orders(2);
    for event in [Order::placed, Order::reserved] {
        react_to_all(conn, &shop.reactions, &all(&orders, event)).await.unwrap();
    }
    let settlements: Vec<_> =
        calls::take(conn, 10).await.unwrap().into_iter().map(|call| Settlement::of(call, GatewayReply::Done)).collect();
    let holder = &mut *shop.db.conn().await;
    sql_query("begin").execute(holder).await.unwrap();
    let hold = sql_query("select from payments where order_id = $1 for update");
    hold.bind::<diesel::sql_types::Uuid, _>(settlements[0].call.order_id.0).execute(holder).await.unwrap();
    sql_query("set lock_timeout = 0").execute(conn).await.unwrap();
    let locked = commands::settle_unless_locked(conn, &settlements).await.unwrap_err();
    assert!(service_kit::pool::is_lock_timeout(&locked), "{locked}");
    assert!(commands::settle_unless_locked(conn, &settlements[1..]).await.is_ok());
    sql_query("rollback").execute(holder).await.unwrap();
    assert!(commands::settle(conn, &settlements[..1]).await.is_ok());
    assert_eq!(shop.said().await.len(), 2);
}

/// As one that a newer version has written, while versions are mixed.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_can_not_be_read_is_put_off_and_shown_and_keeps_no_other_back() {
    let shop = Shop::new(gateways::never_called()).await;
    let conn = &mut *shop.db.conn().await;
    for change in [
        "update payments set state = 'levitating' where order_id = $1",
        "update gateway_calls set operation = 'levitate' where order_id = $1",
    ] {
        let orders = orders(3);
        for event in [Order::placed, Order::reserved] {
            react_to_all(conn, &shop.reactions, &all(&orders, event)).await.unwrap();
        }
        sql_query(change).bind::<diesel::sql_types::Uuid, _>(orders[1].id.0).execute(conn).await.unwrap();
        let taken: Vec<_> = calls::take(conn, 10).await.unwrap().into_iter().map(|call| call.order_id).collect();
        let others: std::collections::BTreeSet<_> = [orders[0].id, orders[2].id].into();
        assert_eq!(taken, others.into_iter().collect::<Vec<_>>(), "{change}");
        let failing = calls::failing(conn, std::time::Duration::ZERO).await.unwrap().unwrap();
        assert_eq!(failing.error_code, "payment_svc", "{change}: {failing:?}");
        assert!(!calls::next_due(conn).await.unwrap().unwrap().is_zero(), "it waits");
        sql_query("delete from gateway_calls").execute(conn).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_retries_that_are_due_take_as_many_statements_as_one() {
    let shop = Shop::new(gateways::never_called()).await;
    let conn = &mut *shop.db.conn().await;
    let retries = Retries { calls: Default::default() };
    let statements = Statements::of(conn);
    let mut taken = vec![];
    for orders in [orders(1), orders(50)] {
        for event in [Order::placed, Order::reserved] {
            react_to_all(conn, &shop.reactions, &all(&orders, event)).await.unwrap();
        }
        let not_now = || GatewayReply::NotNow { code: "processing_error".to_owned() };
        let calls = calls::take(conn, 100).await.unwrap();
        let settlements: Vec<_> = calls.into_iter().map(|call| Settlement::of(call, not_now())).collect();
        commands::settle(conn, &settlements).await.unwrap();
        let keys: Vec<_> = orders.iter().map(|order| order.id.to_string()).collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        statements.take();
        timers::fire_by_hand(conn, &retries, RETRY, &keys).await.unwrap();
        taken.push(statements.take().len());
        assert!(payments_of(&shop, &orders).await.iter().all(|payment| payment.attempts == 2));
        calls::take(conn, 100).await.unwrap();
    }
    assert_eq!(taken[0], taken[1], "one retry, and fifty");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_change_nothing_cost_one_insert_however_many_come_at_once() {
    let shop = Shop::new(gateways::that_agrees()).await;
    let orders = orders(20);
    for events in [all(&orders, Order::placed), all(&orders, Order::reserved)] {
        react_to_all(&mut *shop.db.conn().await, &shop.reactions, &events).await.unwrap();
    }
    shop.call_gateway().await;
    let mut told = vec![];
    for order in &orders {
        told.push(webhook_of(&shop.intent(order).await, "payment_intent.amount_capturable_updated"));
    }
    told.push(told[0].clone());
    let conn = &mut *shop.db.conn().await;
    let statements = Statements::of(conn);
    let received = webhooks::receive(conn, &told).await.unwrap();
    assert_eq!(statements.take().len(), 1);
    let noted = webhooks::Received::Noted(webhooks::Outcome::NothingNew);
    assert!(received[..20].iter().all(|received| *received == noted), "{received:?}");
    assert_eq!(received[20], webhooks::Received::Before, "it came twice");
    assert_eq!(webhooks::receive(conn, &told[..1]).await.unwrap(), [webhooks::Received::Before]);
    let written = sql_query("select 1 from webhook_events where outcome = 'nothing_new'").execute(conn).await.unwrap();
    assert_eq!(written, 20);
}
