//! Rows of docs/RACES.md that money or parcels are in, on the whole shop, as a person runs it.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod running;

use std::collections::BTreeMap;

use nix::sys::signal::Signal;
use reqwest::StatusCode;
use running::{PATIENCE, Running, TEA, net};
use serde_json::{Value, json};
use service_kit::testing::eventually;

const ONCE: [&str; 2] = ["authorise", "capture"];

/// How often the gateway did what for an order.
async fn effects(running: &Running, order: &str) -> Vec<String> {
    let effects = running.shop.api.effects_on(order).await.unwrap();
    let mut operations: Vec<_> = effects.into_iter().map(|(operation, _)| operation).collect();
    operations.sort();
    operations
}

async fn statuses(running: &Running, order: &str) -> Vec<String> {
    let history = running.get("order-svc", &format!("/api/v1/orders/{order}/history?limit=1000")).await;
    let steps = history["items"].as_array().unwrap().iter();
    steps.map(|step| step["status"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the gateway asks the bank for the order's money: the confirmation was sent and is not answered yet.
async fn until_bank_is_asked(running: &Running, order: &str) {
    let payment = format!("/api/v1/payments?order_id={order}");
    eventually("the bank is asked", PATIENCE, async || {
        let payment = running.get("payment-svc", &payment).await["items"][0].clone();
        let Some(intent) = payment["gateway"]["payment_intent"].as_str() else { return false };
        running.shop.api.intent_status(intent).await.unwrap() == "processing"
    })
    .await;
}

/// In the end the gateway agreed, and let go of just that: once each, with no other effect on the order's money.
async fn was_let_go_of(running: &Running, order: &str) {
    assert_eq!(effects(running, order).await, ["authorise", "void"]);
    let money = running.money().await.remove(order).unwrap();
    let total = running.get("order-svc", &format!("/api/v1/orders/{order}")).await["total"]["amount"].as_i64().unwrap();
    assert_eq!(money, BTreeMap::from([("authorise".to_owned(), total), ("void".to_owned(), total)]));
    assert!(!statuses(running, order).await.contains(&"confirmed".to_owned()), "it was revived");
}

#[tokio::test(flavor = "multi_thread")]
async fn race_cancel_races_gateway_that_is_slow_and_the_order_stays_cancelling_until_it_answered() {
    let running = Running::start("").await;
    let before = running.level(TEA).await;
    let order = running.place_with(TEA, "pm_sandbox_slow").await;
    until_bank_is_asked(&running, &order).await;
    assert_eq!(running.cancel(&order).await, StatusCode::ACCEPTED);
    assert_eq!(running.stands(&order).await.0, "cancelling");
    running.until(&order, "cancelled").await;
    was_let_go_of(&running, &order).await;
    assert_eq!(running.level(TEA).await, before);
    running.stop().await;
}

/// The gateway stands still with the confirmation in its hands, and says yes once the goods are given back.
#[tokio::test(flavor = "multi_thread")]
async fn race_payment_after_end_is_let_go_of_and_revives_nothing() {
    let running = Running::start("").await;
    let gateway = running.shop.process("sandbox-gateway").unwrap();
    let order = running.place_with(TEA, "pm_sandbox_slow").await;
    until_bank_is_asked(&running, &order).await;
    assert!(gateway.signal(Signal::SIGSTOP));
    assert_eq!(running.cancel(&order).await, StatusCode::ACCEPTED);
    running.until_field(&order, "stock", "released").await;
    assert_eq!(running.stands(&order).await.0, "cancelling");
    assert!(gateway.signal(Signal::SIGCONT));
    running.until(&order, "cancelled").await;
    was_let_go_of(&running, &order).await;
    // and so for a customer who comes back to their bank's window too late
    let late = running.place_with(TEA, "pm_card_authenticationRequired").await;
    running.until_field(&late, "payment", "action_required").await;
    let payment = running.first("payment-svc", "payments", &late).await;
    assert_eq!(running.cancel(&late).await, StatusCode::ACCEPTED);
    running.until(&late, "cancelled").await;
    let intent = payment["gateway"]["payment_intent"].as_str().unwrap();
    let window = format!("/sandbox/payment_intents/{intent}/authenticate");
    let (status, _) = running.post("sandbox-gateway", &window, &json!({"outcome": "succeed"})).await;
    assert!(status.is_client_error(), "{status}");
    assert!(effects(&running, &late).await.is_empty());
    running.stop().await;
}

/// Which of two competing requests comes first, as far as a test can arrange it.
#[derive(Clone, Copy, Debug)]
enum First {
    /// The parcel is called off when the carrier comes.
    Cancel,
    /// It has left when the customer cancels.
    Dispatch,
    /// Both are asked for at once.
    Neither,
    /// The cancellation is accepted, and on its way to stock-svc, which decides.
    CancelIsTaken,
}

impl First {
    const ALL: [Self; 4] = [Self::Cancel, Self::Dispatch, Self::Neither, Self::CancelIsTaken];

    /// Has `ask` and `hand_over` done in this order. `taken` and `left` wait until the first has been heard by all.
    async fn of<A, B>(
        self,
        ask: impl AsyncFn() -> A,
        taken: impl AsyncFn(),
        hand_over: impl AsyncFn() -> B,
        left: impl AsyncFn(),
    ) -> (A, B) {
        match self {
            Self::Cancel => {
                let asked = ask().await;
                taken().await;
                (asked, hand_over().await)
            }
            Self::Dispatch => {
                let handed = hand_over().await;
                left().await;
                (ask().await, handed)
            }
            Self::Neither => tokio::join!(ask(), hand_over()),
            Self::CancelIsTaken => (ask().await, hand_over().await),
        }
    }
}

/// Has `one` done `rounds` times in each order. Says how often the parcel was quicker, as it must be and must not be where the
/// order is given, and how often it was not.
async fn raced(running: &Running, rounds: i64, one: impl AsyncFn(&Running, First) -> bool) -> (i64, i64) {
    let (mut quicker, mut later) = (0, 0);
    for first in First::ALL {
        for _ in 0..rounds {
            let was = one(running, first).await;
            assert!(!matches!((first, was), (First::Cancel, true) | (First::Dispatch, false)), "{first:?}: {was}");
            *(if was { &mut quicker } else { &mut later }) += 1;
        }
    }
    assert!(quicker >= rounds && later >= rounds, "{quicker} and {later}");
    (quicker, later)
}

fn handed() -> Value {
    json!({"carrier": "An Post", "tracking_number": "CE123456789IE"})
}

#[tokio::test(flavor = "multi_thread")]
async fn race_cancel_races_dispatch_and_nothing_is_both_refunded_and_sent() {
    let running = Running::start("").await;
    let (on_hand, held) = running.level(TEA).await;
    let (sent, _) = raced(&running, 4, one_cancelled_while_handed_over).await;
    assert_eq!(running.level(TEA).await, (on_hand - sent, held));
    running.stop().await;
}

/// Cancels an order while its parcel is handed over, and says whether it left. All that either outcome implies is so.
async fn one_cancelled_while_handed_over(running: &Running, first: First) -> bool {
    let order = running.place(TEA).await;
    let shipment = running.first("stock-svc", "shipments", &order).await;
    let shipment = format!("/api/v1/shipments/{}", shipment["id"].as_str().unwrap());
    let dispatch = format!("{shipment}/dispatch");
    let hand_over = async || running.post("stock-svc", &dispatch, &handed()).await.0;
    let stage = async || running.get("stock-svc", &shipment).await["status"].as_str().unwrap().to_owned();
    let off = async || eventually("the parcel is called off", PATIENCE, async || stage().await == "cancelled").await;
    let (cancelled, dispatched) = first.of(async || running.cancel(&order).await, off, hand_over, async || ()).await;
    if dispatched.is_success() {
        assert!(matches!(cancelled, StatusCode::ACCEPTED | StatusCode::CONFLICT), "{first:?}: {cancelled}");
        running.until(&order, "shipped").await;
        assert_eq!(running.cancel(&order).await, StatusCode::CONFLICT);
        assert_eq!(
            (stage().await.as_str(), effects(running, &order).await),
            ("dispatched", ONCE.map(String::from).into())
        );
        assert!(!statuses(running, &order).await.contains(&"cancelled".to_owned()));
        return true;
    }
    assert_eq!((cancelled, dispatched), (StatusCode::ACCEPTED, StatusCode::CONFLICT), "{first:?}");
    running.until(&order, "cancelled").await;
    assert_eq!(running.stands(&order).await.1.as_deref(), Some("customer"));
    assert_eq!(stage().await, "cancelled");
    assert_eq!(effects(running, &order).await, ["authorise", "capture", "refund"]);
    assert_eq!(net(&running.money().await[&order]), (0, 0));
    assert!(!statuses(running, &order).await.contains(&"shipped".to_owned()));
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn race_call_off_races_dispatch_and_the_order_completes_with_what_left() {
    let running = Running::start("").await;
    let (on_hand, held) = running.level(TEA).await;
    let (sent, stopped) = raced(&running, 3, the_rest_called_off_while_handed_over).await;
    assert_eq!(running.level(TEA).await, (on_hand - 2 * sent - stopped, held));
    all_that_must_hold_does(&running).await;
    running.stop().await;
}

async fn all_that_must_hold_does(running: &Running) {
    let audit = running.client.get(&running.at.audit).send().await.unwrap();
    let told: Value = audit.json().await.unwrap();
    assert_eq!(told["holds"], true, "{told}");
}

/// Sends one of two pieces, calls off the other while it is handed over, and says whether that left too.
async fn the_rest_called_off_while_handed_over(running: &Running, first: First) -> bool {
    let order = running.place_pieces(TEA, 2, "pm_card_visa").await;
    let whole = running.first("stock-svc", "shipments", &order).await;
    let split = format!("/api/v1/shipments/{}/split", whole["id"].as_str().unwrap());
    let (_, parts) = running.post("stock-svc", &split, &json!({"lines": [{"sku": TEA, "quantity": 1}]})).await;
    let path = |n: usize| format!("/api/v1/shipments/{}", parts["items"][n]["id"].as_str().unwrap());
    let [part, rest] = [path(0), path(1)];
    let step = async |parcel: &str, step: &str, body: &Value| {
        running.post("stock-svc", &format!("{parcel}/{step}"), body).await.0
    };
    assert_eq!(step(&part, "dispatch", &handed()).await, StatusCode::OK);
    running.until(&order, "partially_shipped").await;
    let call_off = format!("/api/v1/orders/{order}/call-off");
    let ask = async || running.post("order-svc", &call_off, &json!({})).await.0;
    let hand_over = async || step(&rest, "dispatch", &handed()).await;
    let heard = async || running.until(&order, "shipped").await;
    let (asked, dispatched) = first.of(ask, heard, hand_over, heard).await;
    let left = dispatched.is_success();
    assert!(
        asked == StatusCode::ACCEPTED || (left && asked == StatusCode::CONFLICT),
        "{first:?}: {asked}, {dispatched}"
    );
    for parcel in if left { vec![&part, &rest] } else { vec![&part] } {
        assert_eq!(step(parcel, "deliver", &json!({})).await, StatusCode::OK);
    }
    running.until(&order, "completed").await;
    assert_eq!(ask().await, if left { StatusCode::CONFLICT } else { StatusCode::ACCEPTED }, "again");
    let shown = running.get("order-svc", &format!("/api/v1/orders/{order}")).await;
    let money = running.money().await.remove(&order).unwrap();
    let (price, refund) = (shown["total"]["amount"].as_i64().unwrap() / 2, money.get("refund").copied());
    assert_eq!((&shown["lines"][0]["called_off"], refund), (&json!(i64::from(!left)), (!left).then_some(price)));
    let told = || async { running.notifications(&order).await.into_iter().map(|mail| mail["template"].clone()) };
    if left && asked == StatusCode::ACCEPTED {
        eventually("its customer reads that it was too late", PATIENCE, async || {
            told().await.any(|template| template == "order_call_off_refused")
        })
        .await;
    } else if !left {
        eventually("its customer reads what will not come", PATIENCE, async || {
            told().await.any(|template| template == "order_called_off")
        })
        .await;
        assert!(!told().await.any(|template| template == "order_call_off_refused"));
    }
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn race_address_races_dispatch_and_a_parcel_goes_where_its_customer_is_told() {
    let running = Running::start("").await;
    raced(&running, 3, async |running, first| !one_that_moves_while_handed_over(running, first).await).await;
    all_that_must_hold_does(&running).await;
    running.stop().await;
}

/// Changes the address of a paid order while its parcel is handed over, and says whether that goes there. The first of the
/// two is the change of address where [`First`] has a cancellation.
async fn one_that_moves_while_handed_over(running: &Running, first: First) -> bool {
    let order = running.place(TEA).await;
    let shipment = running.first("stock-svc", "shipments", &order).await;
    let shipment = format!("/api/v1/shipments/{}", shipment["id"].as_str().unwrap());
    let of_order = format!("/api/v1/orders/{order}");
    let elsewhere =
        json!({"line1": "2 Mill Rd", "line2": null, "city": "Galway", "postal_code": "H91", "country": "IE"});
    let dispatch = format!("{shipment}/dispatch");
    let hand_over = async || assert_eq!(running.post("stock-svc", &dispatch, &handed()).await.0, StatusCode::OK);
    let address = format!("{of_order}/delivery-address");
    let ask = async || running.put("order-svc", &address, &elsewhere).await.0;
    let bears = async || running.get("stock-svc", &shipment).await["delivery_address"].clone();
    let taken =
        async || eventually("the parcel takes the address", PATIENCE, async || bears().await == elsewhere).await;
    let (asked, ()) = first.of(ask, taken, hand_over, async || ()).await;
    assert!(matches!(asked, StatusCode::ACCEPTED | StatusCode::CONFLICT), "{first:?}: {asked}");
    running.until(&order, "shipped").await;
    eventually("the change is decided", PATIENCE, async || {
        running.get("order-svc", &of_order).await["requested_address"].is_null()
    })
    .await;
    let (goes_to, told) = (bears().await, running.get("order-svc", &of_order).await["delivery_address"].clone());
    assert_eq!(goes_to, told, "{first:?}");
    let follows = goes_to == elsewhere;
    let mail = if follows { "order_address_changed" } else { "order_address_change_refused" };
    if asked == StatusCode::ACCEPTED {
        eventually("its customer reads where it goes", PATIENCE, async || {
            running.notifications(&order).await.iter().any(|message| message["template"] == mail)
        })
        .await;
    }
    follows
}

#[tokio::test(flavor = "multi_thread")]
async fn race_declined_retryable_is_tried_again_and_charged_once() {
    let running = Running::start("").await;
    let order = running.place_with(TEA, "pm_sandbox_declined_once").await;
    running.until_field(&order, "payment", "declined").await;
    assert_eq!(running.stands(&order).await.0, "pending");
    running.until_field(&order, "payment", "captured").await;
    assert_eq!(effects(&running, &order).await, ONCE);
    assert_eq!(running.first("payment-svc", "payments", &order).await["attempts"], 2);
    running.stop().await;
}

/// The gateway stands still, so that payment-svc gives nobody up at its own deadline.
#[tokio::test(flavor = "multi_thread")]
async fn race_hold_expires_while_the_customer_does_not_act_and_all_is_given_back() {
    let running = Running::start("RESERVATION_TTL=8s PAYMENT_DEADLINE=7s").await;
    let before = running.level(TEA).await;
    let gateway = running.shop.process("sandbox-gateway").unwrap();
    let order = running.place_with(TEA, "pm_card_authenticationRequired").await;
    running.until_field(&order, "payment", "action_required").await;
    assert!(gateway.signal(Signal::SIGSTOP));
    running.until(&order, "cancelling").await;
    assert!(gateway.signal(Signal::SIGCONT));
    running.until(&order, "cancelled").await;
    assert_eq!(running.stands(&order).await.1.as_deref(), Some("timeout"));
    assert_eq!(running.level(TEA).await, before);
    assert!(effects(&running, &order).await.is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_gateway_times_out_and_is_asked_what_it_did_instead_of_charging_again() {
    let running = Running::start("PAYMENT_GATEWAY_TIMEOUT=500ms").await;
    // Only by asking can payment-svc know.
    let faults = running.client.put(running.url("sandbox-gateway", "/sandbox/faults"));
    let lost = faults.json(&json!({"webhooks": {"lose": true}})).send().await.unwrap();
    assert!(lost.status().is_success());
    let order = running.place_with(TEA, "pm_sandbox_timeout_then_success").await;
    running.until_field(&order, "payment", "captured").await;
    assert_eq!(effects(&running, &order).await, ONCE);
    let history = running.get("order-svc", &format!("/api/v1/orders/{order}/history")).await;
    let heard: Vec<_> =
        history["items"].as_array().unwrap().iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    let first = |wanted: &str| heard.iter().position(|heard| *heard == wanted);
    let (unknown, authorized) = (first("payment.unknown.v1"), first("payment.authorized.v1"));
    assert!(unknown.is_some() && unknown < authorized, "nobody knew at first whether it was authorised: {heard:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_refunds_by_several_at_once_never_exceed_what_was_paid() {
    const PART: i64 = 400;
    let running = Running::start("").await;
    let order = running.place(TEA).await;
    running.until_field(&order, "payment", "captured").await;
    let payment = running.first("payment-svc", "payments", &order).await;
    let captured = payment["captured"]["amount"].as_i64().unwrap();
    let path = format!("/api/v1/payments/{}/refunds", payment["id"].as_str().unwrap());
    let body = json!({"amount": {"amount": PART, "currency": "EUR"}, "reason": "a scratch"});
    let ask = async || running.post("payment-svc", &path, &body).await.0;
    let (a, b, c, d, e) = tokio::join!(ask(), ask(), ask(), ask(), ask());
    let mut answers = BTreeMap::<u16, i64>::new();
    [a, b, c, d, e].iter().for_each(|status| *answers.entry(status.as_u16()).or_default() += 1);
    let fits = captured / PART;
    assert_eq!(answers, BTreeMap::from([(202, fits), (409, 5 - fits)]));
    eventually("all of them are done", PATIENCE, async || {
        running.money().await[&order].get("refund").copied() == Some(fits * PART)
    })
    .await;
    eventually("payment-svc knows", PATIENCE, async || {
        running.first("payment-svc", "payments", &order).await["refunded"]["amount"] == fits * PART
    })
    .await;
    running.stop().await;
}

/// The warehouse stands still while orders come, then the whole shop is away for longer than an order may take.
#[tokio::test(flavor = "multi_thread")]
async fn race_service_down_for_hours_catches_up_and_its_timers_wait_for_what_it_missed() {
    const ORDERS: usize = 5;
    let mut running = Running::start("ORDER_DEADLINE=20s").await;
    let warehouse = running.shop.process("stock-svc").unwrap();
    assert!(warehouse.signal(Signal::SIGSTOP));
    let mut orders = vec![];
    for _ in 0..ORDERS {
        orders.push(running.place(TEA).await);
    }
    let placed = tokio::time::Instant::now();
    running.shop.stop().await.ok();
    running.again(&["--without", "order-svc"]).await;
    for order in &orders {
        eventually("it is paid for", PATIENCE, async || {
            running.get("payment-svc", &format!("/api/v1/payments?order_id={order}")).await["items"][0]["status"]
                == "authorized"
        })
        .await;
    }
    eventually("their deadlines have passed", PATIENCE, async || placed.elapsed().as_secs() > 21).await;
    running.shop.stop().await.unwrap();
    running.again(&[]).await;
    for order in &orders {
        running.until_field(order, "payment", "captured").await;
        assert_eq!(running.stands(order).await.0, "confirmed");
        assert_eq!(effects(&running, order).await, ONCE);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_a_refund_at_the_gateway_and_then_a_cancel_end_the_order_by_itself() {
    let running = Running::start("").await;
    for lost in [false, true] {
        let url = running.url("sandbox-gateway", "/sandbox/faults");
        running.client.put(url).json(&json!({"webhooks": {"lose": lost}})).send().await.unwrap();
        let order = running.place(TEA).await;
        running.until_field(&order, "payment", "captured").await;
        let payment = running.first("payment-svc", "payments", &order).await;
        let captured = payment["captured"]["amount"].as_i64().unwrap();
        let intent = payment["gateway"]["payment_intent"].as_str().unwrap().to_owned();
        let refund = running.client.post(running.url("sandbox-gateway", "/v1/refunds")).bearer_auth("sk_test_sandbox");
        let refund = refund.form(&[("payment_intent", intent), ("amount", "100".to_owned())]).send().await.unwrap();
        assert_eq!(refund.status(), StatusCode::OK);
        if !lost {
            eventually("payment-svc has heard of it", PATIENCE, async || {
                running.first("payment-svc", "payments", &order).await["refunded"]["amount"] == 100
            })
            .await;
        }
        assert_eq!(running.cancel(&order).await, StatusCode::ACCEPTED);
        running.until(&order, "cancelled").await;
        let money = running.money().await.remove(&order).unwrap();
        assert_eq!((money["capture"], money["refund"]), (captured, captured));
        assert_eq!(effects(&running, &order).await, ["authorise", "capture", "refund", "refund"]);
    }
    running.stop().await;
}
