//! A refund that the gateway does not make is given back past it by staff, who say so over HTTP. With the real sandbox gateway.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use payment_svc::cli::Ended;
use serde_json::{Value, json};
use shop::scene::Scene;

impl Scene {
    /// Staff have asked for a refund of 598; the gateway is not asked yet.
    async fn refunding() -> Self {
        let scene = Self::captured().await;
        scene.refunds(598).await;
        scene
    }

    /// The same; the gateway has made it, and the customer's bank has given it back.
    async fn came_back() -> Self {
        let scene = Self::refunding().await;
        scene.shop.call_gateway().await;
        scene.fails().await;
        scene
    }

    /// The customer's bank gives the newest refund back, which the gateway tells.
    async fn fails(&self) {
        self.sandbox.fail_refund(&self.shop.intent(&self.order).await).await;
        self.told_of_the_failure("evt_1").await;
    }

    async fn told_of_the_failure(&self, event: &str) {
        let (intent, refund) = (self.shop.intent(&self.order).await, self.shop.refund_name().await);
        let object = json!({"object": "refund", "id": refund, "payment_intent": intent, "status": "failed"});
        let told = self.told_of(event, "refund.failed", object).await;
        assert_eq!(told.0, 200, "{}", told.1);
    }

    async fn refunds(&self, amount: i64) {
        let body = json!({"amount": {"amount": amount, "currency": "EUR"}, "reason": "a chipped cup"});
        let (status, refund) = self.post("refunds", None, &body).await;
        assert_eq!(status, 202, "{refund}");
    }

    /// The first refund.
    async fn refund(&self) -> String {
        self.shop.payment(&self.order).await.refunds[0].id.to_string()
    }

    async fn settle(&self, refund: &str, key: Option<&str>, body: &Value) -> (u16, Value) {
        self.post(&format!("refunds/{refund}/settle-outside"), key, body).await
    }

    async fn said(&self) -> Vec<String> {
        self.shop.said().await.split_off(2)
    }
}

fn by_transfer() -> Value {
    json!({"reason": "The card is closed.", "reference": "SEPA 0042"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_came_back_is_settled_outside_once_booked_and_announced() {
    let scene = Scene::came_back().await;
    assert_eq!(scene.said().await, ["refunded 598 remaining 2000", "payment.refund_failed.v1"]);
    let first = scene.settle(&scene.refund().await, Some("k-1"), &by_transfer()).await;
    assert_eq!((first.0, &first.1["status"], &first.1["amount"]["amount"]), (200, &json!("done"), &json!(598)));
    let settled = &first.1["settled_outside"];
    assert_eq!((&settled["reason"], &settled["reference"]), (&json!("The card is closed."), &json!("SEPA 0042")));
    assert_eq!(
        scene.settle(&scene.refund().await, Some("k-1"), &by_transfer()).await,
        first,
        "as it was answered then"
    );
    assert_eq!(scene.said().await[2..], ["refunded 598 remaining 2000"]);
    let (_, shown) = scene.served.read(&format!("/{}", scene.id().await)).await;
    assert_eq!((&shown["status"], &shown["refunded"]["amount"]), (&json!("partially_refunded"), &json!(598)));
    assert_eq!(shown["refunds"][0], first.1);
    let balances = [("bank", -598), ("customer", 0), ("gateway_clearing", 2598), ("refunds", 598), ("revenue", -2598)];
    assert_eq!(scene.shop.balances().await, balances.map(|(account, balance)| (account.to_owned(), balance)));
    let outside = format!("refund_outside 598 EUR {}:outside", scene.refund().await);
    assert_eq!(scene.shop.ledger(&scene.order).await.last(), Some(&outside));
    for repairs in [false, true] {
        let (ended, lines) = scene.reconcile(repairs).await;
        assert_eq!(ended, Ended::Well, "the gateway knows nothing of it, and need not: {lines:?}");
    }
    assert_eq!(scene.said().await.len(), 3, "what had come back does not come back again");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_refund_that_has_failed_is_settled_outside() {
    let scene = Scene::refunding().await;
    let code = |answer: &(u16, Value)| (answer.0, answer.1["code"].as_str().unwrap().to_owned());
    let not_failed = (409, "refund_not_failed".to_owned());
    let open = scene.settle(&scene.refund().await, Some("k-1"), &by_transfer()).await;
    assert_eq!(code(&open), not_failed, "the gateway's answer is awaited");
    assert!(open.1["detail"].as_str().unwrap().contains("the refund is calling"), "{}", open.1);
    scene.shop.call_gateway().await;
    assert_eq!(
        code(&scene.settle(&scene.refund().await, None, &by_transfer()).await),
        not_failed,
        "the gateway has made it"
    );
    scene.fails().await;
    for (body, field) in [
        (json!({"reason": "x"}), "reference"),
        (json!({"reason": "", "reference": "r"}), "reason"),
        (json!({"reason": "x", "reference": "r", "amount": 1}), "amount"),
    ] {
        let (status, problem) = scene.settle(&scene.refund().await, None, &body).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some(field)), "{problem}");
    }
    let unknown = "01890000-0000-7000-8000-000000000000";
    assert_eq!(scene.settle(unknown, None, &by_transfer()).await.0, 404);
    assert_eq!(scene.settle(&scene.refund().await, Some("k-1"), &by_transfer()).await.0, 200, "a refusal is not kept");
    let (status, problem) =
        scene.settle(&scene.refund().await, Some("k-1"), &json!({"reason": "x", "reference": "r"})).await;
    assert_eq!((status, problem["code"].as_str()), (422, Some("key_reused")), "{problem}");
    assert_eq!(code(&scene.settle(&scene.refund().await, None, &by_transfer()).await), not_failed, "it is done");
    scene.told_of_the_failure("evt_2").await;
    assert_eq!(scene.said().await.len(), 3, "the gateway's refund has failed before");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_back_otherwise_meanwhile_is_not_given_back_outside_too() {
    let scene = Scene::came_back().await;
    scene.refunds(2598).await;
    let (status, problem) = scene.settle(&scene.refund().await, None, &by_transfer()).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("not_refundable")), "{problem}");
    scene.shop.call_gateway().await;
    assert_eq!(scene.settle(&scene.refund().await, None, &by_transfer()).await.0, 409);
    assert_eq!(scene.said().await.last().unwrap(), "refunded 2598 remaining 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_after_a_refund_outside_gives_back_what_remains() {
    let scene = Scene::came_back().await;
    assert_eq!(scene.settle(&scene.refund().await, None, &by_transfer()).await.0, 200);
    scene.shop.hear_and_call([scene.order.restocked(&[("TEA", 2), ("POT", 1)])]).await;
    assert_eq!(scene.said().await.last().unwrap(), "refunded 2000 remaining 0");
    assert_eq!(scene.reconcile(false).await.0, Ended::Well);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_more_than_was_captured_is_shown_and_the_webhook_that_tells_of_it_does_not_come_for_ever() {
    let scene = Scene::came_back().await;
    assert_eq!(scene.settle(&scene.refund().await, None, &by_transfer()).await.0, 200);
    let intent = scene.shop.intent(&scene.order).await;
    let refund = scene.sandbox.refund_by_hand(&intent, 2598).await;
    let object = json!({"object": "refund", "id": refund, "payment_intent": intent});
    let told = scene.told_of("evt_9", "refund.created", object).await;
    assert_eq!(told.0, 200, "{}", told.1);
    assert_eq!(scene.said().await[3..], ["refunded 2000 remaining 0"]);
    let (_, shown) = scene.served.read(&format!("/{}", scene.id().await)).await;
    assert_eq!(shown["refunds"][1]["beyond_captured"]["amount"], 598, "{shown}");
    let (ended, lines) = scene.reconcile(true).await;
    assert_eq!(ended, Ended::Different);
    let differs = format!("refund {refund}: ledger 2000, gateway 2598");
    assert!(lines.iter().any(|line| line.contains(&differs)), "{lines:?}");
}
