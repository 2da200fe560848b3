//! Events in, money moved at the real sandbox gateway, events out. After each, its journal equals the ledger.

mod shop;

use shop::{Order, Shop, sandbox::Sandbox, scene::Scene};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_authorised_and_captured() {
    let Scene { shop, order, .. } = &Scene::authorised().await;
    assert_eq!(shop.said().await, ["authorized 2598"]);
    shop.hear_and_call([order.confirmed()]).await;
    assert_eq!(shop.said().await, ["authorized 2598", "captured 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decline_says_why_and_moves_no_money() {
    for (method, said) in [
        ("pm_card_chargeDeclined", "declined card_declined false"),
        ("pm_nobody_knows", "declined payment_method_unknown false"),
    ] {
        let scene = Scene::paid_with(method).await;
        let Scene { shop, order, .. } = &scene;
        shop.hear([order.released()]).await;
        assert_eq!(shop.said().await, [said]);
        assert!(scene.money().await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn race_declined_retryable_says_the_method_again_and_is_authorised_when_the_bank_agrees() {
    let scene = Scene::paid_with("pm_sandbox_declined_once").await;
    let Scene { shop, order, .. } = &scene;
    assert_eq!(shop.said().await, ["declined issuer_not_available true"]);
    shop.retry(order).await;
    shop.call_gateway().await;
    assert_eq!(shop.said().await[1..], ["authorized 2598"]);
    assert_eq!(scene.money().await, ["authorise 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_declined_retryable_is_final_the_third_time() {
    let scene = Scene::paid_with("pm_card_chargeDeclinedInsufficientFunds").await;
    let Scene { shop, order, .. } = &scene;
    for _ in 0..2 {
        shop.retry(order).await;
        shop.call_gateway().await;
    }
    let said = |retryable: bool| format!("declined insufficient_funds {retryable}");
    assert_eq!(shop.said().await, [said(true), said(true), said(false)]);
    assert!(scene.money().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_retry_is_ended_at_the_gateway_when_the_goods_are_released() {
    let scene = Scene::paid_with("pm_sandbox_declined_once").await;
    let Scene { shop, order, .. } = &scene;
    shop.hear_and_call([order.released()]).await;
    assert_eq!(shop.said().await[1..], ["voided 0"]);
    assert_eq!(scene.sandbox.status(&shop.intent(order).await).await, "canceled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_needs_its_customer_is_ended_at_the_gateway_when_the_goods_are_released() {
    let scene = Scene::paid_with("pm_card_authenticationRequired").await;
    let Scene { shop, order, .. } = &scene;
    assert_eq!(shop.said().await, ["payment.action_required.v1"]);
    assert_eq!(scene.sandbox.status(&shop.intent(order).await).await, "requires_action");
    shop.hear_and_call([order.released()]).await;
    assert_eq!(shop.said().await[1..], ["voided 0"]);
    assert_eq!(scene.sandbox.status(&shop.intent(order).await).await, "canceled");
    assert!(scene.money().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_authorised_is_voided_when_the_goods_are_released() {
    let scene = Scene::authorised().await;
    let Scene { shop, order, .. } = &scene;
    shop.hear_and_call([order.released()]).await;
    assert_eq!(shop.said().await, ["authorized 2598", "voided 2598"]);
    assert_eq!(scene.money().await, ["authorise 2598", "void 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_refunds_go_line_by_line_and_never_beyond_what_is_captured() {
    let scene = Scene::captured().await;
    let Scene { shop, order, .. } = &scene;
    shop.hear_and_call([order.restocked(&[("TEA", 2)]), order.restocked(&[("TEA", 2)])]).await;
    let said = shop.said().await;
    assert_eq!(said[2..], ["refunded 2000 remaining 598", "refunded 598 remaining 0"]);
    assert_eq!(scene.money().await, ["authorise 2598", "capture 2598", "refund 2000", "refund 598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_fails_is_told_and_voided_on_stocks_word() {
    let scene = Scene::paid_with("pm_sandbox_capture_fails").await;
    let Scene { shop, order, .. } = &scene;
    shop.hear_and_call([order.confirmed()]).await;
    shop.hear_and_call([order.restocked(&[("TEA", 2), ("POT", 1)])]).await;
    let expected = ["authorized 2598", "capture_failed charge_expired_for_capture", "voided 2598"];
    assert_eq!(shop.said().await, expected);
    assert_eq!(scene.money().await, ["authorise 2598", "void 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_gateway_times_out_and_is_unknown_until_a_look_up_finds_what_happened() {
    let scene = Scene::paid_with("pm_sandbox_timeout_then_success").await;
    let Scene { shop, .. } = &scene;
    assert_eq!(shop.said().await, ["unknown Authorise"]);
    shop.call_again().await;
    assert_eq!(shop.said().await, ["unknown Authorise", "authorized 2598"]);
    assert_eq!(scene.money().await, ["authorise 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn released_while_nobody_knows_is_voided_and_the_authorisation_never_announced() {
    let scene = Scene::paid_with("pm_sandbox_timeout_then_success").await;
    let Scene { shop, order, .. } = &scene;
    shop.hear([order.released()]).await;
    shop.call_again().await;
    assert_eq!(shop.said().await, ["unknown Authorise", "voided 2598"]);
    assert_eq!(scene.money().await, ["authorise 2598", "void 2598"]);
}

/// The sandbox keeps Stripe's rules: what is told it in other units than its own is another amount, or refused.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_in_krona_is_charged_and_refunded_what_it_costs() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::new(sandbox.adapter()).await;
    for (currency, at_the_gateway) in [("ISK", 259_800), ("UGX", 259_800), ("JPY", 2_598), ("HUF", 2_598)] {
        let order = Order::new("pm_card_visa").priced_in(currency);
        shop.hear_and_call([order.placed(), order.reserved()]).await;
        shop.hear_and_call([order.confirmed()]).await;
        shop.hear_and_call([order.restocked(&[("TEA", 2), ("POT", 1)])]).await;
        let amounts = |lines: Vec<String>| -> Vec<i64> {
            lines.iter().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect()
        };
        if currency == "HUF" {
            // 25.98 forint: less than is charged at all.
            assert_eq!(amounts(sandbox.journal(&order).await), [0_i64; 0]);
            continue;
        }
        assert_eq!(amounts(sandbox.journal(&order).await), [at_the_gateway; 3], "{currency}");
        assert_eq!(amounts(shop.ledger(&order).await), [2_598; 3], "{currency}");
    }
}
