//! The gateway as a client of Stripe's API sees it, on a real server and a real database.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use reqwest::{Client, StatusCode};
use sandbox_gateway::{App, Config, migrations, webhooks::WebhookConfig};
use secrecy::SecretString;
use serde_json::{Value, json};
use service_kit::config::{DatabaseConfig, HttpConfig, Reader};
use service_kit::testing::{TestDb, eventually};
use tokio_util::sync::CancellationToken;
use wiremock::matchers::{header_exists, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

struct Gateway {
    url: String,
    client: Client,
    stop: CancellationToken,
    _db: TestDb,
}

impl Gateway {
    async fn start() -> Self {
        Self::telling(None).await
    }

    async fn telling(webhooks: Option<WebhookConfig>) -> Self {
        let db = TestDb::new(&migrations()).await;
        let mut config = Reader::from_pairs([("DATABASE_URL", db.url.clone())]).whole(Config::read).unwrap();
        config.http = HttpConfig::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
        config.database = DatabaseConfig { url: SecretString::from(db.url.clone()), pool_size: 4 };
        config.webhooks = webhooks;
        let app = App::build(config).await.unwrap();
        let url = format!("http://127.0.0.1:{}", app.port());
        let stop = CancellationToken::new();
        tokio::spawn(app.run_until(stop.clone()));
        Self { url, client: Client::new(), stop, _db: db }
    }

    async fn post(&self, path: &str, key: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth("sk_test_1").form(form);
        let request = if key.is_empty() { request } else { request.header("Idempotency-Key", key) };
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth("sk_test_1");
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn intent(&self, method: &str) -> String {
        let form = [("amount", "2598"), ("currency", "eur"), ("capture_method", "manual")];
        let more = [("payment_method", method), ("metadata[order_id]", "o-1")];
        let (status, intent) = self.post("/v1/payment_intents", "", &[&form[..], &more[..]].concat()).await;
        assert_eq!(status, StatusCode::OK, "{intent}");
        intent["id"].as_str().unwrap().to_owned()
    }

    async fn put_faults(&self, faults: &Value) -> (StatusCode, Value) {
        let request = self.client.put(format!("{}/sandbox/faults", self.url)).json(faults);
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    async fn authenticate(&self, id: &str, outcome: &str) -> (StatusCode, Value) {
        let request = self.client.post(format!("{}/sandbox/payment_intents/{id}/authenticate", self.url));
        let response = request.json(&json!({"outcome": outcome})).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    async fn operations(&self) -> Vec<String> {
        let journal = self.get("/sandbox/journal?order_id=o-1").await;
        let lines = journal["items"].as_array().unwrap();
        lines.iter().map(|line| format!("{} {} {}", line["operation"], line["amount"], line["currency"])).collect()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_effect_on_money_has_one_line_in_the_journal() {
    let gateway = Gateway::start().await;
    let id = gateway.intent("pm_card_visa").await;
    for (path, key) in [("confirm", "k-1"), ("confirm", "k-1"), ("capture", "k-2"), ("capture", "k-2")] {
        let (status, _) = gateway.post(&format!("/v1/payment_intents/{id}/{path}"), key, &[]).await;
        assert_eq!(status, StatusCode::OK);
    }
    let refund = [("payment_intent", id.as_str()), ("amount", "598"), ("metadata[refund_id]", "r-1")];
    gateway.post("/v1/refunds", "k-3", &refund).await;
    gateway.post("/v1/refunds", "k-3", &refund).await;
    let expected = [r#""authorise" 2598 "EUR""#, r#""capture" 2598 "EUR""#, r#""refund" 598 "EUR""#];
    assert_eq!(gateway.operations().await, expected);
    let refunds = gateway.get(&format!("/v1/refunds?payment_intent={id}")).await;
    assert_eq!((&refunds["data"][0]["metadata"], &refunds["has_more"]), (&json!({"refund_id": "r-1"}), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_fails_later_fails_once_and_its_money_can_be_refunded_again() {
    let gateway = Gateway::start().await;
    let id = gateway.intent("pm_card_visa").await;
    for action in ["confirm", "capture"] {
        gateway.post(&format!("/v1/payment_intents/{id}/{action}"), "", &[]).await;
    }
    let all = [("payment_intent", id.as_str()), ("metadata[refund_id]", "r-1")];
    let (_, refund) = gateway.post("/v1/refunds", "", &all).await;
    let url = format!("{}/sandbox/refunds/{}/fail", gateway.url, refund["id"].as_str().unwrap());
    let fail = || gateway.client.post(&url).json(&json!({"reason": "unknown"})).send();
    let failed: Value = fail().await.unwrap().json().await.unwrap();
    assert_eq!((&failed["status"], &failed["failure_reason"]), (&json!("failed"), &json!("unknown")));
    assert_eq!(fail().await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(gateway.post("/v1/refunds", "", &all).await.0, StatusCode::OK);
    let moved = [r#""refund" 2598 "EUR""#, r#""refund_reversal" 2598 "EUR""#, r#""refund" 2598 "EUR""#];
    assert_eq!(gateway.operations().await[2..], moved);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_replays_its_answer_and_refuses_other_parameters() {
    let gateway = Gateway::start().await;
    let form = [("amount", "100"), ("currency", "eur"), ("payment_method", "pm_card_visa")];
    let (_, first) = gateway.post("/v1/payment_intents", "k", &form).await;
    let (_, again) = gateway.post("/v1/payment_intents", "k", &form).await;
    assert_eq!(first, again);
    let other = [("amount", "200"), ("currency", "eur"), ("payment_method", "pm_card_visa")];
    let (status, error) = gateway.post("/v1/payment_intents", "k", &other).await;
    assert_eq!((status, &error["error"]["type"]), (StatusCode::BAD_REQUEST, &json!("idempotency_error")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decline_is_a_card_error_that_shows_the_intent_and_is_replayed() {
    let gateway = Gateway::start().await;
    let id = gateway.intent("pm_card_chargeDeclinedInsufficientFunds").await;
    let path = format!("/v1/payment_intents/{id}/confirm");
    let first = gateway.post(&path, "k", &[]).await;
    assert_eq!(first.0, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(first.1["error"]["decline_code"], "insufficient_funds");
    assert_eq!(first.1["error"]["payment_intent"]["status"], "requires_payment_method");
    assert_eq!(gateway.post(&path, "k", &[]).await, first);
    assert!(gateway.operations().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_name_the_parameter_and_write_nothing() {
    let gateway = Gateway::start().await;
    let good = [("amount", "100"), ("currency", "eur"), ("payment_method", "pm_card_visa")];
    for (name, value) in [("amount", "0"), ("currency", "euros"), ("payment_method", "pm_nobody"), ("colour", "red")] {
        let form: Vec<_> = good.iter().copied().filter(|(known, _)| *known != name).chain([(name, value)]).collect();
        let (status, error) = gateway.post("/v1/payment_intents", "", &form).await;
        assert_eq!((status, &error["error"]["param"]), (StatusCode::BAD_REQUEST, &json!(name)), "{error}");
    }
    // Refused before the gateway sees it, as every service refuses a body that is too large.
    let (status, _) = gateway.post("/v1/payment_intents", "", &[("amount", "9".repeat(300_000).as_str())]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, _) = gateway.post("/v1/payment_intents/pi_nobody/confirm", "", &[]).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_kept_is_refused_and_writes_nothing() {
    let gateway = Gateway::start().await;
    let good = [("amount", "100"), ("currency", "eur"), ("payment_method", "pm_card_visa")];
    // Random, for an index would keep thousands of the same letter.
    let long: String = (0..200).map(|_| uuid::Uuid::now_v7().to_string()).collect();
    for (name, value) in [
        ("metadata[order_id]", "o\0"),
        ("metadata[order_id]", long.as_str()),
        ("metadata[\0]", "o"),
        ("description", "a\u{1b}b"),
    ] {
        let form = [&good[..], &[(name, value)]].concat();
        let (status, error) = gateway.post("/v1/payment_intents", "k", &form).await;
        assert_eq!((status, &error["error"]["param"]), (StatusCode::BAD_REQUEST, &json!(name)), "{error}");
    }
    let (status, error) = gateway.post("/v1/payment_intents", &"k".repeat(256), &good).await;
    assert_eq!((status, &error["error"]["type"]), (StatusCode::BAD_REQUEST, &json!("invalid_request_error")));
    for path in ["/v1/payment_intents/pi_%00/confirm", "/v1/payment_intents/pi_%00/cancel"] {
        let (status, error) = gateway.post(path, "k", &[]).await;
        assert_eq!((status, &error["error"]["code"]), (StatusCode::NOT_FOUND, &json!("resource_missing")));
    }
    assert_eq!(gateway.get("/v1/payment_intents/pi_%00").await["error"]["code"], "resource_missing");
    assert_eq!(gateway.get("/v1/refunds?payment_intent=pi_%00").await["error"]["param"], "payment_intent");
    assert_eq!(gateway.get("/sandbox/journal?order_id=%00").await["status"], 422);
    let (status, _) = gateway.post("/v1/payment_intents", "k", &good).await;
    assert_eq!(status, StatusCode::OK, "none of them was kept under its key");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_in_two_headers_are_refused_whichever_comes_first_and_two_authorisations_too() {
    let gateway = Gateway::start().await;
    let form = [("amount", "2598"), ("currency", "eur"), ("capture_method", "manual")];
    for (name, two) in [
        ("Idempotency-Key", ["a", "b"]),
        ("Idempotency-Key", ["b", "a"]),
        ("Authorization", ["Bearer sk_test_1", "Bearer sk_test_2"]),
    ] {
        let request = gateway.client.post(format!("{}/v1/payment_intents", gateway.url)).form(&form);
        let request = if name == "Authorization" { request } else { request.bearer_auth("sk_test_1") };
        let answer = two.iter().fold(request, |request, value| request.header(name, *value)).send().await.unwrap();
        let (status, refused) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert_eq!((status, &refused["error"]["param"]), (StatusCode::BAD_REQUEST, &json!(name)), "{refused}");
    }
    assert_eq!(gateway.get("/v1/payment_intents?limit=1").await["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withheld_answer_is_late_but_what_was_done_is_done() {
    let gateway = Gateway::start().await;
    let id = gateway.intent("pm_sandbox_timeout_then_success").await;
    let url = format!("{}/v1/payment_intents/{id}/confirm", gateway.url);
    let send = || {
        let request = gateway.client.post(&url).bearer_auth("sk_test_1").header("Idempotency-Key", "k");
        request.timeout(Duration::from_millis(500)).send()
    };
    assert!(send().await.unwrap_err().is_timeout());
    assert_eq!(gateway.get(&format!("/v1/payment_intents/{id}")).await["status"], "requires_capture");
    assert_eq!(send().await.unwrap().headers()["Idempotent-Replayed"], "true");
    assert_eq!(gateway.operations().await, [r#""authorise" 2598 "EUR""#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_bank_is_asked_by_the_confirmation_alone_and_agrees_though_nobody_listens_any_more() {
    let gateway = Gateway::start().await;
    let id = gateway.intent("pm_sandbox_slow").await;
    let (shown, action) =
        (format!("/v1/payment_intents/{id}"), |name: &str| format!("/v1/payment_intents/{id}/{name}"));
    let asked = gateway.client.post(format!("{}{}", gateway.url, action("confirm"))).bearer_auth("sk_test_1");
    let asked = tokio::spawn(asked.header("Idempotency-Key", "k").send());
    let stands = async |status: &str| gateway.get(&shown).await["status"] == status;
    eventually("its bank is asked", Duration::from_secs(20), async || stands("processing").await).await;
    assert!(gateway.operations().await.is_empty());
    let (status, refused) = gateway.post(&action("cancel"), "c", &[]).await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (StatusCode::BAD_REQUEST, &json!("payment_intent_unexpected_state"))
    );
    asked.abort();
    eventually("its bank agrees", Duration::from_secs(20), async || stands("requires_capture").await).await;
    assert_eq!(gateway.post(&action("confirm"), "k", &[]).await.1["status"], "requires_capture");
    assert_eq!(gateway.post(&action("cancel"), "v", &[]).await.1["status"], "canceled");
    assert_eq!(gateway.operations().await, [r#""authorise" 2598 "EUR""#, r#""void" 2598 "EUR""#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_customer_does_is_entered_under_the_key_of_the_confirmation() {
    let gateway = Gateway::start().await;
    let id = gateway.intent("pm_card_authenticationRequired").await;
    let (_, intent) = gateway.post(&format!("/v1/payment_intents/{id}/confirm"), "k-1", &[]).await;
    assert_eq!(
        (&intent["status"], &intent["next_action"]["type"]),
        (&json!("requires_action"), &json!("redirect_to_url"))
    );
    assert!(gateway.operations().await.is_empty());
    assert_eq!(gateway.authenticate(&id, "succeed").await.1["status"], "requires_capture");
    assert_eq!(gateway.authenticate(&id, "succeed").await.0, StatusCode::BAD_REQUEST);
    let journal = gateway.get("/sandbox/journal?order_id=o-1").await;
    assert_eq!(journal["items"][0]["idempotency_key"], "k-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_switched_at_run_time_all_at_once() {
    let gateway = Gateway::start().await;
    let (_, set) = gateway.put_faults(&json!({"decline": "stolen_card", "webhooks": {"lose": true}})).await;
    assert_eq!((&set["decline"], &set["failure_rate"]), (&json!("stolen_card"), &json!(0.0)));
    assert_eq!(gateway.get("/sandbox/faults").await, set);
    let id = gateway.intent("pm_card_visa").await;
    let (_, declined) = gateway.post(&format!("/v1/payment_intents/{id}/confirm"), "", &[]).await;
    assert_eq!(declined["error"]["decline_code"], "stolen_card");

    gateway.put_faults(&json!({"capture_fails": true})).await;
    let again = [("payment_method", "pm_card_visa")];
    let (_, intent) = gateway.post(&format!("/v1/payment_intents/{id}/confirm"), "", &again).await;
    assert_eq!(intent["status"], "requires_capture");
    let (_, failed) = gateway.post(&format!("/v1/payment_intents/{id}/capture"), "", &[]).await;
    assert_eq!(failed["error"]["code"], "charge_expired_for_capture");

    gateway.put_faults(&json!({"failure_rate": 1})).await;
    let (status, _) = gateway.post(&format!("/v1/payment_intents/{id}/capture"), "", &[]).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_that_there_are_not_are_refused_by_name() {
    let gateway = Gateway::start().await;
    for (faults, field) in [
        (json!({"colour": "red"}), "colour"),
        (json!({"failure_rate": 2}), "failure_rate"),
        (json!({"delay_ms": 600_000}), "delay_ms"),
        (json!({"decline": "whim"}), "decline"),
    ] {
        let (status, problem) = gateway.put_faults(&faults).await;
        let named = problem["errors"][0]["field"].as_str().unwrap();
        assert_eq!((status, named), (StatusCode::UNPROCESSABLE_ENTITY, field), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flaky_gateway_does_everything_once_in_the_end() {
    let gateway = Gateway::start().await;
    let id = gateway.intent("pm_card_visa").await;
    gateway.put_faults(&json!({"failure_rate": 0.5})).await;
    for path in ["confirm", "capture"] {
        let done =
            || async { gateway.post(&format!("/v1/payment_intents/{id}/{path}"), path, &[]).await.0 == StatusCode::OK };
        eventually("it is done", Duration::from_secs(20), done).await;
    }
    gateway.put_faults(&json!({})).await;
    assert_eq!(gateway.operations().await, [r#""authorise" 2598 "EUR""#, r#""capture" 2598 "EUR""#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_by_webhook_until_it_is_taken_and_twice_when_that_is_switched_on() {
    let receiver = MockServer::start().await;
    let refuse = Mock::given(method("POST")).respond_with(ResponseTemplate::new(503)).up_to_n_times(2).with_priority(1);
    refuse.mount(&receiver).await;
    Mock::given(header_exists("Stripe-Signature")).respond_with(ResponseTemplate::new(200)).mount(&receiver).await;
    let config = WebhookConfig { url: receiver.uri(), secret: "whsec_1".to_owned().into() };
    let gateway = Gateway::telling(Some(config)).await;
    gateway.put_faults(&json!({"webhooks": {"duplicate": true, "reorder": true}})).await;
    let id = gateway.intent("pm_card_visa").await;
    for step in ["confirm", "capture"] {
        gateway.post(&format!("/v1/payment_intents/{id}/{step}"), "", &[]).await;
    }
    // Two events, each twice, and two deliveries that were refused.
    let told = || async { receiver.received_requests().await.unwrap().len() == 6 };
    eventually("all is told", Duration::from_secs(20), told).await;
    let events: Vec<Value> =
        receiver.received_requests().await.unwrap().iter().map(|r| r.body_json().unwrap()).collect();
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert!(of("payment_intent.amount_capturable_updated") >= 2 && of("payment_intent.succeeded") >= 2);
    let ids: std::collections::BTreeSet<_> = events.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn intents_are_listed_newest_first() {
    let gateway = Gateway::start().await;
    let (first, second) = (gateway.intent("pm_card_visa").await, gateway.intent("pm_card_visa").await);
    let list = gateway.get("/v1/payment_intents?limit=1").await;
    assert_eq!((&list["data"][0]["id"], &list["has_more"]), (&json!(second), &json!(true)));
    let rest = gateway.get(&format!("/v1/payment_intents?limit=1&starting_after={second}")).await;
    assert_eq!((&rest["data"][0]["id"], &rest["has_more"]), (&json!(first), &json!(false)));
}
