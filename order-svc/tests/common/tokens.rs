//! order-svc with an issuer of its own, and people with tokens.

use quadrille_testing::issuer::{Issuer, Signer};
use reqwest::Method;
use serde_json::{Value, json};
use service_kit::auth::GuestLinks;

use super::server::{Server, order, order_with};
use order_svc::http::ACCESS;

const OF_ORDER: [(&str, &str); 6] = [
    ("GET", ""),
    ("GET", "/history"),
    ("GET", "/events"),
    ("PUT", "/delivery-address"),
    ("POST", "/call-off"),
    ("POST", "/cancel"),
];

/// order-svc that asks for tokens.
pub struct Shop {
    pub issuer: Issuer,
    pub server: Server,
}

impl Shop {
    pub async fn open(guests: Option<GuestLinks>) -> Self {
        let issuer = Issuer::start(&[Signer::es256("k1")]).await;
        let server = Server::guarded(issuer.guard(ACCESS).await, guests).await;
        Self { issuer, server }
    }

    pub async fn with_guests() -> Self {
        Self::open(GuestLinks::new(&"what signs the links of guests here".into())).await
    }

    pub fn token(&self, who: &str) -> String {
        let role = match who {
            "sam" => "staff",
            "olga" => "operator",
            _ => "customer",
        };
        self.issuer.token(who, &[role])
    }

    pub async fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> (u16, Value) {
        let url = if path.starts_with("/api") {
            format!("{}{path}", self.server.root)
        } else {
            format!("{}{path}", self.server.url)
        };
        let mut request = self.server.client.request(method.parse::<Method>().unwrap(), url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let is_stream = answer.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let body = if is_stream { Value::Null } else { answer.json().await.unwrap_or_default() };
        (status, body)
    }

    /// Places an order for this customer.
    pub async fn placed(&self, token: Option<&str>, customer: &str) -> Value {
        let (status, body) = self.ask("POST", "", token, Some(order_with("/customer/id", json!(customer)))).await;
        assert_eq!(status, 202, "{body}");
        body
    }

    /// What is answered on each of an order's routes.
    pub async fn statuses(&self, id: &str, token: Option<&str>) -> [u16; 6] {
        let mut statuses = [0; 6];
        for ((method, path), status) in OF_ORDER.into_iter().zip(&mut statuses) {
            let body = path.ends_with("address").then(|| order()["delivery_address"].clone());
            *status = self.ask(method, &format!("/{id}{path}"), token, body).await.0;
        }
        statuses
    }

    pub async fn written(&self) -> [i64; 3] {
        let db = &self.server.shop.db;
        [db.count("orders").await, db.count("outbox").await, db.count("order_history").await]
    }
}
