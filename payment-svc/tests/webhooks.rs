//! Webhooks: who is believed, and what follows for the money, with the real sandbox gateway.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use chrono::Utc;
use payment_svc::commands::{self, Heard, NotHeard};
use payment_svc::domain::{Charge, GatewayReply};
use payment_svc::gateway::{IntentState, NewIntent, PaymentGateway};
use payment_svc::store::calls::TakenCall;
use payment_svc::store::payments;
use payment_svc::store::webhooks::{self, Outcome, Received};
use payment_svc::webhooks::WebhookEvent;
use serde_json::{Value, json};
use service_kit::config::{LogFormat, TelemetryConfig};
use service_kit::external_calls::ExternalCalls;
use shop::scene::Scene;
use shop::served::{SECRET, signed};

impl Scene {
    async fn of_a_customer_who_has_to_act() -> Self {
        Self::paid_with("pm_card_authenticationRequired").await
    }

    async fn authenticate(&self, outcome: &str) {
        self.sandbox.authenticate(&self.shop.intent(&self.order).await, outcome).await;
    }

    /// The gateway tells that something happened to the intent.
    async fn told(&self, event: &str, kind: &str) -> (u16, Value) {
        let intent = self.shop.intent(&self.order).await;
        let body = json!({"id": event, "type": kind, "data": {"object": {"object": "payment_intent", "id": intent}}});
        self.deliver(body.to_string().as_bytes()).await
    }

    async fn deliver(&self, body: &[u8]) -> (u16, Value) {
        self.served.deliver(body, Some(signed(body, SECRET, Utc::now().timestamp()))).await
    }

    async fn written(&self) -> i64 {
        self.shop.db.count("webhook_events").await
    }
}

const DONE: &str = "payment_intent.amount_capturable_updated";
const FAILED: &str = "payment_intent.payment_failed";

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_passes_3d_secure_has_paid_and_a_second_delivery_does_nothing() {
    let scene = Scene::of_a_customer_who_has_to_act().await;
    scene.authenticate("succeed").await;
    let received = |duplicate: bool| (200, json!({"received": true, "duplicate": duplicate}));
    assert_eq!(scene.told("evt_1", DONE).await, received(false));
    assert_eq!(scene.told("evt_1", DONE).await, received(true));
    assert_eq!(scene.told("evt_2", DONE).await, received(false));
    assert_eq!(scene.shop.said().await, ["payment.action_required.v1", "authorized 2598"]);
    scene.shop.hear_and_call([scene.order.confirmed()]).await;
    assert_eq!(scene.shop.said().await[2..], ["captured 2598"]);
    assert_eq!(scene.sandbox.journal(&scene.order).await, scene.shop.ledger(&scene.order).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_fails_3d_secure_is_declined_once_the_intent_is_ended() {
    let scene = Scene::of_a_customer_who_has_to_act().await;
    scene.authenticate("fail").await;
    scene.told("evt_1", FAILED).await;
    assert_eq!(scene.shop.said().await.len(), 1);
    scene.shop.call_gateway().await;
    let declined = "declined payment_intent_authentication_failure false";
    assert_eq!(scene.shop.said().await[1..], [declined]);
    assert_eq!(scene.sandbox.status(&scene.shop.intent(&scene.order).await).await, "canceled");
    assert!(scene.sandbox.journal(&scene.order).await.is_empty());
}

/// The customer was asked to act, and payment-svc does not know it: the answer is on its way, or lost.
async fn asked_to_act_unheard() -> (Scene, TakenCall) {
    let scene = Scene::unheard("pm_card_authenticationRequired").await;
    let Scene { sandbox, shop, order, .. } = &scene;
    shop.hear([order.placed(), order.reserved()]).await;
    let taken = shop.calls.take(1).await.unwrap().remove(0);
    let (payment, gateway) = (shop.payment(order).await, sandbox.adapter());
    let Charge { amount, method, .. } = payment.charge.clone().unwrap();
    let intent = NewIntent { order_id: order.id, amount, method: method.clone() };
    let intent = gateway.create(payment.key_of("create"), intent).await.unwrap();
    payments::note_intents(&mut *shop.db.conn().await, &[(order.id, intent.clone())]).await.unwrap();
    assert!(matches!(gateway.confirm(taken.key.clone(), intent, method).await, Ok(IntentState::ActionRequired { .. })));
    (scene, taken)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_fails_before_it_is_heard_that_they_have_to_act_is_declined_once_the_intent_is_ended() {
    let (scene, taken) = asked_to_act_unheard().await;
    scene.authenticate("fail").await;
    assert_eq!(scene.told("evt_1", FAILED).await.0, 200);
    assert!(scene.shop.said().await.is_empty());
    scene.shop.call_gateway().await;
    let declined = ["declined payment_intent_authentication_failure false"];
    assert_eq!(scene.shop.said().await, declined);
    assert_eq!(scene.sandbox.status(&scene.shop.intent(&scene.order).await).await, "canceled");
    // The answer arrives after all, and nobody waits for it.
    scene.shop.settle(&taken, GatewayReply::ActionRequired { url: None }).await;
    scene.shop.call_gateway().await;
    assert_eq!(scene.shop.said().await, declined);
    assert_eq!(scene.shop.decided().await, ["authorise action_failed", "void done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_only_the_retry_finds_ends_the_intent_too() {
    let (scene, _) = asked_to_act_unheard().await;
    scene.authenticate("fail").await;
    scene.shop.make_due().await;
    let found = scene.shop.calls.take(1).await.unwrap().remove(0);
    scene.shop.calls.perform(found).await.unwrap();
    scene.shop.call_gateway().await;
    assert_eq!(scene.shop.said().await, ["declined payment_intent_authentication_failure false"]);
    assert_eq!(scene.sandbox.status(&scene.shop.intent(&scene.order).await).await, "canceled");
    assert!(scene.sandbox.journal(&scene.order).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_out_of_order_are_judged_by_what_the_gateway_knows_not_by_what_they_say() {
    let scene = Scene::of_a_customer_who_has_to_act().await;
    scene.told("evt_1", DONE).await;
    scene.told("evt_2", FAILED).await;
    assert_eq!(scene.shop.said().await, ["payment.action_required.v1"]);
    scene.authenticate("succeed").await;
    scene.told("evt_3", FAILED).await;
    scene.told("evt_4", DONE).await;
    assert_eq!(scene.shop.said().await[1..], ["authorized 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_payment_after_end_a_customer_who_passes_too_late_is_voided_and_never_announced() {
    let scene = Scene::of_a_customer_who_has_to_act().await;
    scene.shop.hear([scene.order.released()]).await;
    scene.authenticate("succeed").await;
    scene.told("evt_1", DONE).await;
    scene.shop.call_gateway().await;
    assert_eq!(scene.shop.said().await[1..], ["voided 0"]);
    assert_eq!(scene.sandbox.status(&scene.shop.intent(&scene.order).await).await, "canceled");
    // It was never announced, but the money was there for a moment: both sides show it.
    let journal = scene.sandbox.journal(&scene.order).await;
    assert_eq!((journal.len(), &journal), (2, &scene.shop.ledger(&scene.order).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn race_delivered_twice_at_the_same_time_a_webhook_is_applied_once() {
    let scene = Scene::of_a_customer_who_has_to_act().await;
    scene.authenticate("succeed").await;
    let all = tokio::join!(scene.told("evt_1", DONE), scene.told("evt_1", DONE), scene.told("evt_2", DONE));
    assert_eq!([all.0.0, all.1.0, all.2.0], [200; 3]);
    assert_eq!(scene.shop.said().await[1..], ["authorized 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_gateway_times_out_a_webhook_brings_the_look_up_forward() {
    let scene = Scene::paid_with("pm_sandbox_timeout_then_success").await;
    scene.told("evt_1", DONE).await;
    scene.shop.call_gateway().await;
    assert_eq!(scene.shop.said().await, ["unknown Authorise", "authorized 2598"]);
    assert_eq!(scene.sandbox.journal(&scene.order).await, scene.shop.ledger(&scene.order).await);
}

fn of_refund(event: &str, kind: &str, refund: &str, intent: &str) -> Vec<u8> {
    let object = json!({"object": "refund", "id": refund, "payment_intent": intent, "status": "failed"});
    json!({"id": event, "type": kind, "data": {"object": object}}).to_string().into_bytes()
}

async fn refunded() -> (Scene, String) {
    let scene = Scene::captured().await;
    scene.shop.hear_and_call([scene.order.lost(&[("POT", 1)])]).await;
    let intent = scene.intent().await;
    (scene, intent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_fails_after_it_was_made_is_taken_back_once_and_told() {
    let (scene, intent) = refunded().await;
    assert_eq!(scene.shop.said().await[2..], ["refunded 598 remaining 2000"]);
    let refund = scene.sandbox.fail_refund(&intent).await;
    let received = |duplicate: bool| (200, json!({"received": true, "duplicate": duplicate}));
    for (event, kind, duplicate) in
        [("evt_1", "refund.failed", false), ("evt_1", "refund.failed", true), ("evt_2", "charge.refund.updated", false)]
    {
        assert_eq!(scene.deliver(&of_refund(event, kind, &refund, &intent)).await, received(duplicate));
    }
    assert_eq!(scene.shop.said().await[3..], ["payment.refund_failed.v1"]);
    assert_eq!(scene.shop.payment(&scene.order).await.refunded().unwrap().amount(), 0);
    let ledger = scene.shop.ledger(&scene.order).await;
    assert_eq!((ledger.len(), &scene.sandbox.journal(&scene.order).await), (4, &ledger));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_not_taken_back_on_the_word_of_a_webhook_alone() {
    let (scene, intent) = refunded().await;
    let ours = scene.shop.refund_name().await;
    for (event, refund) in [("evt_1", ours.as_str()), ("evt_3", "re_of_nobody")] {
        assert_eq!(scene.deliver(&of_refund(event, "refund.failed", refund, &intent)).await.0, 200);
    }
    assert_eq!((scene.written().await, scene.shop.said().await.len()), (2, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_fails_before_its_own_answer_is_known_is_told_again_later() {
    let (scene, intent) = refunded().await;
    scene.shop.hear([scene.order.lost(&[("TEA", 1)])]).await;
    let taken = scene.shop.calls.take(1).await.unwrap().remove(0);
    let body = of_refund("evt_1", "refund.failed", "re_not_noted_yet", &intent);
    assert_eq!((scene.deliver(&body).await.0, scene.written().await), (503, 0));
    scene.shop.calls.perform(taken).await.unwrap();
    let refund = scene.sandbox.fail_refund(&intent).await;
    assert_eq!(scene.deliver(&of_refund("evt_1", "refund.failed", &refund, &intent)).await.0, 200);
    assert_eq!(scene.shop.said().await[3..], ["refunded 1000 remaining 1000", "payment.refund_failed.v1"]);
}

/// Both come in one batch, before anything is written of either.
#[tokio::test(flavor = "multi_thread")]
async fn race_delivered_twice_at_the_same_time_a_webhook_whose_first_delivery_fails_is_not_lost() {
    let (scene, intent) = refunded().await;
    scene.shop.hear([scene.order.lost(&[("TEA", 1)])]).await;
    let taken = scene.shop.calls.take(1).await.unwrap().remove(0);
    let (pool, gateway) = (&scene.shop.db.pool, scene.sandbox.adapter());
    let early =
        WebhookEvent::parse(&of_refund("evt_1", "refund.failed", "re_not_noted_yet", &intent)).unwrap().unwrap();
    let twice = webhooks::receive(&mut pool.get().await.unwrap(), &[early.clone(), early.clone()]).await.unwrap();
    assert_eq!(twice, [Received::MayTell(scene.order.id); 2]);
    for received in twice.clone() {
        let heard = commands::hear_webhook(pool, &gateway, &early, received).await;
        assert!(matches!(heard, Err(NotHeard::TooEarly)), "{heard:?}");
    }
    scene.shop.calls.perform(taken).await.unwrap();
    let mut heard = vec![];
    for received in twice {
        heard.push(commands::hear_webhook(pool, &gateway, &early, received).await.unwrap());
    }
    assert_eq!(heard, [Heard::Now(Outcome::NothingNew), Heard::Duplicate]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_by_the_gateway_lately_is_a_problem_and_writes_nothing() {
    let scene = Scene::of_a_customer_who_has_to_act().await;
    let (body, now) = (br#"{"id":"evt_1","type":"x","data":{"object":{"object":"charge"}}}"#, Utc::now().timestamp());
    for (signature, why) in [
        (None, "missing"),
        (Some("nonsense".to_owned()), "of the form"),
        (Some(signed(body, "whsec_another", now)), "by our secret"),
        (Some(signed(b"another", SECRET, now)), "by our secret"),
        (Some(signed(body, SECRET, now - 400)), "more than 300 seconds"),
    ] {
        let (status, problem) = scene.served.deliver(body, signature).await;
        assert_eq!((status, &problem["type"]), (400, &json!("urn:problem:malformed")), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(why), "{problem}");
    }
    for body in ["", "[", "evt_1"] {
        let (status, problem) = scene.deliver(body.as_bytes()).await;
        assert_eq!((status, &problem["status"]), (400, &json!(400)), "{body}: {problem}");
    }
    assert_eq!(scene.written().await, 0);
}

/// Stripe switches an endpoint off that refuses what it sends.
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_event_in_an_unknown_shape_or_version_is_received_and_counted() {
    let quiet = TelemetryConfig { format: LogFormat::Json, filter: "off".to_owned(), tracing: None };
    service_kit::telemetry::init("payment-svc", &quiet).unwrap();
    let scene = Scene::of_a_customer_who_has_to_act().await;
    let thin = r#"{"id":"evt_t1","object":"v2.core.event","type":"v1.billing.meter.no_meter_found",
                   "created":"2025-01-01T00:00:00Z","related_object":null}"#;
    let no_data = r#"{"id":"evt_2","type":"charge.refunded","api_version":"2031-01-01.aspen"}"#;
    let null = r#"{"id":"evt_3","type":"x","data":{"object":null}}"#;
    let received = (200, json!({"received": true, "duplicate": false}));
    for body in [thin, no_data, null, "{}", "[]", r#"{"id":7}"#] {
        assert_eq!(scene.deliver(body.as_bytes()).await, received, "{body}");
    }
    assert_eq!(scene.deliver(thin.as_bytes()).await.1["duplicate"], true);
    assert_eq!((scene.written().await, scene.shop.said().await.len()), (3, 1));
    let counted = service_kit::telemetry::render_metrics();
    for line in [
        r#"type="other",version="other",outcome="not_ours""#,
        r#"type="other",version="other",outcome="duplicate""#,
        r#"type="charge.refunded",version="other",outcome="not_ours""#,
        r#"type="none",version="none",outcome="unknown_shape""#,
    ] {
        let is_it = |counted: &str| counted.starts_with("payment_webhooks_total") && counted.contains(line);
        assert!(counted.lines().any(is_it), "{line} is not in {counted}");
    }
    assert!(!counted.contains("billing.meter"), "a stranger makes labels: {counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_has_its_intent_whole_is_one_of_that_intent() {
    let scene = Scene::of_a_customer_who_has_to_act().await;
    scene.authenticate("succeed").await;
    let intent = scene.shop.intent(&scene.order).await;
    let object =
        json!({"object": "charge", "id": "ch_1", "payment_intent": {"object": "payment_intent", "id": intent}});
    let body = json!({"id": "evt_1", "type": "charge.succeeded", "data": {"object": object}}).to_string();
    assert_eq!(scene.deliver(body.as_bytes()).await.0, 200);
    assert_eq!(scene.shop.said().await[1..], ["authorized 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_somebody_elses_is_received_and_changes_nothing() {
    let scene = Scene::of_a_customer_who_has_to_act().await;
    for (id, object) in [
        ("evt_1", json!({"object": "payment_intent", "id": "pi_of_another_shop"})),
        ("evt_2", json!({"object": "customer", "id": "cus_1"})),
    ] {
        let body = json!({"id": id, "type": "x.y", "data": {"object": object}}).to_string();
        assert_eq!(scene.deliver(body.as_bytes()).await.0, 200);
    }
    assert_eq!((scene.written().await, scene.shop.said().await.len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_can_not_be_asked_makes_the_webhook_come_again() {
    let scene = Scene::of_a_customer_who_has_to_act().await;
    scene.authenticate("succeed").await;
    scene.sandbox.faults(json!({"failure_rate": 1.0})).await;
    let (status, problem) = scene.told("evt_1", DONE).await;
    assert_eq!((status, scene.written().await), (503, 0), "{problem}");
    scene.sandbox.faults(json!({})).await;
    assert_eq!(scene.told("evt_1", DONE).await.0, 200);
    assert_eq!(scene.shop.said().await[1..], ["authorized 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_signatures_in_two_headers_are_refused_whichever_comes_first() {
    let scene = Scene::of_a_customer_who_has_to_act().await;
    let (body, now) = (br#"{"id": "evt_1", "type": "x"}"#, Utc::now().timestamp());
    let (good, bad) = (signed(body, SECRET, now), signed(body, "whsec_of_somebody", now));
    for two in [[&good, &bad], [&bad, &good], [&good, &good]] {
        let request = reqwest::Client::new().post(format!("{}/webhooks/stripe", scene.served.url)).body(body.to_vec());
        let request = two.iter().fold(request, |request, one| request.header("Stripe-Signature", *one));
        let (status, problem) = quadrille_testing::answer(request).await;
        let error = &problem["errors"][0];
        let expected = (422, Some("Stripe-Signature"), Some("duplicate_field"));
        assert_eq!((status, error["field"].as_str(), error["code"].as_str()), expected, "{problem}");
    }
    assert_eq!(scene.written().await, 0);
}
