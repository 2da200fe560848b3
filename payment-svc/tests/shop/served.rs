//! The HTTP interface on a real port, with the gateway that the shop has.

use std::{ops::Deref, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use payment_svc::gateway::Stripe;
use payment_svc::http::{AppState, routes};
use quadrille_testing::answer;
use reqwest::Method;
use serde_json::Value;
use service_kit::auth::Guard;
use service_kit::http::Limits;
use tokio_util::sync::CancellationToken;

use super::Shop;

pub const SECRET: &str = "whsec_old";

pub struct Served(quadrille_testing::Served);

impl Deref for Served {
    type Target = quadrille_testing::Served;

    fn deref(&self) -> &quadrille_testing::Served {
        &self.0
    }
}

impl Served {
    pub fn start<G>(shop: &Shop<G>, gateway: Stripe) -> Self {
        Self::guarded(shop, gateway, Guard::for_everybody())
    }

    pub fn guarded<G>(shop: &Shop<G>, gateway: Stripe, guard: Guard) -> Self {
        let state = AppState {
            pool: shop.db.pool.clone(),
            gateway: Arc::new(gateway),
            webhook_secrets: Some(format!("whsec_new,{SECRET}").parse().unwrap()),
            relay: Default::default(),
            calls: Default::default(),
        };
        let (limits, stop, routes) = (Limits::default(), CancellationToken::new(), routes(state).unwrap());
        Self(quadrille_testing::Served::guarded("/api/v1/payments", guard, limits, stop, routes))
    }

    /// Delivers a webhook with this header, if any.
    pub async fn deliver(&self, body: &[u8], signature: Option<String>) -> (u16, Value) {
        let request = self.request(Method::POST, "/webhooks/stripe").body(body.to_vec());
        answer(match signature {
            Some(signature) => request.header("Stripe-Signature", signature),
            None => request,
        })
        .await
    }

    /// The gateway tells of something, signed.
    pub async fn told(&self, event: &Value) -> (u16, Value) {
        let body = event.to_string().into_bytes();
        self.deliver(&body, Some(signed(&body, SECRET, chrono::Utc::now().timestamp()))).await
    }
}

pub fn signed(body: &[u8], secret: &str, seconds: i64) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    format!("t={seconds},v1={}", hex::encode(mac.finalize().into_bytes()))
}
