//! Orders that were sent. An answer that is lost on its way is asked for again, so that nobody orders twice who could not see
//! that they have ordered.
//!
//! A browser keeps one secret from the time that something is in its basket until it is led to an order. The key of an order is
//! derived from it and from what is ordered: the same basket is one order, in however many tabs its form is shown and however
//! often it is sent. What was sent is kept sealed with that secret, for as long as order-svc keeps its answer.

use std::time::Duration;

use anyhow::Context;
use diesel::sql_types::{Bytea, Timestamptz};
use diesel_async::RunQueryDsl;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service_kit::{Pool, prepared};

use super::details::GUEST;
use crate::http::visit::Visit;
use crate::secrets;
use crate::services::{Failure, Sent, Service};
use crate::shop::basket::Basket;

const COOKIE: &str = "console_checkout";
/// As long as order-svc keeps an answer under its key.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// The secret of this browser's checkout; a new one, which it keeps from now on, if it has none.
pub fn secret(visit: &mut Visit) -> String {
    kept(visit).unwrap_or_else(|| {
        let secret = secrets::random();
        visit.keep(COOKIE, &secret, "/", LIFE);
        secret
    })
}

/// The secret that the browser has kept.
pub fn kept(visit: &Visit) -> Option<String> {
    visit.cookie(COOKIE).filter(|secret| secrets::is_like_random(secret))
}

/// The browser is led to its order: what it orders from now on is another one.
pub fn over(visit: &mut Visit) {
    visit.drop_cookie(COOKIE, "/");
}

/// The key under which this basket is ordered.
pub fn key(secret: &str, basket: &Basket) -> String {
    secrets::derived(secret, &format!("order of {}", basket.text()))
}

/// An order as it was sent.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Attempt {
    pub key: String,
    pub basket: String,
    pub body: Value,
}

/// What became of an order that was sent.
pub enum Fate {
    /// It was placed; this is what order-svc answered.
    Placed(Value),
    /// It was not, as far as order-svc has heard of it.
    NotPlaced,
    Unknown,
}

impl Attempt {
    fn id(&self) -> Vec<u8> {
        secrets::hash(&format!("{} {}", self.key, self.body))
    }

    /// Keeps it, before it is sent.
    pub async fn note(&self, pool: &Pool, secret: &str) -> anyhow::Result<()> {
        let sealed = secrets::seal(secret, &serde_json::to_vec(self)?)?;
        let (id, checkout, expires_at) = (self.id(), secrets::hash(secret), chrono::Utc::now() + LIFE);
        let mut conn = pool.get().await?;
        Note { id: &id, checkout: &checkout, sealed: &sealed, expires_at: &expires_at }.execute(&mut *conn).await?;
        Ok(())
    }

    /// It was refused.
    pub async fn forget(&self, pool: &Pool) -> anyhow::Result<()> {
        let mut conn = pool.get().await?;
        Forget { id: &self.id() }.execute(&mut *conn).await?;
        Ok(())
    }

    /// Sends it, and so places it or gets the first answer again.
    pub async fn send(&self, visit: &Visit) -> Result<Value, Failure> {
        let Some(token) = self.token(visit) else {
            return Err(Failure::Refused { status: 401, problem: Value::Null });
        };
        self.ask(visit, token, &self.body).await
    }

    /// Asks what became of it, and places nothing: under its key, and at a price that no order has. If the key has an answer it
    /// belongs to another request, and if it has none the price is refused.
    pub async fn fate(&self, visit: &Visit) -> Fate {
        let Some(token) = self.token(visit) else { return Fate::Unknown };
        let mut question = self.body.clone();
        question["expected_total"] = json!({"amount": 0, "currency": self.body["currency"]});
        match self.ask(visit, token, &question).await {
            Err(failure) if failure.has_code("key_reused") => match self.ask(visit, token, &self.body).await {
                Ok(order) => Fate::Placed(order),
                // Another attempt under this key was placed.
                Err(failure) if failure.has_code("key_reused") => Fate::NotPlaced,
                Err(_) => Fate::Unknown,
            },
            Err(failure) if failure.has_code("price_changed") => Fate::NotPlaced,
            Err(Failure::Refused { status: 422, .. }) => Fate::NotPlaced,
            _ => Fate::Unknown,
        }
    }

    async fn ask(&self, visit: &Visit, token: Option<&str>, body: &Value) -> Result<Value, Failure> {
        // order-svc counts orders by client, and would take all for the console's.
        let client = visit.client();
        let idempotency_key = Some(self.key.as_str());
        let sent = Sent { token, body: Some(body), idempotency_key, client, ..Sent::default() };
        visit.state.services.ask(Service::Orders, Method::POST, "/api/v1/orders", sent).await
    }

    /// With whose token it is sent, if with any; none if whoever asks is not the one who sent it.
    fn token<'a>(&self, visit: &'a Visit) -> Option<Option<&'a str>> {
        let customer = self.body["customer"]["id"].as_str()?;
        match &visit.session {
            _ if customer.starts_with(GUEST) => Some(None),
            Some(session) if session.sub == customer => Some(visit.token()),
            _ => None,
        }
    }
}

/// What this browser has sent, the first first.
pub async fn all(pool: &Pool, secret: &str) -> anyhow::Result<Vec<Attempt>> {
    let mut conn = pool.get().await?;
    let found: Vec<Vec<u8>> = All { checkout: &secrets::hash(secret) }.load(&mut *conn).await?;
    let read = |sealed: Vec<u8>| {
        let opened = secrets::open(secret, &sealed).context("an order that was sent can't be opened")?;
        Ok(serde_json::from_slice(&opened)?)
    };
    found.into_iter().map(read).collect()
}

prepared! {
    struct Note<'a> {
        id: &'a [u8] as Bytea,
        checkout: &'a [u8] as Bytea,
        sealed: &'a [u8] as Bytea,
        expires_at: &'a chrono::DateTime<chrono::Utc> as Timestamptz,
    };
    "insert into checkouts (id, checkout, sealed, expires_at) values (?, ?, ?, ?) on conflict (id) do nothing"
}
prepared! {
    struct Forget<'a> { id: &'a [u8] as Bytea };
    "delete from checkouts where id = ?"
}
prepared! {
    struct All<'a> { checkout: &'a [u8] as Bytea } -> Bytea;
    "select sealed from checkouts where checkout = ? and expires_at > now() order by sent_at limit 8"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_basket_is_one_order_until_its_browser_is_led_to_it() {
        let (secret, basket) = (secrets::random(), Basket::parse("TEA*1").unwrap());
        assert_eq!(key(&secret, &basket), key(&secret, &basket));
        assert_ne!(key(&secret, &basket), key(&secret, &Basket::parse("TEA*2").unwrap()));
        assert_ne!(key(&secret, &basket), key(&secrets::random(), &basket));
        assert!(secrets::is_like_random(&key(&secret, &basket)) && !key(&secret, &basket).contains(&secret));
    }
}
