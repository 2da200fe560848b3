//! Text and push messages over HTTP: what is asked, and what each answer means; then the sandbox, with the whole worker.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use notification_svc::delivery::{Deliveries, Message, Sender};
use notification_svc::domain::{Channel, SendError};
use notification_svc::push::{Firebase, FirebaseConfig};
use notification_svc::sms::{Twilio, TwilioConfig};
use serde_json::{Value, json};
use service_kit::config::{ChangingSecret, Reader};
use service_kit::external_calls::{ExternalCalls, Worker};
use service_kit::testing::{Running, TestDb, eventually};
use shared_events::{CustomerChanged, NotificationEvent, NotificationId, OrderId};
use tokio_util::sync::{CancellationToken, DropGuard};
use wiremock::matchers::{body_string, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn twilio(url: &str) -> Twilio {
    let (account, token, from) = ("AC1".to_owned(), "t".to_owned().into(), "+15005550006".to_owned());
    Twilio::new(TwilioConfig { base_url: url.parse().unwrap(), account, token, from }).unwrap()
}

fn firebase(url: &str, token: ChangingSecret) -> Firebase {
    Firebase::new(FirebaseConfig { base_url: url.parse().unwrap(), project: "shop".to_owned(), token }).unwrap()
}

fn fixed() -> ChangingSecret {
    ChangingSecret::Fixed("ya29".to_owned().into())
}

fn message() -> Message {
    Message {
        id: NotificationId::new(),
        order: OrderId::new(),
        template: "shipment_delivered".to_owned(),
        recipient: "+353861234567".to_owned(),
        subject: Some("Your parcel has arrived".to_owned()),
        body: "Ü & more".to_owned(),
        html: None,
        traceparent: None,
    }
}

/// What a provider that gives this answer to everything makes of a message.
async fn outcome(channel: Channel, answer: ResponseTemplate) -> Result<(), SendError> {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(answer).mount(&server).await;
    match channel {
        Channel::Push => firebase(&server.uri(), fixed()).send(message()).await,
        _ => twilio(&server.uri()).send(message()).await,
    }
}

fn refused(status: u16, body: Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_message_is_asked_for_as_twilio_has_it() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/2010-04-01/Accounts/AC1/Messages.json"))
        .and(header("authorization", "Basic QUMxOnQ="))
        .and(header("content-type", "application/x-www-form-urlencoded"))
        .and(body_string("To=%2B353861234567&From=%2B15005550006&Body=%C3%9C+%26+more"))
        .respond_with(refused(201, json!({"sid": "SM1"})))
        .expect(1)
        .mount(&server)
        .await;
    twilio(&server.uri()).send(message()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_message_is_asked_for_as_firebase_has_it_and_is_known_again_on_its_device() {
    let server = MockServer::start().await;
    let sent = message();
    Mock::given(method("POST"))
        .and(path("/v1/projects/shop/messages:send"))
        .and(header("authorization", "Bearer ya29"))
        .respond_with(refused(200, json!({"name": "projects/shop/messages/1"})))
        .expect(1)
        .mount(&server)
        .await;
    firebase(&server.uri(), fixed()).send(sent.clone()).await.unwrap();
    let asked: Value = server.received_requests().await.unwrap()[0].body_json().unwrap();
    let asked = &asked["message"];
    assert_eq!(asked["token"], "+353861234567");
    assert_eq!(asked["notification"], json!({"title": "Your parcel has arrived", "body": "Ü & more"}));
    assert_eq!(asked["data"]["order_id"], sent.order.to_string());
    for place in ["/android/notification/tag", "/apns/headers/apns-collapse-id", "/webpush/notification/tag"] {
        assert_eq!(asked.pointer(place), Some(&json!(sent.id.to_string())), "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_is_read_again_for_each_message() {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let sender = firebase(&server.uri(), ChangingSecret::File(file.path().to_owned()));
    let missing = sender.send(message()).await;
    assert!(matches!(&missing, Err(SendError::Unavailable(why)) if why.contains("empty")), "{missing:?}");
    for token in ["one", "two"] {
        std::fs::write(file.path(), format!("{token}\n")).unwrap();
        sender.send(message()).await.unwrap();
    }
    let asked = server.received_requests().await.unwrap();
    let tokens: Vec<_> = asked.iter().map(|request| request.headers["authorization"].to_str().unwrap()).collect();
    assert_eq!(tokens, ["Bearer one", "Bearer two"]);
}

fn firebase_error(status: &str, code: Option<&str>) -> Value {
    let details: Vec<Value> = code.iter().map(|code| json!({"@type": "FcmError", "errorCode": code})).collect();
    json!({"error": {"status": status, "message": "why", "details": details}})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_one_message_ends_it_and_what_is_about_us_waits() {
    let twilio = |code| json!({"code": code, "message": "The 'To' number +353861234567 is not valid."});
    for (channel, status, body, is_final) in [
        (Channel::Sms, 400, twilio(21211), true),
        (Channel::Sms, 400, twilio(21610), true),
        (Channel::Sms, 403, twilio(21408), true),
        (Channel::Sms, 401, twilio(20003), false),
        (Channel::Sms, 404, twilio(20404), false),
        (Channel::Sms, 401, json!("no object"), false),
        (Channel::Sms, 302, json!({}), false),
        (Channel::Push, 404, firebase_error("NOT_FOUND", Some("UNREGISTERED")), true),
        (Channel::Push, 403, firebase_error("PERMISSION_DENIED", Some("SENDER_ID_MISMATCH")), true),
        (Channel::Push, 400, firebase_error("INVALID_ARGUMENT", None), true),
        (Channel::Push, 401, firebase_error("UNAUTHENTICATED", None), false),
        (Channel::Push, 401, firebase_error("UNAUTHENTICATED", Some("THIRD_PARTY_AUTH_ERROR")), false),
        (Channel::Push, 404, json!({}), false),
    ] {
        let outcome = outcome(channel, refused(status, body.clone())).await.unwrap_err();
        let expected = match outcome {
            SendError::Permanent(_) => is_final,
            SendError::Unavailable(_) => !is_final,
            _ => false,
        };
        assert!(expected && !outcome.to_string().contains("353861234567"), "{channel:?} {status} {body}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_tried_again_and_no_sooner_than_the_provider_asks() {
    for channel in [Channel::Sms, Channel::Push] {
        for status in [408, 429, 500, 502, 504] {
            let said = format!("HTTP {status}");
            // a push message takes the place of the one before, a text message comes once more
            let again = match status {
                500.. if channel == Channel::Sms => SendError::Unclear(said),
                _ => SendError::Transient(said),
            };
            assert_eq!(outcome(channel, ResponseTemplate::new(status)).await, Err(again), "{channel:?}");
        }
        for status in [429, 503] {
            let answer = ResponseTemplate::new(status).insert_header("Retry-After", "90");
            let wait = Duration::from_secs(90);
            assert_eq!(outcome(channel, answer).await, Err(SendError::Busy { said: format!("HTTP {status}"), wait }));
        }
        let away = outcome(channel, ResponseTemplate::new(503)).await;
        assert_eq!(away, Err(SendError::Unavailable("HTTP 503".to_owned())));
        let soon = chrono::Utc::now() + chrono::TimeDelta::seconds(90);
        let date = soon.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        match outcome(channel, ResponseTemplate::new(429).insert_header("Retry-After", date.as_str())).await {
            Err(SendError::Busy { wait, .. }) => assert!((60..=90).contains(&wait.as_secs()), "{wait:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_there_is_waited_for_and_one_that_hangs_up_may_have_taken_the_message() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hangs_up = tokio::spawn(async move {
        use tokio::io::AsyncReadExt;
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
    });
    let lost = twilio(&url).send(message()).await;
    assert!(matches!(lost, Err(SendError::Unclear(_))), "{lost:?}");
    hangs_up.await.unwrap();
    let away = twilio(&url).send(message()).await;
    assert_eq!(away, Err(SendError::Unavailable("can't connect".to_owned())));
}

struct Sandbox {
    url: String,
    client: reqwest::Client,
    _stop: DropGuard,
    _db: TestDb,
}

impl Sandbox {
    async fn start() -> Self {
        let db = TestDb::new(&sandbox_gateway::migrations()).await;
        let given = [("DATABASE_URL", db.url.as_str()), ("HTTP_ADDR", "127.0.0.1:0"), ("DATABASE_POOL_SIZE", "4")];
        let config = Reader::from_pairs(given).whole(sandbox_gateway::Config::read).unwrap();
        let app = sandbox_gateway::App::build(config).await.unwrap();
        let url = format!("http://127.0.0.1:{}", app.port());
        let stop = CancellationToken::new();
        tokio::spawn(app.run_until(stop.clone()));
        Self { url, client: reqwest::Client::new(), _stop: stop.drop_guard(), _db: db }
    }

    async fn kept(&self) -> Vec<Value> {
        let answer = self.client.get(format!("{}/sandbox/messages", self.url)).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["items"].as_array().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_customers_want_by_text_and_push_arrives_at_the_sandbox_and_is_announced() {
    let (mut shop, sandbox) = (Shop::new().await, Sandbox::start().await);
    shop.hear(profile(&["sms", "push"])).await;
    let order = OrderId::new();
    shop.hear(placed(order)).await;
    shop.hear(confirmed(order)).await;
    shop.hear(dispatched(order)).await;
    let senders: [(Channel, Arc<dyn Sender>); 2] =
        [(Channel::Sms, Arc::new(twilio(&sandbox.url))), (Channel::Push, Arc::new(firebase(&sandbox.url, fixed())))];
    let pool = shop.db.pool.clone();
    let workers = senders.map(|(channel, sender)| {
        let deliveries = Deliveries::new(pool.clone(), channel, sender, || {});
        Running::start(|stop| Worker::new("messages", deliveries, 8).run(stop))
    });
    eventually("both are announced", Duration::from_secs(30), async || shop.said().await.len() == 2).await;
    for worker in workers {
        worker.end().await;
    }
    let mut kept = sandbox.kept().await;
    kept.sort_by_key(|kept| kept["channel"].to_string());
    let body = format!("Ein Paket der Bestellung {order} ist unterwegs: An Post CE1");
    assert!(kept.len() == 2 && kept.iter().all(|kept| kept["body"] == body), "{kept:?}");
    assert_eq!([&kept[0]["recipient"], &kept[0]["title"]], ["device-1", "Ihr Paket ist unterwegs"]);
    assert_eq!(kept[0]["data"]["order_id"], order.to_string());
    assert_eq!([&kept[1]["recipient"], &kept[1]["data"]["from"]], ["+353861234567", "+15005550006"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_none_ends_its_message_at_once_with_the_reason_and_without_the_number() {
    let (mut shop, sandbox) = (Shop::new().await, Sandbox::start().await);
    shop.hear(CustomerChanged { phone: Some("+15005550001".parse().unwrap()), ..profile(&["sms"]) }).await;
    let order = OrderId::new();
    shop.hear(placed(order)).await;
    shop.hear(confirmed(order)).await;
    shop.hear(dispatched(order)).await;
    let deliveries = Deliveries::new(shop.db.pool.clone(), Channel::Sms, Arc::new(twilio(&sandbox.url)), || {});
    let due = deliveries.take(8).await.unwrap();
    Shop::performs(&deliveries, due).await;
    match &shop.said().await[..] {
        [shared_events::Event::Notification(NotificationEvent::Failed(failed))] => {
            assert_eq!(failed.channel, "sms");
            assert_eq!(failed.error, "21211 The 'To' number (number) is not a valid phone number.");
        }
        other => panic!("{other:?}"),
    }
    assert!(sandbox.kept().await.is_empty() && deliveries.server().outage().is_none());
}
