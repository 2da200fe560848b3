//! A day's money side by side, as a browser without JavaScript sees it.

use chrono::NaiveDate;
use wiremock::matchers::query_param_is_missing;

use super::*;

fn eur(amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

/// A movement as payment-svc compares it.
fn movement(told: &Told, operation: &str, ledger: Option<i64>, gateway: Option<i64>, state: &str) -> Value {
    json!({
        "order_id": told.order, "payment_id": told.order, "payment_intent": "pi_1", "operation": operation, "refund_id": null,
        "gateway_id": "ch_1", "currency": "EUR", "ledger": ledger.map(eur), "booked_at": ledger.map(|_| told.began),
        "given_back": eur(0), "gateway": gateway.map(eur), "made_at": gateway.map(|_| told.began), "state": state
    })
}

fn day_of(told: &Told) -> NaiveDate {
    told.began.date_naive()
}

/// payment-svc has these movements of a day.
fn part(day: NaiveDate, items: &[Value]) -> Value {
    let (from, until) = (format!("{day}T00:00:00Z"), format!("{}T00:00:00Z", day.succ_opt().unwrap()));
    json!({"day": day, "from": from, "until": until, "trouble": null, "items": items, "next_cursor": null})
}

async fn has(console: &Console, day: NaiveDate, items: &[Value]) {
    console.answers("GET", &format!("/api/v1/reconciliations/{day}"), 200, part(day, items)).await;
}

async fn told_of_capture(console: &Console, told: &mut Told, amount: i64) {
    let captured = json!({"order_id": told.order, "payment_id": told.order, "amount": eur(amount)});
    console.hear(&told.event("/payment-svc", "payment.captured.v1", None, captured).1).await;
}

/// The rows of the file, without its head.
async fn rows(console: &Console, day: NaiveDate) -> Vec<String> {
    let answer = console.get(&format!("/control/money/reconciliation.csv?day={day}&currency=EUR")).await;
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    answer.text().await.unwrap().lines().skip(1).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_on_which_all_three_have_the_same_has_sums_and_no_difference() {
    let (console, mut told) = (Console::start().await, Told::new());
    told_of_capture(&console, &mut told, 2598).await;
    let refund = Uuid::now_v7();
    let refunded = json!({"order_id": told.order, "refund_id": refund, "amount": eur(598), "remaining": eur(2000)});
    console.hear(&told.event("/payment-svc", "payment.refunded.v1", None, refunded).1).await;
    let mut given_back = movement(&told, "refund", Some(598), Some(598), "same");
    (given_back["refund_id"], given_back["given_back"]) = (json!(refund), eur(598));
    let day = day_of(&told);
    has(&console, day, &[movement(&told, "capture", Some(2598), Some(2598), "same"), given_back]).await;
    let (status, page) = shown(&console, &format!("/control/money/reconciliation?day={day}&currency=EUR")).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("2 the same") && page.contains("0 different") && page.contains("Nothing."), "{page}");
    assert!(page.contains("Captured") && page.contains("25.98") && page.contains("5.98"), "{page}");
    let rows = rows(&console, day).await;
    assert_eq!(rows.len(), 2);
    assert!(rows[0].contains(",capture,,ch_1,EUR,25.98,25.98,25.98,") && rows[0].ends_with(",same,"), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_difference_is_named_by_its_order_with_why() {
    let console = Console::start().await;
    let [mut fewer, silent, lost, mut only] = [(); 4].map(|()| Told::new());
    told_of_capture(&console, &mut fewer, 1000).await;
    told_of_capture(&console, &mut only, 777).await;
    let old = chrono::TimeDelta::minutes(5);
    assert!(Utc::now() - fewer.began > old);
    let day = day_of(&fewer);
    let items = [
        movement(&fewer, "capture", Some(2598), Some(2598), "same"),
        movement(&silent, "capture", Some(2598), Some(2598), "same"),
        movement(&lost, "capture", Some(2598), None, "different"),
    ];
    has(&console, day, &items).await;
    let payment = json!({"id": only.order, "ledger": [], "refunds": []});
    console.answers("GET", "/api/v1/payments", 200, json!({"items": [payment.clone()]})).await;
    console.answers("GET", &format!("/api/v1/payments/{}", only.order), 200, payment).await;
    let (_, page) = shown(&console, &format!("/control/money/reconciliation?day={day}")).await;
    for (told, why) in [
        (&fewer, "Its order was told another amount."),
        (&silent, "Its order was not told of it."),
        (&lost, "The ledger has it, and the gateway has not."),
        (&only, "Its order was told of it, and the ledger has not got it."),
    ] {
        let link = format!(r#"href="/control/orders/{}""#, told.order);
        let row = page.split("<tr>").find(|row| row.contains(&link)).unwrap_or_default();
        assert!(row.contains(why), "{why}: {row}");
    }
    assert!(page.contains("4 different") && page.contains("7.77"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_order_was_told_of_another_days_movement_is_no_difference() {
    let (console, mut told) = (Console::start().await, Told::new());
    told_of_capture(&console, &mut told, 2598).await;
    let payment = json!({"id": told.order, "ledger": [{"operation": "capture"}], "refunds": []});
    console.answers("GET", "/api/v1/payments", 200, json!({"items": [payment.clone()]})).await;
    console.answers("GET", &format!("/api/v1/payments/{}", told.order), 200, payment).await;
    let day = day_of(&told);
    has(&console, day, &[]).await;
    assert!(rows(&console, day).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_day_comes_in_parts_and_the_file_has_all_of_them() {
    let (console, mut first, mut second) = (Console::start().await, Told::new(), Told::new());
    told_of_capture(&console, &mut first, 1).await;
    told_of_capture(&console, &mut second, 2).await;
    let (day, noon) = (NaiveDate::from_ymd_opt(2026, 11, 20).unwrap(), "2026-11-20T12:00:00Z");
    let mut late = part(day, &[movement(&first, "capture", Some(1), Some(1), "same")]);
    (late["from"], late["next_cursor"]) = (json!(noon), json!(noon));
    let mut early = part(day, &[movement(&second, "capture", Some(2), Some(2), "same")]);
    early["until"] = json!(noon);
    let at = || Mock::given(method("GET")).and(path(format!("/api/v1/reconciliations/{day}")));
    let is_first = at().and(query_param_is_missing("cursor"));
    is_first.respond_with(ResponseTemplate::new(200).set_body_json(late)).mount(&console.services).await;
    let is_second = at().and(query_param("cursor", noon)).and(query_param("currency", "EUR"));
    is_second.respond_with(ResponseTemplate::new(200).set_body_json(early)).mount(&console.services).await;
    let rows = rows(&console, day).await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    let (_, page) = shown(&console, &format!("/control/money/reconciliation?day={day}&currency=EUR")).await;
    assert!(page.contains("2 the same") && !page.contains("The day is cut here"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_svc_that_is_away_leaves_what_orders_were_told_and_a_day_that_is_none_is_refused() {
    let (console, mut told) = (Console::start().await, Told::new());
    told_of_capture(&console, &mut told, 2598).await;
    console.answers("GET", &format!("/api/v1/reconciliations/{}", day_of(&told)), 503, json!({"detail": "x"})).await;
    let (status, page) = shown(&console, &format!("/control/money/reconciliation?day={}", day_of(&told))).await;
    assert_eq!(status, 200);
    assert!(page.contains("payment-svc does not answer just now.") && page.contains("1 not checked"), "{page}");
    let rows = rows(&console, day_of(&told)).await;
    assert!(rows.last().unwrap().contains("not whole"), "{rows:?}");
    for bad in ["day=yesterday", "day=1815-06-18", "", "day=2026-11-30&currency=EURO"] {
        assert_eq!(shown(&console, &format!("/control/money/reconciliation?{bad}")).await.0, 422, "{bad}");
        assert_eq!(shown(&console, &format!("/control/money/reconciliation.csv?{bad}")).await.0, 422, "{bad}");
    }
}
