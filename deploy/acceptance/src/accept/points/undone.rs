//! Declined, out of stock, cancelled before and after confirm: the right reason, no money kept, the goods back.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use quadrille::api::{OrderDraft, PATIENCE, number};
use serde_json::Value;
use tokio::time::sleep;

use crate::shop::Shop;

const SKU: &str = "ACCEPT-UNDONE";
const ON_HAND: u32 = 5;

pub(in crate::accept) async fn try_out(shop: &Shop) -> anyhow::Result<String> {
    let api = &shop.api;
    api.add_product(SKU, ON_HAND).await?;
    let wish = OrderDraft { sku: SKU, ..OrderDraft::default() };
    let declined = api.place(&OrderDraft { payment_method: "pm_card_chargeDeclined", ..wish }).await?;
    let short = api.place(&OrderDraft { quantity: ON_HAND + 1, ..wish }).await?;
    let before = cancelled_before_confirm(shop, &wish).await?;
    let after = api.place(&wish).await?;
    api.wait_for(&after, "confirmed").await?;
    api.cancel(&after).await?;
    for (order, reason) in
        [(&declined, "payment_declined"), (&short, "out_of_stock"), (&before, "customer"), (&after, "customer")]
    {
        let ended = api.wait_for(order, "cancelled").await?;
        if ended["reason"] != reason {
            bail!("order {order} was cancelled with reason {}, not {reason}", ended["reason"]);
        }
    }
    let effects = money_is_back(shop, &[&declined, &short, &before, &after]).await?;
    let product = goods_are_back(shop).await?;
    Ok(format!(
        "declined, out of stock, cancelled before and after confirm; {effects} effects in the gateway's journal net to 0; \
         on hand {} of {ON_HAND}, held {}",
        product["on_hand"], product["held"]
    ))
}

/// The gateway is held still, so that the order surely isn't confirmed when it is cancelled, with the call in flight.
async fn cancelled_before_confirm(shop: &Shop, wish: &OrderDraft<'_>) -> anyhow::Result<String> {
    let gateway = shop.process("sandbox-gateway")?;
    gateway.signal(Signal::SIGSTOP);
    let cancelled = async {
        let order = shop.api.place(wish).await?;
        shop.api.cancel(&order).await?;
        anyhow::Ok(order)
    }
    .await;
    gateway.signal(Signal::SIGCONT);
    cancelled
}

async fn money_is_back(shop: &Shop, orders: &[&String]) -> anyhow::Result<usize> {
    let journal = shop.api.journal().await?;
    let mut effects = 0;
    for (order, of_order) in orders.iter().filter_map(|order| Some((order, journal.get(*order)?))) {
        let sum = |operation: &str| of_order.get(operation).map_or(0, |(amount, _)| *amount);
        let held = sum("authorise") - sum("capture") - sum("void");
        let kept = sum("capture") - sum("refund");
        if held != 0 || kept != 0 {
            bail!("order {order} ended, but the gateway's journal says {of_order:?}");
        }
        effects += of_order.values().map(|(_, count)| count).sum::<usize>();
    }
    Ok(effects)
}

async fn goods_are_back(shop: &Shop) -> anyhow::Result<Value> {
    let until = Instant::now() + PATIENCE;
    loop {
        let product = shop.api.product(SKU).await.context("the product")?;
        let (on_hand, held) = (number(&product, "on_hand")?, number(&product, "held")?);
        if (on_hand, held) == (i64::from(ON_HAND), 0) {
            return Ok(product);
        }
        if Instant::now() >= until {
            bail!("the goods are not back: {on_hand} on hand, {held} held");
        }
        sleep(Duration::from_millis(20)).await;
    }
}
