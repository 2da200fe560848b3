//! One order from its placing to its end, by a client that asks again whenever a service is away.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use quadrille::{
    api::{Api, OrderDraft, items, text},
    service::Service,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::book::{Book, Plan};

/// What is ordered, at 5.00 EUR each.
pub(super) const SKU: &str = "COMPOSE-PLENTY";
pub(super) const ON_HAND: u32 = 1_000_000;
/// Of this there are never enough.
pub(super) const SHORT_SKU: &str = "COMPOSE-SHORT";
pub(super) const SHORT_ON_HAND: u32 = 2;
/// All orders of the test are this customer's.
pub(super) const CUSTOMER: &str = "c-compose";
/// Longer than anything is away in this test.
const PATIENCE: Duration = Duration::from_secs(300);

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
            surely(api, Method::POST, Service::OrderSvc, &path, Some(&json!({}))).await?;
        }
        Plan::Complete => send_out(api, &order).await?,
        Plan::Confirm | Plan::Decline | Plan::Short => {}
    }
    until_ended(api, &order, plan).await
}

async fn place(api: &Api, plan: Plan, quantity: u32) -> anyhow::Result<String> {
    let key = format!("compose-{:016x}", rand::random::<u64>());
    let wish = OrderDraft {
        sku: if plan == Plan::Short { SHORT_SKU } else { SKU },
        quantity: if plan == Plan::Short { SHORT_ON_HAND + quantity } else { quantity },
        payment_method: if plan == Plan::Decline { "pm_card_chargeDeclined" } else { "pm_card_visa" },
        customer: CUSTOMER,
    };
    let mut patience = Patience::new("placing an order");
    loop {
        match answered(api.post_order(&wish, &key).await).context("placing an order")? {
            Ok(order) => return text(&order, "id"),
            Err(why) => patience.again(why).await?,
        }
    }
}

/// Dispatches the order's parcel and delivers it.
async fn send_out(api: &Api, order: &str) -> anyhow::Result<()> {
    let mut patience = Patience::new("waiting for a parcel");
    let path = format!("/api/v1/shipments?order_id={order}");
    let shipment = loop {
        let page = surely(api, Method::GET, Service::StockSvc, &path, None).await?;
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
    let mut patience = Patience::new("moving a parcel");
    loop {
        let answer = api.ask(Method::POST, Service::StockSvc, &format!("{path}/{step}"), Some(body)).await;
        match answered(answer).with_context(|| format!("{step} of {path}"))? {
            Ok(_) => return Ok(()),
            Err(why) => {
                let shown = surely(api, Method::GET, Service::StockSvc, &path, None).await?;
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
    let mut patience = Patience::new("waiting for an order's end");
    loop {
        let shown = surely(api, Method::GET, Service::OrderSvc, &path, None).await?;
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

/// Asks until there is an answer.
async fn surely(
    api: &Api,
    method: Method,
    service: Service,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let mut patience = Patience::new(path);
    loop {
        match answered(api.ask(method.clone(), service, path, body).await)
            .with_context(|| format!("{method} {path}"))?
        {
            Ok(value) => return Ok(value),
            Err(why) => patience.again(why).await?,
        }
    }
}

/// A good answer, or why to ask again.
///
/// # Errors
/// It is refused for good.
fn answered(asked: anyhow::Result<(StatusCode, Value)>) -> anyhow::Result<Result<Value, String>> {
    match asked {
        Ok((status, value)) if status.is_success() => Ok(Ok(value)),
        Ok((status, value)) if is_passing(status) => Ok(Err(format!("{status}: {value}"))),
        Ok((status, value)) => bail!("answered {status}: {value}"),
        Err(error) => Ok(Err(format!("{error:#}"))),
    }
}

fn is_passing(status: StatusCode) -> bool {
    const PASSING: [StatusCode; 3] = [StatusCode::CONFLICT, StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || PASSING.contains(&status)
}

/// Waits longer from one try to the next, and gives up in the end.
struct Patience {
    what: String,
    until: Instant,
    wait: Duration,
}

impl Patience {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), until: Instant::now() + PATIENCE, wait: Duration::from_millis(50) }
    }

    async fn again(&mut self, why: String) -> anyhow::Result<()> {
        if Instant::now() >= self.until {
            bail!("{}: given up after {} s; last: {why}", self.what, PATIENCE.as_secs());
        }
        // no two of many clients in step
        sleep(self.wait.mul_f64(0.5 + rand::random::<f64>())).await;
        self.wait = (self.wait * 3 / 2).min(Duration::from_secs(2));
        Ok(())
    }
}
