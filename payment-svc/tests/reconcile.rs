//! `payment-svc reconcile`: the ledger against the journal of the real sandbox gateway.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use std::process::{Command, Output};

use diesel::sql_query;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use payment_svc::cli::{self, Ended};
use serde_json::json;
use service_kit::external_calls::ExternalCalls;
use tokio_util::sync::CancellationToken;

use shop::{Order, scene::Scene};

impl Scene {
    async fn refunded() -> Self {
        let scene = Self::captured().await;
        scene.shop.hear_and_call([scene.order.restocked(&[("POT", 1)])]).await;
        scene
    }

    /// How one ends that begins after `from`, with a stop that is told or not.
    async fn go_on(&self, from: &str, stopped: bool) -> anyhow::Result<String> {
        let (mut out, stop) = (Vec::new(), CancellationToken::new());
        if stopped {
            stop.cancel();
        }
        cli::reconcile(self.reconcile_config(), false, Some(from.parse().unwrap()), &stop, &mut out).await?;
        Ok(String::from_utf8(out).unwrap())
    }

    async fn named(&self, what: &str) -> String {
        format!("order {} payment {}: {what}", self.order.id, self.shop.payment(&self.order).await.id)
    }

    async fn assert_the_same_books(&self) {
        let (ended, lines) = self.reconcile(false).await;
        assert_eq!(
            (ended, lines.as_slice()),
            (Ended::Well, &["1 payments compared, 0 differences, 0 repaired, 0 left".to_owned()][..])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn books_that_are_the_same_are_told_so() {
    let scene = Scene::refunded().await;
    scene.assert_the_same_books().await;
    let voided = Scene::authorised().await;
    voided.shop.hear_and_call([voided.order.released()]).await;
    voided.assert_the_same_books().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_gateway_times_out_what_is_unknown_is_named_and_repaired_by_a_look_up() {
    let scene = Scene::paid_with("pm_sandbox_timeout_then_success").await;
    let id = scene.shop.payment(&scene.order).await.id;
    let what = format!("authorise: ledger 0, gateway 2598 (the call {id}:authorise:1 is unfinished)");
    let (ended, lines) = scene.reconcile(false).await;
    assert_eq!((ended, &lines[0]), (Ended::Different, &scene.named(&what).await));
    let (ended, lines) = scene.reconcile(true).await;
    assert_eq!((ended, &lines[0]), (Ended::Well, &format!("{}: repaired", scene.named(&what).await)));
    assert_eq!(scene.shop.said().await, ["unknown Authorise", "authorized 2598"]);
    scene.assert_the_same_books().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_that_is_stopped_says_where_to_go_on_and_goes_on_there() {
    let scene = Scene::authorised().await;
    let newest = Order::new("pm_card_visa");
    scene.shop.hear_and_call([newest.placed(), newest.reserved()]).await;
    let newest = scene.shop.payment(&newest).await.id.to_string();
    let stopped = scene.go_on(&newest, true).await.unwrap_err().to_string();
    assert_eq!(stopped, format!("stopped after 0 payments; go on with --from {newest}"));
    let told = scene.go_on(&newest, false).await.unwrap();
    assert_eq!(told, "1 payments compared, 0 differences, 0 repaired, 0 left\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_makes_the_call_of_the_payment_that_it_names_and_no_other() {
    let scene = Scene::paid_with("pm_sandbox_timeout_then_success").await;
    let others: Vec<Order> = (0..20).map(|_| Order::new("pm_card_visa")).collect();
    for other in &others {
        scene.shop.hear([other.placed(), other.reserved()]).await;
    }
    // They are due before it is, and nothing has been asked for them yet: the two sides have the same.
    let (ended, lines) = scene.reconcile(true).await;
    assert_eq!(ended, Ended::Well, "{lines:?}");
    assert_eq!(lines.last().unwrap(), "21 payments compared, 1 differences, 1 repaired, 0 left");
    assert_eq!(scene.shop.said().await, ["unknown Authorise", "authorized 2598"]);
    assert_eq!(scene.shop.calls.take(30).await.unwrap().len(), others.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_a_worker_is_making_is_left_to_it_and_told_so() {
    let scene = Scene::paid_with("pm_sandbox_timeout_then_success").await;
    scene.shop.make_due().await;
    let taken = scene.shop.calls.take(10).await.unwrap().remove(0);
    let (ended, lines) = scene.reconcile(true).await;
    assert_eq!(ended, Ended::Different, "{lines:?}");
    assert!(lines[0].ends_with("is unfinished): its call is still unfinished, compare again later"), "{lines:?}");
    assert_eq!(scene.shop.said().await, ["unknown Authorise"]);
    scene.shop.calls.perform(taken).await.unwrap();
    scene.assert_the_same_books().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_whose_webhook_was_lost_has_paid_all_the_same() {
    let scene = Scene::paid_with("pm_card_authenticationRequired").await;
    scene.assert_the_same_books().await;
    scene.sandbox.authenticate(&scene.shop.intent(&scene.order).await, "succeed").await;
    assert_eq!(scene.reconcile(false).await.1[0], scene.named("authorise: ledger 0, gateway 2598").await);
    assert_eq!(scene.reconcile(true).await.0, Ended::Well);
    assert_eq!(scene.shop.said().await[1..], ["authorized 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_the_ledger_lost_is_written_again_where_both_sides_say_that_it_happened() {
    let scene = Scene::refunded().await;
    let before = scene.shop.ledger(&scene.order).await;
    let lose = "alter table ledger disable trigger ledger_is_never_rewritten; \
                delete from ledger where operation in ('capture', 'refund'); \
                alter table ledger enable trigger ledger_is_never_rewritten";
    scene.shop.db.conn().await.batch_execute(lose).await.unwrap();
    let (ended, lines) = scene.reconcile(false).await;
    assert_eq!((ended, &lines[0]), (Ended::Different, &scene.named("capture: ledger 0, gateway 2598").await));
    assert_eq!(lines[2], "1 payments compared, 2 differences, 0 repaired, 2 left");
    let (ended, lines) = scene.reconcile(true).await;
    assert_eq!((ended, lines[2].as_str()), (Ended::Well, "1 payments compared, 2 differences, 2 repaired, 0 left"));
    assert_eq!(scene.shop.ledger(&scene.order).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_failed_since_and_whose_webhook_was_lost_is_taken_back() {
    let scene = Scene::refunded().await;
    scene.sandbox.fail_refund(&scene.shop.intent(&scene.order).await).await;
    let id = scene.shop.payment(&scene.order).await.refunds[0].id;
    let what = format!("refund {id}: ledger 598, gateway 0");
    let (ended, lines) = scene.reconcile(false).await;
    assert_eq!((ended, &lines[0]), (Ended::Different, &scene.named(&what).await));
    let (ended, lines) = scene.reconcile(true).await;
    assert_eq!((ended, &lines[0]), (Ended::Well, &format!("{}: repaired", scene.named(&what).await)));
    assert_eq!(scene.shop.said().await[3..], ["payment.refund_failed.v1"]);
    assert_eq!(scene.sandbox.journal(&scene.order).await, scene.shop.ledger(&scene.order).await);
    scene.assert_the_same_books().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_only_the_ledger_has_is_named_and_left_to_people() {
    let scene = Scene::refunded().await;
    let doubled = "insert into ledger (payment_id, operation, amount, currency, key, debit, credit) \
                   select payment_id, 'refund', 598, 'EUR', 'by-hand', debit, credit from ledger where operation = 'refund'";
    scene.shop.db.run(doubled).await;
    for repairs in [false, true] {
        let (ended, lines) = scene.reconcile(repairs).await;
        assert_eq!((ended, lines.len()), (Ended::Different, 2), "{lines:?}");
        let named = scene.named("refund by-hand: ledger 598, gateway 0").await;
        assert!(lines.iter().any(|line| line.starts_with(&named)), "{named}: {lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_what_was_given_back_at_the_gateway_and_not_heard_is_found_and_booked() {
    let scene = Scene::refunded().await;
    let intent = scene.shop.intent(&scene.order).await;
    let refund = scene.sandbox.refund_by_hand(&intent, 100).await;
    let dispute = scene.sandbox.dispute(&intent, 50).await;
    let (ended, lines) = scene.reconcile(false).await;
    assert_eq!((ended, lines.len()), (Ended::Different, 3), "{lines:?}");
    for (name, amount) in [(&refund, 100), (&dispute, 50)] {
        let named = scene.named(&format!("refund {name}: ledger 0, gateway {amount}")).await;
        assert!(lines.iter().any(|line| line.starts_with(&named)), "{named}: {lines:?}");
    }
    let (_, lines) = scene.reconcile(true).await;
    assert!(lines.iter().filter(|line| line.ends_with(": repaired")).count() == 2, "{lines:?}");
    scene.assert_the_same_books().await;
    let said = scene.shop.said().await;
    assert_eq!(said[said.len() - 2..], ["refunded 100 remaining 1900", "refunded 50 remaining 1850"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_a_capture_and_a_cancellation_that_were_not_heard_are_found_and_booked() {
    for (action, said) in [("capture", "captured 2598"), ("cancel", "capture_failed canceled")] {
        let scene = Scene::authorised().await;
        scene.sandbox.act_by_hand(&scene.shop.intent(&scene.order).await, action).await;
        scene.reconcile(true).await;
        assert_eq!(scene.shop.said().await[1..], [said]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn money_at_the_gateway_that_no_payment_has_is_found() {
    let scene = Scene::authorised().await;
    let forget = "update payments set intent = null";
    scene.shop.db.run(forget).await;
    let (ended, lines) = scene.reconcile(true).await;
    assert_eq!(ended, Ended::Different);
    assert!(lines[0].starts_with(&scene.named("authorise: ledger 2598, gateway 0").await), "{lines:?}");
    assert!(lines[1].contains("which no payment has: ledger 0, gateway 2598"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_only_the_ledger_has_is_a_difference_though_the_gateway_does_not_know_the_intent() {
    let scene = Scene::refunded().await;
    let strange = "update payments set intent = 'pi_of_another_account'";
    scene.shop.db.run(strange).await;
    for repairs in [false, true] {
        let (ended, lines) = scene.reconcile(repairs).await;
        assert_eq!(ended, Ended::Different, "{lines:?}");
        for what in ["authorise: ledger 2598, gateway 0", "capture: ledger 2598, gateway 0"] {
            let named = scene.named(what).await;
            assert!(lines.iter().any(|line| line.starts_with(&named)), "{named}: {lines:?}");
        }
        // The same money, looked at from the other side: no payment has its intent.
        let summary = "1 payments compared, 6 differences, 0 repaired, 6 left";
        assert_eq!(lines.last().unwrap(), summary, "{lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_can_not_be_compared_is_named_and_the_others_are_compared() {
    let scene = Scene::paid_with("pm_card_chargeDeclined").await;
    let others = [Order::new("pm_card_visa"), Order::new("pm_card_visa")];
    for other in &others {
        scene.shop.hear([other.placed(), other.reserved()]).await;
    }
    scene.shop.call_gateway().await;
    scene.sandbox.act_by_hand(&scene.shop.intent(&others[0]).await, "cancel").await;
    // An address that the gateway doesn't serve: neither known nor unknown. It is the oldest payment, so that the
    // others come after it.
    let broken = "update payments set intent = 'pi_1/no/such/address' where order_id = $1";
    let broken = sql_query(broken).bind::<diesel::sql_types::Uuid, _>(scene.order.id.0);
    broken.execute(&mut scene.shop.db.conn().await).await.unwrap();
    for repairs in [false, true] {
        let (ended, lines) = scene.reconcile(repairs).await;
        assert_eq!(ended, Ended::NotCompared, "{lines:?}");
        let named = scene.named("could not be compared: asking the gateway: not done: 404").await;
        assert!(lines.iter().any(|line| line.starts_with(&named)), "{named}: {lines:?}");
        let summary = "2 payments compared, 1 differences, 0 repaired, 1 left, 1 could not be compared";
        assert_eq!(lines.last().unwrap(), summary, "{lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_tells_whether_the_books_are_the_same_differ_or_could_not_be_compared() {
    let scene = Scene::authorised().await;
    let run = |scene: &Scene, arguments: &'static [&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_payment-svc"));
        command.args(arguments).env("DATABASE_URL", &scene.shop.db.url).env("PAYMENT_GATEWAY_KEY", "sk_test_1");
        command.env("PAYMENT_GATEWAY_URL", scene.sandbox.url());
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let code = |output: &Output| (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned());
    let same = run(&scene, &["reconcile"]).await.unwrap();
    let summary = "1 payments compared, 0 differences, 0 repaired, 0 left\n".to_owned();
    assert_eq!(code(&same), (Some(0), summary), "{same:?}");
    scene.sandbox.act_by_hand(&scene.shop.intent(&scene.order).await, "cancel").await;
    assert_eq!(code(&run(&scene, &["reconcile", "--repair"]).await.unwrap()).0, Some(2));
    scene.sandbox.faults(json!({"failure_rate": 1})).await;
    assert_eq!(code(&run(&scene, &["reconcile"]).await.unwrap()).0, Some(1));
    assert_eq!(code(&run(&scene, &["nonsense"]).await.unwrap()).0, Some(1));
}
