//! A customer whose bank asks for them is shown how they go on with their payment, and nobody else is; with the real sandbox
//! gateway.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use std::sync::Arc;
use std::time::Duration;

use payment_svc::gateway::{Stripe, StripeConfig};
use payment_svc::http::ACCESS;
use payment_svc::worker::CustomerLookUps;
use quadrille_testing::answer;
use quadrille_testing::issuer::{Issuer, Signer, claims};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use service_kit::auth::GuestLinks;
use service_kit::config::{Reader, TelemetryConfig};
use service_kit::external_calls::ExternalCalls;
use service_kit::{telemetry, trace};
use shared_events::{OrderForgotten, OrderId};
use shop::sandbox::{Sandbox, stripe_at};
use shop::served::Served;
use shop::{Order, Shop};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

const AUTHENTICATES: &str = "pm_card_authenticationRequired";

struct Scene {
    sandbox: Sandbox,
    shop: Shop<Stripe>,
    served: Served,
    issuer: Issuer,
    guests: GuestLinks,
    order: Order,
}

impl Scene {
    /// A payment of c-1001's that waits for them.
    async fn waiting() -> Self {
        let sandbox = Sandbox::start().await;
        let gateway = || {
            let return_url = Some("https://shop.example/orders/{order_id}".parse().unwrap());
            Stripe::new(StripeConfig { return_url, ..stripe_at(sandbox.url(), Duration::from_secs(5)) }).unwrap()
        };
        let (shop, issuer) = (Shop::new(gateway()).await, Issuer::start(&[Signer::es256("k1")]).await);
        let guests = GuestLinks::new(&"the secret that order-svc has as well".to_owned().into()).unwrap();
        let served = Served::guarded(&shop, gateway(), issuer.guard(ACCESS).await.with_guests(guests.clone()));
        let order = Order::new(AUTHENTICATES);
        shop.hear_and_call([order.placed(), order.reserved()]).await;
        Self { sandbox, shop, served, issuer, guests, order }
    }

    async fn read(&self, path: &str, token: &str) -> (u16, Value) {
        answer(self.served.request(Method::GET, path).bearer_auth(token)).await
    }

    /// The payment as this token shows it, in the list and by itself.
    async fn shown(&self, token: &str) -> [Value; 2] {
        let payment = self.shop.payment(&self.order).await.id;
        let (listed, list) = self.read(&format!("?order_id={}", self.order.id), token).await;
        let (status, shown) = self.read(&format!("/{payment}"), token).await;
        assert_eq!((listed, status), (200, 200), "{list} {shown}");
        [list["items"][0]["next_action"].clone(), shown["next_action"].clone()]
    }

    /// Asks the gateway at once what has become of the payments that wait for their customers.
    async fn looks_up(&self) {
        self.shop.db.run("update customer_look_ups set due_at = now()").await;
        let look_ups = CustomerLookUps::new(self.shop.db.pool.clone(), Arc::new(self.sandbox.adapter()), || {});
        for look_up in look_ups.take(10).await.unwrap() {
            look_ups.perform(look_up).await.unwrap();
        }
    }

    fn customer(&self) -> String {
        self.issuer.token("c-1001", &["customer"])
    }

    fn machine(&self) -> String {
        let mut machine = claims(&self.issuer, "books", &[]);
        machine["scope"] = json!("payments.read");
        self.issuer.signers[0].token(&machine)
    }

    fn guest(&self, order: OrderId) -> String {
        self.guests.token(order.0).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pays_is_shown_how_they_go_on_and_staff_operators_and_machines_are_not() {
    let scene = Scene::waiting().await;
    let intent = scene.shop.intent(&scene.order).await;
    for token in [scene.customer(), scene.guest(scene.order.id)] {
        let [listed, shown] = scene.shown(&token).await;
        assert_eq!(listed, shown);
        assert!(shown["client_secret"].as_str().unwrap().starts_with(&format!("{intent}_secret_")), "{shown}");
        assert_eq!(shown["type"], "redirect_to_url");
        let page = format!("{}/sandbox/3ds/{intent}", scene.sandbox.url());
        assert_eq!(shown["redirect_to_url"], json!({"url": page}));
        assert!(shown["deadline"].is_string(), "{shown}");
    }
    let (sam, olga) = (scene.issuer.token("sam", &["staff"]), scene.issuer.token("olga", &["operator"]));
    for token in [sam, olga, scene.machine()] {
        assert_eq!(scene.shown(&token).await, [Value::Null, Value::Null]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_who_shop_are_shown_how_they_go_on_with_what_is_theirs_and_with_no_other() {
    let scene = Scene::waiting().await;
    let theirs = scene.shown(&scene.customer()).await;
    for roles in [["customer", "staff"], ["operator", "customer"]] {
        assert_eq!(scene.shown(&scene.issuer.token("c-1001", &roles)).await, theirs);
        assert_eq!(scene.shown(&scene.issuer.token("sam", &roles)).await, [Value::Null, Value::Null]);
    }
    assert_eq!(scene.shown(&scene.issuer.token("c-1001", &["staff"])).await, [Value::Null, Value::Null]);
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_and_guests_are_not_told_what_the_banks_forbid_and_staff_and_machines_are() {
    let scene = Scene::waiting().await;
    let payment = scene.shop.payment(&scene.order).await.id;
    let codes = async |token: &str| {
        let (_, list) = scene.read(&format!("?order_id={}", scene.order.id), token).await;
        let (_, shown) = scene.read(&format!("/{payment}"), token).await;
        [list["items"][0]["failure_code"].clone(), shown["failure_code"].clone()]
    };
    for (code, for_customers) in [("stolen_card", "generic_decline"), ("insufficient_funds", "insufficient_funds")] {
        scene.shop.db.run(format!("update payments set failure_code = '{code}'")).await;
        for token in [scene.customer(), scene.guest(scene.order.id)] {
            assert_eq!(codes(&token).await, [json!(for_customers), json!(for_customers)]);
        }
        for token in [scene.issuer.token("sam", &["staff"]), scene.machine()] {
            assert_eq!(codes(&token).await, [json!(code), json!(code)]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_sees_the_payment_of_their_order_and_no_other() {
    let scene = Scene::waiting().await;
    let other = Order::new("pm_card_visa");
    scene.shop.hear([other.placed()]).await;
    let (own, others) = (scene.guest(scene.order.id), scene.guest(other.id));
    let (_, list) = scene.read("", &own).await;
    let orders: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["order_id"].clone()).collect();
    assert_eq!(orders, [json!(scene.order.id)]);
    let (status, list) = scene.read(&format!("?order_id={}", scene.order.id), &others).await;
    assert_eq!((status, &list["items"]), (200, &json!([])));
    let payment = scene.shop.payment(&scene.order).await.id;
    assert_eq!(scene.read(&format!("/{payment}"), &others).await.0, 404);
    assert_eq!(scene.read(&format!("/{payment}"), &format!("{own}0")).await.0, 401);
    let refund = scene.served.request(Method::POST, &format!("/{payment}/refunds")).bearer_auth(&own).json(&json!({}));
    assert_eq!(answer(refund).await.0, 403, "it shows, and moves no money");
    let (_, shown) = scene.read(&format!("/{payment}"), &own).await;
    let hidden = (&shown["gateway"]["payment_intent"], &shown["ledger"]);
    assert_eq!((hidden, &shown["amount"]["amount"]), ((&Value::Null, &json!([])), &json!(2598)), "{shown}");
    let in_link = scene.served.request(Method::GET, &format!("/{payment}?token={own}"));
    assert_eq!(answer(in_link).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_goes_to_their_bank_by_it_comes_back_to_their_orders_page_and_has_paid() {
    let scene = Scene::waiting().await;
    let [_, shown] = scene.shown(&scene.customer()).await;
    let page = shown["redirect_to_url"]["url"].as_str().unwrap();
    let browser = Client::builder().redirect(Policy::none()).build().unwrap();
    let back = browser.post(page).form(&[("outcome", "approve")]).send().await.unwrap();
    let to = back.headers()["location"].to_str().unwrap();
    let orders_page = format!("https://shop.example/orders/{}?", scene.order.id);
    assert!(back.status() == 303 && to.starts_with(&orders_page) && to.ends_with("redirect_status=succeeded"), "{to}");
    let intent = scene.shop.intent(&scene.order).await;
    let told = json!({"id": "evt_1", "type": "payment_intent.amount_capturable_updated",
        "data": {"object": {"id": intent, "object": "payment_intent"}}});
    assert_eq!(scene.served.told(&told).await.0, 200);
    assert_eq!(scene.shop.said().await[1..], ["authorized 2598"]);
    assert_eq!(scene.shown(&scene.customer()).await, [Value::Null, Value::Null], "there is nothing left to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_in_one_row_for_as_long_as_the_customer_is_waited_for_and_nowhere_else() {
    let scene = Scene::waiting().await;
    let [_, shown] = scene.shown(&scene.customer()).await;
    let secret = shown["client_secret"].as_str().unwrap();
    let held = "table_schema = 'public' and table_type = 'BASE TABLE'";
    let tables: Vec<String> =
        scene.shop.db.rows(format!("select table_name::text from information_schema.tables where {held}")).await;
    assert!(tables.len() > 8, "{tables:?}");
    let holding = async || {
        let mut holding = vec![];
        for table in &tables {
            // events are kept as bytes
            let hex = format!("encode(convert_to('{secret}', 'UTF8'), 'hex')");
            let holds = format!("row_to_json(a_row)::text like '%{secret}%' or a_row::text like '%' || {hex} || '%'");
            if scene.shop.db.count(&format!("{table} a_row where {holds}")).await > 0 {
                holding.push(table.clone());
            }
        }
        holding
    };
    assert_eq!(holding().await, ["customer_look_ups"]);
    scene.sandbox.authenticate(&scene.shop.intent(&scene.order).await, "succeed").await;
    scene.looks_up().await;
    assert_eq!(holding().await, [""; 0]);
}

/// Where this program writes the secret that it was shown, if it is to be watched from outside.
const WATCHED: &str = "WRITES_THE_SECRET_TO";

/// Runs itself once more, with all that it logs and with a collector of traces.
#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_in_no_log_and_in_no_trace() {
    if let Ok(file) = std::env::var(WATCHED) {
        return is_watched(&file).await;
    }
    let collector = MockServer::start().await;
    Mock::given(path("/v1/traces")).respond_with(ResponseTemplate::new(200)).mount(&collector).await;
    let file = std::env::temp_dir().join(format!("secret-{}", OrderId::new()));
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    program.args(["the_secret_is_in_no_log_and_in_no_trace", "--exact", "--nocapture"]);
    program.env(WATCHED, &file).env("COLLECTOR", collector.uri());
    let told = tokio::task::spawn_blocking(move || program.output()).await.unwrap().unwrap();
    let (log, secret) = ([told.stdout, told.stderr].concat(), std::fs::read(&file).unwrap());
    std::fs::remove_file(&file).unwrap();
    let holds = |text: &[u8], word: &[u8]| text.windows(word.len()).any(|part| part == word);
    let shown = String::from_utf8_lossy(&log);
    assert!(told.status.success() && secret.starts_with(b"pi_") && log.len() > 1_000, "{shown}");
    assert!(!holds(&log, &secret), "{shown}");
    let exported = collector.received_requests().await.unwrap();
    assert!(exported.iter().any(|request| holds(&request.body, b"/api/v1/payments")), "it exports its spans");
    assert!(exported.iter().all(|request| !holds(&request.body, &secret)), "a span has it");
}

/// Goes through all that happens to the secret: the gateway's answer, who is shown it, and a look-up.
async fn is_watched(file: &str) {
    let collector = std::env::var("COLLECTOR").unwrap();
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.as_str()),
        ("RUST_LOG", "debug,payment_svc=trace,service_kit=trace,outbox_relay=trace"),
    ];
    telemetry::init("payment-svc", &Reader::from_pairs(settings).whole(TelemetryConfig::read).unwrap()).unwrap();
    let scene = Scene::waiting().await;
    let [_, shown] = scene.shown(&scene.customer()).await;
    std::fs::write(file, shown["client_secret"].as_str().unwrap()).unwrap();
    scene.sandbox.authenticate(&scene.shop.intent(&scene.order).await, "succeed").await;
    scene.looks_up().await;
    trace::flush().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_whom_an_older_build_has_asked_is_shown_how_they_go_on_once_they_are_looked_up() {
    let scene = Scene::waiting().await;
    let shown = scene.shown(&scene.customer()).await;
    scene.shop.db.run("update customer_look_ups set client_secret = null, url = null, due_at = now()").await;
    let [without, _] = scene.shown(&scene.customer()).await;
    assert_eq!((&without["client_secret"], &without["redirect_to_url"]), (&Value::Null, &Value::Null));
    scene.looks_up().await;
    assert_eq!(scene.shown(&scene.customer()).await, shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_who_is_forgotten_is_shown_nothing_by_their_link() {
    let scene = Scene::waiting().await;
    let (own, payment) = (scene.guest(scene.order.id), scene.shop.payment(&scene.order).await.id);
    let forgotten = OrderForgotten { order_id: scene.order.id, customer_id: "c-1001".parse().unwrap() };
    scene.shop.hear([forgotten.into()]).await;
    assert_eq!(scene.read("", &own).await.1["items"], json!([]));
    assert_eq!(scene.read(&format!("/{payment}"), &own).await.0, 404);
    assert_eq!(scene.read(&format!("/{payment}"), &scene.issuer.token("sam", &["staff"])).await.0, 200);
}
