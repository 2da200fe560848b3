use std::{future::Future, pin::Pin};

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::LOOK_AGAIN;
use crate::api::{Api, PATIENCE, TEA};
use crate::service::Service;

type Acting<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

pub(super) struct Scene {
    pub name: &'static str,
    pub about: &'static str,
    pub payment_method: &'static str,
    pub quantity: u32,
    /// What people do once the order is placed, so that it comes to its end.
    pub act: for<'a> fn(&'a Api, &'a str) -> Acting<'a>,
    /// The type of the last event.
    pub last: &'static str,
    pub moral: &'static str,
}

const PLAIN: Scene = Scene {
    name: "all goes well",
    about: "A good card, goods on the shelf, the address from the customer's profile; staff packs and sends.",
    payment_method: "pm_card_visa",
    quantity: 2,
    act: |api, order| Box::pin(delivered(api, order)),
    last: "order.completed",
    moral: "Nobody coordinated this: each service heard what it waits for, and said what it did.",
};

pub(super) const SCENES: [Scene; 7] = [
    PLAIN,
    Scene {
        name: "declined",
        about: "The bank says no, for good.",
        payment_method: "pm_card_chargeDeclined",
        act: |api, order| Box::pin(ended(api, order, "cancelled")),
        last: "order.cancelled",
        moral: "The goods were given back before the order ended; no money moved.",
        ..PLAIN
    },
    Scene {
        name: "3-D Secure",
        about: "The bank wants to see the customer, who confirms it; the gateway tells by webhook.",
        payment_method: "pm_card_authenticationRequired",
        act: |api, order| Box::pin(authenticated(api, order)),
        last: "shipment.created",
        moral: "The hold on the goods bounds how long the customer may take.",
        ..PLAIN
    },
    Scene {
        name: "out of stock",
        about: "More is ordered than there is.",
        quantity: 10_000,
        act: |api, order| Box::pin(ended(api, order, "cancelled")),
        last: "order.cancelled",
        moral: "Payment acts on stock.reserved only: there was no money to undo.",
        ..PLAIN
    },
    Scene {
        name: "cancelled after it was paid",
        about: "The customer changes their mind when the money is taken and the parcel waits.",
        act: |api, order| Box::pin(cancelled(api, order)),
        last: "order.cancelled",
        moral: "Goods first, money follows the goods: the refund waits for stock.restocked.",
        ..PLAIN
    },
    Scene {
        name: "a late payment",
        about: "The bank takes its time, and the customer cancels meanwhile. Then the bank says yes.",
        payment_method: "pm_sandbox_slow",
        act: |api, order| Box::pin(cancelled_too_early(api, order)),
        last: "order.cancelled",
        moral: "An order that is ending is never revived: what the bank agreed to late is let go of.",
        ..PLAIN
    },
    Scene {
        name: "returned",
        about: "It was delivered, and a piece of it comes back.",
        act: |api, order| Box::pin(returned(api, order)),
        last: "payment.refunded",
        moral: "Delivered stays true; the piece is on the shelf again and its price went back.",
        ..PLAIN
    },
];

async fn ended(api: &Api, order: &str, status: &str) -> anyhow::Result<()> {
    api.wait_for(order, status).await.map(drop)
}

async fn delivered(api: &Api, order: &str) -> anyhow::Result<()> {
    let shipment = api.shipment_of(order).await?;
    api.ship(&shipment, "pack", &json!({})).await?;
    api.ship(&shipment, "dispatch", &json!({"carrier": "An Post", "tracking_number": "CE123456789IE"})).await?;
    api.ship(&shipment, "deliver", &json!({})).await?;
    ended(api, order, "completed").await
}

async fn returned(api: &Api, order: &str) -> anyhow::Result<()> {
    delivered(api, order).await?;
    let shipment = api.shipment_of(order).await?;
    api.ship(&shipment, "return", &json!({"lines": [{"sku": TEA, "quantity": 1}]})).await
}

async fn cancelled(api: &Api, order: &str) -> anyhow::Result<()> {
    api.shipment_of(order).await?; // which is there once the money is taken
    api.cancel(order).await?;
    ended(api, order, "cancelled").await
}

/// Cancelled while the bank is being asked, whose word is let go of when it comes.
async fn cancelled_too_early(api: &Api, order: &str) -> anyhow::Result<()> {
    until_bank_is_asked(api, order).await?;
    api.cancel(order).await?;
    ended(api, order, "cancelled").await?;
    let moved = api.effects_on(order).await?;
    let let_go = matches!(&moved[..], [(yes, of), (no, same)] if yes == "authorise" && no == "void" && of == same);
    ensure!(let_go, "the gateway was to authorise and to void the same amount, but its journal says {moved:?}");
    Ok(())
}

/// What the customer's bank would do in its own window.
async fn authenticated(api: &Api, order: &str) -> anyhow::Result<()> {
    until_order(api, order, |order| order["payment"] == "action_required").await?;
    let intent = intent_of(api, order).await?.context("the payment has no intent")?;
    let path = format!("/sandbox/payment_intents/{intent}/authenticate");
    let (status, answer) =
        api.ask(Method::POST, Service::SandboxGateway, &path, Some(&json!({"outcome": "succeed"}))).await?;
    ensure!(status.is_success(), "the gateway answered {status}: {answer}");
    ended(api, order, "confirmed").await
}

/// The gateway's name for the order's payment, once it has one.
async fn intent_of(api: &Api, order: &str) -> anyhow::Result<Option<String>> {
    let payments = api.all(Service::PaymentSvc, &format!("/api/v1/payments?order_id={order}&")).await?;
    let intent = payments.first().and_then(|payment| payment["gateway"]["payment_intent"].as_str());
    Ok(intent.map(str::to_owned))
}

async fn until_bank_is_asked(api: &Api, order: &str) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let intent = intent_of(api, order).await?;
        if let Some(intent) = &intent
            && api.intent_status(intent).await? == "processing"
        {
            return Ok(());
        }
        ensure!(Instant::now() < until, "the bank was not asked for order {order}; its intent is {intent:?}");
        sleep(LOOK_AGAIN / 10).await;
    }
}

async fn until_order(api: &Api, order: &str, is: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let now = api.order(order).await?;
        if is(&now) {
            return Ok(());
        }
        ensure!(Instant::now() < until, "order {order} did not get there; it is {now}");
        sleep(LOOK_AGAIN / 10).await;
    }
}
