//! Orders of every kind, each followed to its end by people who ask again whenever somebody is away.

use std::time::Duration;

use anyhow::{Context, bail};
use quadrille::api::patience::answered;
use quadrille::api::{Api, OrderDraft, items, text};
use quadrille::service::Service;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::ledger::Ledger;
use crate::compose_test::buyer::{send_out, step};

/// What is ordered, at 5.00 EUR each.
pub(super) const SKU: &str = "CHAOS-PLENTY";
pub(super) const ON_HAND: u32 = 10_000_000;
/// Of this there are never enough.
pub(super) const SHORT_SKU: &str = "CHAOS-SHORT";
pub(super) const SHORT_ON_HAND: u32 = 2;
const PRICE: i64 = 500;
/// What staff give back of an order.
const GIVEN_BACK: i64 = 100;
const CUSTOMER: &str = "c-chaos";

/// How an order goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Plan {
    /// Confirmed and paid; its parcel waits.
    Confirm,
    /// Dispatched and delivered, too.
    Complete,
    /// In two parcels.
    Split,
    /// Its address is changed before.
    Redirect,
    /// A piece comes back after it was delivered.
    Return,
    /// Staff give some money back.
    Refund,
    /// Its customer shows the bank that it is them.
    Authenticate,
    /// The customer cancels, at any moment.
    Cancel,
    /// The card is refused.
    Decline,
    /// There are too few.
    Short,
}

impl Plan {
    pub const ALL: [Self; 10] = [
        Self::Confirm,
        Self::Complete,
        Self::Split,
        Self::Redirect,
        Self::Return,
        Self::Refund,
        Self::Authenticate,
        Self::Cancel,
        Self::Decline,
        Self::Short,
    ];

    /// Status and reason at the end.
    pub const fn end(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Confirm | Self::Refund | Self::Authenticate => ("confirmed", None),
            Self::Complete | Self::Split | Self::Redirect | Self::Return => ("completed", None),
            Self::Cancel => ("cancelled", Some("customer")),
            Self::Decline => ("cancelled", Some("payment_declined")),
            Self::Short => ("cancelled", Some("out_of_stock")),
        }
    }

    pub const fn is_sold(self) -> bool {
        !matches!(self, Self::Cancel | Self::Decline | Self::Short)
    }

    /// What is said of its payment at the end, where that says anything.
    const fn payment(self) -> Option<&'static str> {
        match self {
            Self::Return | Self::Refund => Some("refunded"),
            _ if self.is_sold() => Some("captured"),
            _ => None,
        }
    }

    /// What the shop keeps of an order of so many pieces, in cents.
    pub fn kept(self, quantity: u32) -> i64 {
        let all = PRICE * i64::from(quantity);
        match self {
            Self::Return => all - PRICE,
            Self::Refund => all - GIVEN_BACK,
            _ if self.is_sold() => all,
            _ => 0,
        }
    }

    /// How many pieces have left the shelf for good.
    pub fn gone(self, quantity: u32) -> u32 {
        match self {
            Self::Return => quantity - 1,
            _ if self.is_sold() => quantity,
            _ => 0,
        }
    }
}

/// Orders what the plan asks for and follows it until it has ended. The outcome is in the ledger.
pub(super) async fn live(api: Api, ledger: Ledger, number: usize, plan: Plan, quantity: u32, wait: Duration) {
    let outcome = life(&api, &ledger, number, plan, quantity, wait).await;
    ledger.ended(number, outcome);
}

async fn life(
    api: &Api,
    ledger: &Ledger,
    number: usize,
    plan: Plan,
    quantity: u32,
    wait: Duration,
) -> anyhow::Result<()> {
    let wish = OrderDraft {
        sku: if plan == Plan::Short { SHORT_SKU } else { SKU },
        quantity: if plan == Plan::Short { SHORT_ON_HAND + quantity } else { quantity },
        payment_method: match plan {
            Plan::Decline => "pm_card_chargeDeclined",
            Plan::Authenticate => "pm_card_authenticationRequired",
            _ => "pm_card_visa",
        },
        customer: CUSTOMER,
        ..OrderDraft::default()
    };
    let order = api.place(&wish).await?;
    ledger.accepted(number, &order);
    match plan {
        Plan::Confirm | Plan::Decline | Plan::Short => {}
        Plan::Complete => send_out(api, &order).await?,
        Plan::Split => split(api, &order).await?,
        Plan::Redirect => {
            let address = json!({"line1": "2 Quay St", "city": "Cork", "postal_code": "T12", "country": "IE"});
            let path = format!("/api/v1/orders/{order}/delivery-address");
            api.surely(Method::PUT, Service::OrderSvc, &path, Some(&address)).await?;
            send_out(api, &order).await?;
        }
        Plan::Return => {
            send_out(api, &order).await?;
            let parcel = first(api, Service::StockSvc, "shipments", &order).await?;
            let lines = json!({"lines": [{"sku": SKU, "quantity": 1}]});
            once(api, Service::StockSvc, &format!("/api/v1/shipments/{}/return", text(&parcel, "id")?), &lines).await?;
        }
        Plan::Refund => {
            until_order(api, &order, plan, |shown| shown["payment"] == "captured").await?;
            let payment = first(api, Service::PaymentSvc, "payments", &order).await?;
            let body = json!({"amount": {"amount": GIVEN_BACK, "currency": "EUR"}, "reason": "a dented tin"});
            once(api, Service::PaymentSvc, &format!("/api/v1/payments/{}/refunds", text(&payment, "id")?), &body)
                .await?;
        }
        Plan::Authenticate => authenticate(api, &order, plan).await?,
        Plan::Cancel => {
            sleep(wait).await;
            let path = format!("/api/v1/orders/{order}/cancel");
            api.surely(Method::POST, Service::OrderSvc, &path, Some(&json!({}))).await?;
        }
    }
    let (status, reason) = plan.end();
    let ended = |shown: &Value| {
        let paid = plan.payment().is_none_or(|payment| shown["payment"] == payment);
        shown["status"] == status && shown["reason"] == json!(reason) && paid
    };
    until_order(api, &order, plan, ended).await
}

/// Fails at once if the order ends otherwise than it should.
async fn until_order(api: &Api, order: &str, plan: Plan, is: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
    let path = format!("/api/v1/orders/{order}");
    let mut patience = api.patience("waiting for an order");
    loop {
        let shown = api.surely(Method::GET, Service::OrderSvc, &path, None).await?;
        if is(&shown) {
            return Ok(());
        }
        let (status, reason) = plan.end();
        let has_ended = matches!(shown["status"].as_str(), Some("cancelled" | "completed"));
        if has_ended && (shown["status"] != status || shown["reason"] != json!(reason)) {
            bail!("it ended {} ({}), its payment {}", shown["status"], shown["reason"], shown["payment"]);
        }
        let (now, payment) = (&shown["status"], &shown["payment"]);
        patience.again(format!("it is {now}, its payment {payment}, and waits for {}", shown["waiting_for"])).await?;
    }
}

async fn listed(api: &Api, service: Service, list: &str, order: &str) -> anyhow::Result<Vec<Value>> {
    items(&api.surely(Method::GET, service, &format!("/api/v1/{list}?order_id={order}"), None).await?)
}

async fn first(api: &Api, service: Service, list: &str, order: &str) -> anyhow::Result<Value> {
    let mut patience = api.patience(format!("waiting for {list}"));
    loop {
        match listed(api, service, list, order).await?.into_iter().next() {
            Some(found) => return Ok(found),
            None => patience.again(format!("order {order} has none")).await?,
        }
    }
}

/// Has something done once, however often it has to be asked: under a key.
async fn once(api: &Api, service: Service, path: &str, body: &Value) -> anyhow::Result<()> {
    let key = format!("chaos-{:016x}", rand::random::<u64>());
    let mut patience = api.patience(path);
    loop {
        let request = api.request(Method::POST, service, path).await?.header("Idempotency-Key", &key).json(body);
        let asked = async {
            let answer = request.send().await?;
            let (status, said): (StatusCode, _) = (answer.status(), answer.text().await?);
            anyhow::Ok((status, serde_json::from_str(&said).unwrap_or(Value::String(said))))
        };
        match answered(asked.await).with_context(|| format!("POST {path}"))? {
            Ok(_) => return Ok(()),
            Err(why) => patience.again(why).await?,
        }
    }
}

/// One piece goes in a parcel of its own: two parcels come in the place of the one. Asked again after an answer that was lost it is refused, and the parcels tell.
async fn split(api: &Api, order: &str) -> anyhow::Result<()> {
    let parcel = text(&first(api, Service::StockSvc, "shipments", order).await?, "id")?;
    let body = json!({"lines": [{"sku": SKU, "quantity": 1}]});
    let (path, mut patience) = (format!("/api/v1/shipments/{parcel}/split"), api.patience("splitting a parcel"));
    let parcels = loop {
        let mut parcels = listed(api, Service::StockSvc, "shipments", order).await?;
        parcels.retain(|parcel| parcel["status"] != "cancelled");
        if parcels.len() > 1 {
            break parcels;
        }
        let asked = api.ask(Method::POST, Service::StockSvc, &path, Some(&body)).await;
        let why = asked.map_or_else(|error| format!("{error:#}"), |(status, said)| format!("{status} {said}"));
        patience.again(why).await?;
    };
    let carrier = json!({"carrier": "An Post", "tracking_number": "CE123456789IE"});
    for parcel in &parcels {
        let parcel = text(parcel, "id")?;
        step(api, &parcel, "dispatch", &carrier, &["dispatched", "delivered"]).await?;
        step(api, &parcel, "deliver", &json!({}), &["delivered"]).await?;
    }
    Ok(())
}

/// What the customer does in the bank's own window, until the shop has heard of it.
async fn authenticate(api: &Api, order: &str, plan: Plan) -> anyhow::Result<()> {
    until_order(api, order, plan, |shown| matches!(shown["payment"].as_str(), Some("action_required" | "captured")))
        .await?;
    let mut patience = api.patience("authenticating");
    loop {
        let payment = first(api, Service::PaymentSvc, "payments", order).await?;
        if let Some(intent) = payment["gateway"]["payment_intent"].as_str() {
            let path = format!("/sandbox/payment_intents/{intent}/authenticate");
            let succeed = json!({"outcome": "succeed"});
            let asked = api.ask(Method::POST, Service::SandboxGateway, &path, Some(&succeed)).await;
            let known = api.intent_status(intent).await;
            if known.as_ref().is_ok_and(|status| status != "requires_action") {
                return Ok(());
            }
            patience.again(format!("{asked:?}; it is {known:?}")).await?;
        } else {
            patience.again(format!("the payment of {order} has no intent")).await?;
        }
    }
}
