//! Text and push messages as a client of Twilio's and Firebase's APIs sends them, on a real server and a real database.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use reqwest::{Client, RequestBuilder};
use sandbox_gateway::{App, Config, migrations};
use serde_json::{Value, json};
use service_kit::config::Reader;
use service_kit::testing::TestDb;
use tokio_util::sync::{CancellationToken, DropGuard};

struct Sandbox {
    url: String,
    client: Client,
    _stop: DropGuard,
    _db: TestDb,
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

impl Sandbox {
    async fn start() -> Self {
        let db = TestDb::new(&migrations()).await;
        let given = [("DATABASE_URL", db.url.as_str()), ("HTTP_ADDR", "127.0.0.1:0"), ("DATABASE_POOL_SIZE", "4")];
        let app = App::build(Reader::from_pairs(given).whole(Config::read).unwrap()).await.unwrap();
        let url = format!("http://127.0.0.1:{}", app.port());
        let stop = CancellationToken::new();
        tokio::spawn(app.run_until(stop.clone()));
        Self { url, client: Client::new(), _stop: stop.drop_guard(), _db: db }
    }

    async fn text(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let request = self.client.post(format!("{}/2010-04-01/Accounts/AC1/Messages.json", self.url));
        answer(request.basic_auth("AC1", Some("t")).form(form)).await
    }

    async fn push(&self, token: &str) -> (u16, Value) {
        let message = json!({"message": {"token": token, "notification": {"title": "Your order", "body": "Order o-1"},
            "data": {"order_id": "o-1"}}});
        let request = self.client.post(format!("{}/v1/projects/shop/messages:send", self.url));
        answer(request.bearer_auth("t").json(&message)).await
    }

    async fn kept(&self, query: &str) -> Vec<Value> {
        let (_, list) = answer(self.client.get(format!("{}/sandbox/messages{query}", self.url))).await;
        list["items"].as_array().unwrap().clone()
    }

    async fn delete(&self, about: &str) -> (u16, Value) {
        answer(self.client.delete(format!("{}/sandbox/messages?about={about}", self.url))).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_kept_read_and_deleted() {
    let sandbox = Sandbox::start().await;
    let form = [("To", "+353861234567"), ("From", "+15005550006"), ("Body", "Order o-1 ü")];
    let (status, taken) = sandbox.text(&form).await;
    assert_eq!((status, taken["status"].as_str(), taken["error_code"].clone()), (201, Some("queued"), Value::Null));
    assert!(taken["sid"].as_str().unwrap().starts_with("SM"), "{taken}");
    assert_eq!(sandbox.push("device-1").await.0, 200);
    let kept = sandbox.kept("").await;
    assert_eq!([&kept[0]["title"], &kept[0]["data"]["order_id"]], ["Your order", "o-1"], "the newest is first");
    assert_eq!([&kept[1]["recipient"], &kept[1]["body"]], ["+353861234567", "Order o-1 ü"]);
    assert_eq!(sandbox.kept("?to=device-1").await.len(), 1);
    assert_eq!(sandbox.kept("?limit=1").await.len(), 1);
    assert_eq!(sandbox.delete("o-2").await, (200, json!({"deleted": 0})));
    assert_eq!(sandbox.delete("o-1").await, (200, json!({"deleted": 2})));
    assert!(sandbox.kept("").await.is_empty());
    assert_eq!(sandbox.delete("%20").await.0, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_refuses_is_refused_as_there_and_not_kept() {
    let sandbox = Sandbox::start().await;
    for (form, code) in [
        (&[("To", "+15005550001"), ("From", "Shop"), ("Body", "x")][..], 21211),
        (&[("To", "+15005550004"), ("From", "Shop"), ("Body", "x")], 21610),
        (&[("To", "0861234567"), ("From", "Shop"), ("Body", "x")], 21211),
        (&[("To", "+353861234567"), ("Body", "x")], 21603),
        (&[("To", "+353861234567"), ("From", "Shop")], 21602),
        (&[("From", "Shop"), ("Body", "x")], 21604),
    ] {
        let (status, refused) = sandbox.text(form).await;
        assert_eq!((status, refused["code"].as_i64()), (400, Some(code)), "{refused}");
    }
    let url = format!("{}/2010-04-01/Accounts/AC1/Messages.json", sandbox.url);
    let (status, refused) = answer(sandbox.client.post(url).basic_auth("AC2", Some("t"))).await;
    assert_eq!((status, refused["code"].as_i64()), (401, Some(20003)));
    for (token, status, code) in [("unregistered-1", 404, "UNREGISTERED"), ("invalid", 400, "INVALID_ARGUMENT")] {
        let (answered, refused) = sandbox.push(token).await;
        assert_eq!((answered, refused["error"]["details"][0]["errorCode"].as_str()), (status, Some(code)), "{refused}");
    }
    assert!(sandbox.kept("").await.is_empty());
}
