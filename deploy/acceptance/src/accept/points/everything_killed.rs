//! 50 orders placed without payment-svc, SIGKILL of everything at once, up again with all: all confirmed, charged once.

use anyhow::bail;

use crate::shop::Shop;

const ORDERS: usize = 50;

pub(in crate::accept) async fn try_out(shop: &mut Shop) -> anyhow::Result<String> {
    shop.stop().await?;
    shop.start_again(&["--without", "payment-svc"]).await?;
    let ids = shop.api.place_many(ORDERS, 8).await?;
    for id in &ids {
        let order = shop.api.order(id).await?;
        if order["status"] != "pending" {
            bail!("without payment-svc order {id} is {}", order["status"]);
        }
    }
    let killed = shop.kill_everything().await?;
    shop.start_again(&[]).await?;
    shop.api.wait_for_all(&ids, "confirmed").await?;
    super::must_be_charged_once(&shop.api, &ids).await?;
    Ok(format!("{killed} processes killed with {ORDERS} orders open; all confirmed after the start, one charge each"))
}
