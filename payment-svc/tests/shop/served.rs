//! The HTTP interface on a real port, with the gateway that the shop has.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use payment_svc::{
    gateway::Stripe,
    http::{AppState, routes},
};
use serde_json::Value;
use service_kit::http::{Readiness, bind};
use tokio_util::sync::CancellationToken;

use super::Shop;

pub const SECRET: &str = "whsec_old";

pub struct Served {
    pub url: String,
    stop: CancellationToken,
}

impl Served {
    pub fn start<G>(shop: &Shop<G>, gateway: Stripe) -> Self {
        let stop = CancellationToken::new();
        let state = AppState {
            pool: shop.db.pool.clone(),
            gateway: Arc::new(gateway),
            webhook_secrets: Some(format!("whsec_new,{SECRET}").parse().unwrap()),
            relay: Default::default(),
            calls: Default::default(),
        };
        let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let server = bind("payment-svc", addr, Readiness::default(), stop.clone(), routes(state).unwrap()).unwrap();
        let url = format!("http://127.0.0.1:{}/api/v1/payments", server.port());
        tokio::spawn(server.run());
        Self { url, stop }
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(reqwest::Client::new().get(format!("{}{path}", self.url))).await
    }

    /// Delivers a webhook with this header, if any.
    pub async fn deliver(&self, body: &[u8], signature: Option<String>) -> (u16, Value) {
        let request = reqwest::Client::new().post(format!("{}/webhooks/stripe", self.url)).body(body.to_vec());
        answer(match signature {
            Some(signature) => request.header("Stripe-Signature", signature),
            None => request,
        })
        .await
    }

    /// The gateway tells of something, signed.
    pub async fn told(&self, event: &Value) -> (u16, Value) {
        let (body, seconds) = (event.to_string(), chrono::Utc::now().timestamp());
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{seconds}.{body}").as_bytes());
        let signature = format!("t={seconds},v1={}", hex::encode(mac.finalize().into_bytes()));
        self.deliver(body.as_bytes(), Some(signature)).await
    }
}

pub async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
