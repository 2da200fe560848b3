//! What happens to intents and refunds is told by webhook: <https://docs.stripe.com/webhooks>. An event is written in the
//! transaction of what it tells of, delivered by a worker, and delivered again until it is taken.

use std::time::Duration;

use chrono::Utc;
use diesel_async::AsyncPgConnection;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use service_kit::external_calls::{ExternalCalls, Performed};
use service_kit::{Pool, http_client, retry};
use sha2::Sha256;
use uuid::Uuid;

use crate::faults::WebhookFaults;
use crate::store::{self, Delivery, End, Settled};

/// How long the receiver may take.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// After so many tries, which take a quarter of an hour, an event is given up.
const TRIES: i32 = 20;
/// How far reordered deliveries are thrown about.
const SCATTER: Duration = Duration::from_secs(2);

/// Where events are told, and how they are signed.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    pub url: String,
    /// What the receiver knows us by.
    pub secret: SecretString,
}

/// Writes down that something happened to `object`, to be told.
pub async fn tell(
    conn: &mut AsyncPgConnection,
    faults: &WebhookFaults,
    kind: &str,
    object: Value,
) -> diesel::QueryResult<()> {
    if faults.lose {
        return Ok(());
    }
    let id = format!("evt_{}", Uuid::now_v7().simple());
    let body = json!({
        "id": id,
        "object": "event",
        "api_version": "2024-06-20",
        "created": Utc::now().timestamp(),
        "data": {"object": object},
        "livemode": false,
        "pending_webhooks": 1,
        "type": kind,
    });
    let copies = if faults.duplicate { 2 } else { 1 };
    for _ in 0..copies {
        let wait = if faults.reorder { SCATTER.mul_f64(rand::random::<f64>()) } else { Duration::ZERO };
        store::insert_delivery(conn, &id, &body.to_string(), wait).await?;
    }
    Ok(())
}

/// `Stripe-Signature` of a body that is sent at `seconds`.
fn signature(secret: &SecretString, seconds: i64, body: &str) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())?;
    mac.update(format!("{seconds}.{body}").as_bytes());
    Ok(format!("t={seconds},v1={}", hex::encode(mac.finalize().into_bytes())))
}

/// The worker's part: takes deliveries that are due and makes them.
#[derive(Clone)]
pub struct Deliveries {
    pool: Pool,
    client: Client,
    config: WebhookConfig,
}

impl Deliveries {
    /// A client with bounded waits.
    pub fn new(pool: Pool, config: WebhookConfig) -> anyhow::Result<Self> {
        let mut client = Client::builder().timeout(PATIENCE).no_proxy();
        if config.url.starts_with("http://") {
            // Nobody's certificate is looked at, and a small image may hold none.
            client = client.tls_certs_only([]);
        }
        Ok(Self { pool, client: client.build()?, config })
    }

    async fn deliver(&self, delivery: &Delivery) -> anyhow::Result<()> {
        let signature = signature(&self.config.secret, Utc::now().timestamp(), &delivery.body)?;
        let request = self.client.post(&self.config.url).header("Stripe-Signature", signature);
        let request = request.header("Content-Type", "application/json").body(delivery.body.clone());
        http_client::traced(request).send().await?.error_for_status()?;
        Ok(())
    }
}

impl ExternalCalls for Deliveries {
    type Call = Delivery;
    type Made = Settled;

    async fn take(&self, limit: usize) -> anyhow::Result<Vec<Delivery>> {
        let mut conn = self.pool.get().await?;
        Ok(store::take_deliveries(&mut conn, i64::try_from(limit)?, PATIENCE * 2).await?)
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        Ok(store::next_delivery(&mut *self.pool.get().await?).await?)
    }

    async fn make(&self, delivery: Delivery) -> Settled {
        let end = match self.deliver(&delivery).await {
            Ok(()) => End::Delivered,
            Err(error) if delivery.tries >= TRIES => {
                tracing::warn!(event.id = delivery.event_id, %error, "a webhook is given up");
                End::GivenUp
            }
            Err(error) => {
                tracing::debug!(event.id = delivery.event_id, %error, tries = delivery.tries, "a webhook was not taken");
                let tries = delivery.tries.unsigned_abs().saturating_sub(1);
                End::PutOff { wait: retry::wait_after(tries, FIRST_WAIT, LONGEST_WAIT) }
            }
        };
        Settled { id: delivery.id, end }
    }

    async fn settle(&self, settled: &[Settled]) -> anyhow::Result<Vec<Performed>> {
        store::settle_deliveries(&mut *self.pool.get().await?, settled).await?;
        let performed = |settled: &Settled| match settled.end {
            End::Delivered | End::GivenUp => Performed::Last,
            End::PutOff { .. } => Performed::PutOff,
        };
        Ok(settled.iter().map(performed).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '1700000000.{"id": "evt_1"}' | openssl dgst -sha256 -hmac whsec_a`
    #[test]
    fn a_signature_is_the_one_that_openssl_makes() {
        let made = signature(&"whsec_a".to_owned().into(), 1_700_000_000, r#"{"id": "evt_1"}"#).unwrap();
        assert_eq!(made, "t=1700000000,v1=959e681f2eb761e01462d4257e1912530636dfce927fda01a1c443dbaa6aa0c7");
    }
}
