//! One order from its placing to its end, by a client that asks again whenever a service is away.

use anyhow::{Context, bail};
use quadrille::api::patience::answered;
use quadrille::api::{Api, OrderDraft, items, text};
use quadrille::service::Service;
use reqwest::Method;
use serde_json::{Value, json};

use super::book::{Book, Plan};

/// What is ordered, at 5.00 EUR each.
pub(super) const SKU: &str = "COMPOSE-PLENTY";
pub(super) const ON_HAND: u32 = 1_000_000;
/// Of this there are never enough.
pub(super) const SHORT_SKU: &str = "COMPOSE-SHORT";
pub(super) const SHORT_ON_HAND: u32 = 2;
/// All orders of the test are this customer's.
pub(super) const CUSTOMER: &str = "c-compose";

/// Orders what the plan asks for and follows it until it has ended. The outcome is in the book.
pub(super) async fn buy(api: Api, book: Book, number: usize, plan: Plan, quantity: u32) {
    let outcome = life(&api, &book, number, plan, quantity).await;
    book.ended(number, outcome);
}

async fn life(api: &Api, book: &Book, number: usize, plan: Plan, quantity: u32) -> anyhow::Result<()> {
    let order = place(api, plan, quantity).await?;
    book.accepted(number, &order);
    match plan {
        Plan::Cancel => {
            let path = format!("/api/v1/orders/{order}/cancel");
            api.surely(Method::POST, Service::OrderSvc, &path, Some(&json!({}))).await?;
        }
        Plan::Complete => send_out(api, &order).await?,
        Plan::Confirm | Plan::Decline | Plan::Short => {}
    }
    until_ended(api, &order, plan).await
}

async fn place(api: &Api, plan: Plan, quantity: u32) -> anyhow::Result<String> {
    let wish = OrderDraft {
        sku: if plan == Plan::Short { SHORT_SKU } else { SKU },
        quantity: if plan == Plan::Short { SHORT_ON_HAND + quantity } else { quantity },
        payment_method: if plan == Plan::Decline { "pm_card_chargeDeclined" } else { "pm_card_visa" },
        customer: CUSTOMER,
        ..OrderDraft::default()
    };
    api.place(&wish).await
}

/// Dispatches the order's parcel and delivers it.
async fn send_out(api: &Api, order: &str) -> anyhow::Result<()> {
    let mut patience = api.patience("waiting for a parcel");
    let path = format!("/api/v1/shipments?order_id={order}");
    let shipment = loop {
        let page = api.surely(Method::GET, Service::StockSvc, &path, None).await?;
        match items(&page)?.first() {
            Some(shipment) => break text(shipment, "id")?,
            None => patience.again(format!("order {order} has none")).await?,
        }
    };
    let carrier = json!({"carrier": "An Post", "tracking_number": "CE123456789IE"});
    step(api, &shipment, "dispatch", &carrier, &["dispatched", "delivered"]).await?;
    step(api, &shipment, "deliver", &json!({}), &["delivered"]).await
}

/// Asked again after an answer that was lost, the step is refused, for it was taken: then the parcel's status tells.
async fn step(api: &Api, shipment: &str, step: &str, body: &Value, then: &[&str]) -> anyhow::Result<()> {
    let path = format!("/api/v1/shipments/{shipment}");
    let mut patience = api.patience("moving a parcel");
    loop {
        let answer = api.ask(Method::POST, Service::StockSvc, &format!("{path}/{step}"), Some(body)).await;
        match answered(answer).with_context(|| format!("{step} of {path}"))? {
            Ok(_) => return Ok(()),
            Err(why) => {
                let shown = api.surely(Method::GET, Service::StockSvc, &path, None).await?;
                if then.iter().any(|status| shown["status"] == *status) {
                    return Ok(());
                }
                patience.again(why).await?;
            }
        }
    }
}

async fn until_ended(api: &Api, order: &str, plan: Plan) -> anyhow::Result<()> {
    let (status, reason) = plan.end();
    let path = format!("/api/v1/orders/{order}");
    let mut patience = api.patience("waiting for an order's end");
    loop {
        let shown = api.surely(Method::GET, Service::OrderSvc, &path, None).await?;
        let paid = !plan.is_sold() || shown["payment"] == "captured";
        if shown["status"] == status && shown["reason"] == json!(reason) && paid {
            return Ok(());
        }
        if matches!(shown["status"].as_str(), Some("cancelled" | "completed")) {
            bail!("order {order} ended {} ({}) instead of {status} ({reason:?})", shown["status"], shown["reason"]);
        }
        patience.again(format!("order {order} is {} and waits for {}", shown["status"], shown["waiting_for"])).await?;
    }
}
