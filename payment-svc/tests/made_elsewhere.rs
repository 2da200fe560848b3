//! What somebody else does at the gateway, as in its dashboard, or the customer's bank by a dispute: heard, looked up, booked
//! once and announced; and an undo asks for what remains. With the real sandbox gateway.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use serde_json::{Value, json};
use service_kit::external_calls::ExternalCalls;
use shop::scene::Scene;

const ALL: [(&str, i64); 2] = [("TEA", 2), ("POT", 1)];

impl Scene {
    /// The order is cancelled: its goods are back on the shelf.
    async fn undone(&self) {
        self.shop.hear_and_call([self.order.restocked(&ALL)]).await;
    }

    /// The gateway tells of something that belongs to the intent.
    async fn told(&self, event: &str, kind: &str, object: &str, id: &str) -> (u16, Value) {
        let object = json!({"object": object, "id": id, "payment_intent": self.intent().await, "amount": 1});
        self.told_of(event, kind, object).await
    }

    /// The customer's bank takes so much, which is heard.
    async fn disputed(&self, amount: i64) -> String {
        let dispute = self.sandbox.dispute(&self.intent().await, amount).await;
        assert_eq!(self.told("evt_d", "charge.dispute.created", "dispute", &dispute).await.0, 200);
        dispute
    }

    /// The dispute is won, which is heard.
    async fn won(&self, dispute: &str) {
        self.sandbox.close_dispute(dispute, "won").await;
        assert_eq!(self.told("evt_w", "charge.dispute.closed", "dispute", dispute).await.0, 200);
    }

    /// The gateway tells of the intent itself.
    async fn told_of_intent(&self, event: &str, kind: &str) -> u16 {
        let object = json!({"object": "payment_intent", "id": self.intent().await});
        self.told_of(event, kind, object).await.0
    }

    /// What was announced after the capture.
    async fn said(&self) -> Vec<String> {
        self.shop.said().await.split_off(2)
    }

    async fn assert_the_ledger_is_the_journal(&self) {
        assert_eq!(self.sandbox.journal(&self.order).await, self.shop.ledger(&self.order).await);
    }

    /// Operation and amount of each line, sorted, the same on both sides: what was done by hand has another key there.
    async fn moved(&self) -> Vec<String> {
        let without_key = |line: &String| line.split(" EUR ").next().unwrap().to_owned();
        let mut journal: Vec<_> = self.sandbox.journal(&self.order).await.iter().map(without_key).collect();
        let mut ledger: Vec<_> = self.shop.ledger(&self.order).await.iter().map(without_key).collect();
        // What is heard late is booked late.
        journal.sort();
        ledger.sort();
        assert_eq!(journal, ledger);
        ledger
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_a_refund_in_the_dashboard_is_booked_once_and_an_undo_asks_for_what_remains() {
    let scene = Scene::captured().await;
    let refund = scene.sandbox.refund_by_hand(&scene.intent().await, 1000).await;
    for (event, kind, object) in [
        ("evt_1", "refund.created", "refund"),
        ("evt_1", "refund.created", "refund"),
        ("evt_2", "charge.refunded", "charge"),
        ("evt_3", "refund.updated", "refund"),
    ] {
        let name = if object == "refund" { &refund } else { "ch_1" };
        assert_eq!(scene.told(event, kind, object, name).await.0, 200);
    }
    assert_eq!(scene.said().await, ["refunded 1000 remaining 1598"]);
    scene.undone().await;
    assert_eq!(scene.said().await[1..], ["refunded 1598 remaining 0"]);
    scene.assert_the_ledger_is_the_journal().await;
    assert_eq!(scene.shop.decided().await[2..], ["refund done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_a_refund_whose_webhook_is_lost_is_found_when_the_gateway_refuses_an_undo() {
    let scene = Scene::captured().await;
    scene.sandbox.refund_by_hand(&scene.intent().await, 1000).await;
    scene.undone().await;
    assert_eq!(scene.said().await, ["refunded 1000 remaining 1598", "refunded 1598 remaining 0"]);
    assert_eq!(scene.shop.decided().await[2..], ["refund overtaken", "refund done"]);
    scene.assert_the_ledger_is_the_journal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_where_all_has_gone_back_an_undo_has_nothing_left_to_ask_for() {
    let scene = Scene::captured().await;
    scene.sandbox.refund_by_hand(&scene.intent().await, 2598).await;
    scene.undone().await;
    assert_eq!(scene.said().await, ["refunded 2598 remaining 0"]);
    assert_eq!(scene.shop.decided().await[2..], ["refund overtaken"]);
    scene.assert_the_ledger_is_the_journal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_returns_staff_and_dashboard_at_once_give_back_what_there_is_and_no_more() {
    let scene = Scene::captured().await;
    let returned = |lines: &[(&str, i64)]| scene.order.lost(lines);
    scene.shop.hear([returned(&[("TEA", 1)]), returned(&[("POT", 1)])]).await;
    scene.sandbox.refund_by_hand(&scene.intent().await, 1300).await;
    scene.shop.call_gateway().await;
    // 1000 fitted beside the 1300 that nobody knew of; of the 598 only 298 did.
    let refunds = ["refunded 1000 remaining 1598", "refunded 1300 remaining 298", "refunded 298 remaining 0"];
    assert_eq!(scene.said().await, refunds);
    let money = scene.moved().await;
    assert_eq!(money.iter().filter(|line| line.starts_with("refund")).count(), 3, "{money:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_of_a_refund_elsewhere_waits_for_the_answer_of_ours() {
    let scene = Scene::captured().await;
    scene.shop.hear([scene.order.restocked(&ALL)]).await;
    let taken = scene.shop.calls.take(1).await.unwrap().remove(0);
    let refund = scene.sandbox.refund_by_hand(&scene.intent().await, 1000).await;
    assert_eq!(scene.told("evt_1", "refund.created", "refund", &refund).await.0, 503);
    scene.shop.calls.perform(taken).await.unwrap();
    scene.shop.call_gateway().await;
    assert_eq!(scene.told("evt_1", "refund.created", "refund", &refund).await.0, 200);
    assert_eq!(scene.said().await, ["refunded 1000 remaining 1598", "refunded 1598 remaining 0"]);
    scene.assert_the_ledger_is_the_journal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_elsewhere_that_fails_later_is_taken_back() {
    let scene = Scene::captured().await;
    let refund = scene.sandbox.refund_by_hand(&scene.intent().await, 1000).await;
    scene.told("evt_1", "refund.created", "refund", &refund).await;
    scene.sandbox.fail_refund(&scene.intent().await).await;
    assert_eq!(scene.told("evt_2", "refund.failed", "refund", &refund).await.0, 200);
    assert_eq!(scene.said().await[1..], ["payment.refund_failed.v1"]);
    scene.undone().await;
    assert_eq!(scene.said().await[2..], ["refunded 2598 remaining 0"]);
    scene.assert_the_ledger_is_the_journal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_a_dispute_takes_its_money_at_once_and_gives_it_back_when_it_is_won() {
    let (lost, won) = (Scene::captured().await, Scene::captured().await);
    for scene in [&lost, &won] {
        let dispute = scene.sandbox.dispute(&scene.intent().await, 598).await;
        assert_eq!(scene.told("evt_1", "charge.dispute.created", "dispute", &dispute).await.0, 200);
        assert_eq!(scene.said().await, ["refunded 598 remaining 2000"]);
        let end = if std::ptr::eq(scene, &lost) { "lost" } else { "won" };
        scene.sandbox.close_dispute(&dispute, end).await;
        assert_eq!(scene.told("evt_2", "charge.dispute.closed", "dispute", &dispute).await.0, 200);
    }
    lost.undone().await;
    won.undone().await;
    assert_eq!(lost.said().await[1..], ["refunded 2000 remaining 0"]);
    assert_eq!(won.said().await[1..], ["payment.refund_failed.v1", "refunded 2598 remaining 0"]);
    lost.assert_the_ledger_is_the_journal().await;
    won.assert_the_ledger_is_the_journal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_what_a_dispute_displaced_is_refunded_when_it_is_won() {
    // What was called off after the dispute, and a cancellation of all: neither had anything left to ask for.
    for (lines, all) in [(&ALL[1..], 598), (&ALL[..], 2598)] {
        let scene = Scene::captured().await;
        let dispute = scene.disputed(2598).await;
        scene.shop.hear_and_call([scene.order.restocked(lines)]).await;
        assert_eq!(scene.said().await, ["refunded 2598 remaining 0"]);
        scene.won(&dispute).await;
        scene.shop.call_gateway().await;
        let said = ["payment.refund_failed.v1".to_owned(), format!("refunded {all} remaining {}", 2598 - all)];
        assert_eq!(scene.said().await[1..], said);
        scene.assert_the_ledger_is_the_journal().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_what_a_dispute_cut_off_an_undo_is_refunded_when_it_is_won() {
    let scene = Scene::captured().await;
    let dispute = scene.disputed(1600).await;
    scene.undone().await;
    assert_eq!(scene.said().await, ["refunded 1600 remaining 998", "refunded 998 remaining 0"]);
    scene.won(&dispute).await;
    scene.shop.call_gateway().await;
    assert_eq!(scene.said().await[2..], ["payment.refund_failed.v1", "refunded 1600 remaining 0"]);
    scene.assert_the_ledger_is_the_journal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_an_undo_that_was_refused_for_a_dispute_is_asked_for_under_another_key_when_that_is_won() {
    let scene = Scene::captured().await;
    let dispute = scene.sandbox.dispute(&scene.intent().await, 2598).await;
    scene.undone().await;
    assert_eq!(scene.shop.decided().await[2..], ["refund overtaken"], "the gateway repeats that for the key");
    scene.won(&dispute).await;
    scene.shop.call_gateway().await;
    let said = ["refunded 2598 remaining 0", "payment.refund_failed.v1", "refunded 2598 remaining 0"];
    assert_eq!(scene.said().await, said);
    scene.assert_the_ledger_is_the_journal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_a_dispute_won_and_a_refund_in_the_dashboard_heard_at_once_are_both_booked() {
    let scene = Scene::captured().await;
    let dispute = scene.disputed(2598).await;
    scene.undone().await;
    scene.sandbox.close_dispute(&dispute, "won").await;
    scene.sandbox.refund_by_hand(&scene.intent().await, 1000).await;
    assert_eq!(scene.told("evt_w", "charge.dispute.closed", "dispute", &dispute).await.0, 200);
    scene.shop.call_gateway().await;
    let said = ["payment.refund_failed.v1", "refunded 1000 remaining 1598", "refunded 1598 remaining 0"];
    assert_eq!(scene.said().await[1..], said);
    scene.assert_the_ledger_is_the_journal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_a_capture_in_the_dashboard_is_the_orders_capture() {
    let scene = Scene::authorised().await;
    scene.sandbox.act_by_hand(&scene.intent().await, "capture").await;
    assert_eq!(scene.told_of_intent("evt_1", "payment_intent.succeeded").await, 200);
    assert_eq!(scene.shop.said().await[1..], ["captured 2598"]);
    scene.shop.hear([scene.order.confirmed()]).await;
    scene.undone().await;
    assert_eq!(scene.said().await, ["refunded 2598 remaining 0"]);
    assert_eq!(scene.moved().await, ["authorise 2598", "capture 2598", "refund 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_what_was_captured_unheard_is_refunded_where_it_was_to_be_voided() {
    let scene = Scene::authorised().await;
    scene.sandbox.act_by_hand(&scene.intent().await, "capture").await;
    scene.shop.hear_and_call([scene.order.released()]).await;
    assert_eq!(scene.shop.said().await[1..], ["captured 2598", "refunded 2598 remaining 0"]);
    assert_eq!(scene.moved().await, ["authorise 2598", "capture 2598", "refund 2598"]);
    assert_eq!(scene.shop.decided().await, ["authorise done", "void captured_elsewhere", "refund done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_an_intent_that_was_cancelled_in_the_dashboard_ends_the_order() {
    let scene = Scene::authorised().await;
    scene.sandbox.act_by_hand(&scene.intent().await, "cancel").await;
    assert_eq!(scene.told_of_intent("evt_1", "payment_intent.canceled").await, 200);
    assert_eq!(scene.shop.said().await[1..], ["capture_failed canceled"]);
    scene.shop.hear_and_call([scene.order.released()]).await;
    assert_eq!(scene.shop.said().await[2..], ["voided 2598"]);
    assert_eq!(scene.moved().await, ["authorise 2598", "void 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_much_went_back_is_looked_up_and_not_taken_from_the_webhook() {
    let scene = Scene::captured().await;
    let nothing = scene.told("evt_1", "charge.refunded", "charge", "ch_1").await;
    assert_eq!((nothing.0, scene.said().await.len()), (200, 0));
    let dispute = scene.sandbox.dispute(&scene.intent().await, 100).await;
    scene.told("evt_2", "charge.dispute.created", "dispute", &dispute).await;
    assert_eq!(scene.said().await, ["refunded 100 remaining 2498"]);
}
