//! `quadrille audit` finds nothing broken after all that, and names the rule and the order for each thing that is broken
//! by hand: a refund doubled, a hold deleted, a movement altered, an outbox row removed before it was published, a loss that
//! nobody refunds, a mail row duplicated, an event of a product that is nowhere.

use std::time::Instant;

use anyhow::{Context, ensure};
use diesel_async::SimpleAsyncConnection;
use quadrille::addresses::Addresses;
use quadrille::api::{OrderDraft, number};
use quadrille::audit::Audit;
use quadrille::service::Service;
use reqwest::Method;
use serde_json::json;
use service_kit::pool;

use crate::{accept::points::until, shop::Shop};

const SKU: &str = "ACCEPT-AUDIT";

/// Something that is broken by hand, and mended again.
struct Sabotage {
    name: &'static str,
    of: Service,
    /// What must be named: `order 0199...`, `SKU TEA`.
    subject: String,
    /// One of these rules must be found broken.
    rules: &'static [u8],
    breaks: String,
    /// The order whose address is changed while it is broken.
    redirected: Option<String>,
    mends: String,
}

pub(in crate::accept) async fn try_out(shop: &Shop) -> anyhow::Result<String> {
    let addresses = shop.addresses()?;
    let began = Instant::now();
    let clean = holds_in_time(&addresses).await?;
    let took = began.elapsed().as_secs_f64();
    shop.api.add_product(SKU, 100).await?;
    let mut noticed = Vec::new();
    for sabotage in sabotages(shop).await? {
        sabotage.is_noticed(shop, &addresses).await.with_context(|| sabotage.name)?;
        noticed.push(sabotage.name);
    }
    let again = holds_in_time(&addresses).await?;
    let events = again.rules.iter().find(|rule| rule.number == 7).map(|rule| rule.figures.clone()).unwrap_or_default();
    Ok(format!(
        "{} rules hold ({events}; read {} times in {took:.1} s); noticed, with rule and order: {}",
        clean.rules.len(),
        clean.looks,
        noticed.join(", ")
    ))
}

impl Sabotage {
    async fn redirect(&self, shop: &Shop) -> anyhow::Result<()> {
        let Some(order) = &self.redirected else { return Ok(()) };
        let address = json!({"line1": "2 Quay St", "city": "Cork", "postal_code": "T12", "country": "IE"});
        let path = format!("/api/v1/orders/{order}/delivery-address");
        let (status, answer) = shop.api.ask(Method::PUT, Service::OrderSvc, &path, Some(&address)).await?;
        ensure!(status.is_success(), "a new address was answered {status}: {answer}");
        Ok(())
    }

    async fn is_noticed(&self, shop: &Shop, addresses: &Addresses) -> anyhow::Result<()> {
        let address = addresses.services.get(self.of.name()).and_then(|address| address.database.clone());
        let mut conn = pool::connect(&address.context("no database")?).await?;
        holds_in_time(addresses).await?;
        conn.batch_execute(&self.breaks).await.context("breaking it")?;
        let audit = match self.redirect(shop).await {
            Ok(()) => look(addresses).await,
            Err(error) => Err(error),
        };
        conn.batch_execute(&self.mends).await.context("mending it")?;
        let audit = audit?;
        let findings = audit.rules.iter().flat_map(|rule| &rule.broken);
        let subject = &self.subject;
        let named = |rule: u8, of: &str| self.rules.contains(&rule) && of == subject;
        ensure!(!audit.holds, "nothing was found");
        ensure!(
            findings.clone().any(|finding| named(finding.rule, &finding.of)),
            "one of the rules {:?} should be named for {subject}: {:?}",
            self.rules,
            findings.collect::<Vec<_>>()
        );
        Ok(())
    }
}

/// Orders that have come to where each thing can be broken.
async fn sabotages(shop: &Shop) -> anyhow::Result<Vec<Sabotage>> {
    let (api, wish) = (&shop.api, OrderDraft { sku: SKU, ..OrderDraft::default() });
    let refunded = api.place(&wish).await?;
    api.wait_for(&refunded, "confirmed").await?;
    captured(shop, &refunded).await?;
    api.cancel(&refunded).await?;
    api.wait_for(&refunded, "cancelled").await?;
    let sold = api.place(&wish).await?;
    api.wait_for(&sold, "confirmed").await?;
    captured(shop, &sold).await?;
    let parcel = api.shipment_of(&sold).await?;
    let held = held_order(shop).await?;
    Ok(vec![
        refund_doubled(refunded),
        hold_deleted(held),
        movement_altered(&sold),
        row_removed(&sold),
        loss_unheard(&sold, &parcel),
        mail_doubled(sold),
        product_event_lost(),
    ])
}

fn refund_doubled(order: String) -> Sabotage {
    let same = format!("payment_id = (select payment_id from payments where order_id = '{order}')");
    Sabotage {
        name: "a refund doubled",
        of: Service::PaymentSvc,
        rules: &[1],
        breaks: format!(
            "insert into refunds (refund_id, payment_id, amount, state)
                select '00000000-0000-0000-0000-00000000000a', payment_id, amount, state from refunds where {same}"
        ),
        redirected: None,
        mends: "delete from refunds where refund_id = '00000000-0000-0000-0000-00000000000a'".to_owned(),
        subject: format!("order {order}"),
    }
}

fn hold_deleted(order: String) -> Sabotage {
    Sabotage {
        name: "a hold deleted",
        of: Service::StockSvc,
        rules: &[5],
        breaks: format!(
            "create table deleted as select * from orders where order_id = '{order}';
             delete from orders where order_id = '{order}'"
        ),
        redirected: None,
        mends: "insert into orders select * from deleted; drop table deleted".to_owned(),
        subject: format!("order {order}"),
    }
}

fn movement_altered(order: &str) -> Sabotage {
    let change = |by: i32| format!("update movements set quantity = quantity + {by} where order_id = '{order}'");
    Sabotage {
        name: "a movement altered",
        of: Service::StockSvc,
        rules: &[4],
        breaks: change(-1),
        redirected: None,
        mends: change(1),
        subject: format!("order {order}"),
    }
}

/// Whatever this order says is gone from the outbox before a relay sees it.
fn row_removed(order: &str) -> Sabotage {
    Sabotage {
        name: "an outbox row removed",
        of: Service::OrderSvc,
        rules: &[7],
        breaks: format!(
            "create function remove() returns trigger language plpgsql as
                'begin delete from outbox where id = new.id; return null; end';
             create trigger remove after insert on outbox for each row when (new.key = '{order}') execute function remove()"
        ),
        redirected: Some(order.to_owned()),
        mends: format!(
            "drop trigger remove on outbox; drop function remove(); update orders set said = said - 1 where id = '{order}'"
        ),
        subject: format!("order {order}"),
    }
}

/// As if payment-svc had never heard of it, an hour ago.
fn loss_unheard(order: &str, parcel: &str) -> Sabotage {
    let change = |status: &str, sign: char| {
        format!(
            "update shipments set status = '{status}' where id = '{parcel}';
             update orders set updated_at = updated_at {sign} interval '1 hour' where order_id = '{order}'"
        )
    };
    Sabotage {
        name: "a loss that nobody refunds",
        of: Service::StockSvc,
        rules: &[13],
        breaks: change("lost", '-'),
        redirected: None,
        mends: change("pending", '+'),
        subject: format!("order {order}"),
    }
}

fn mail_doubled(order: String) -> Sabotage {
    let unique = "notifications_one_a_fact_and_channel";
    Sabotage {
        name: "a mail row duplicated",
        of: Service::NotificationSvc,
        rules: &[11],
        breaks: format!(
            "alter table notifications drop constraint {unique};
             create table twice as select * from notifications where order_id = '{order}' and template = 'order_placed';
             update twice set id = '00000000-0000-0000-0000-00000000000b';
             insert into notifications select * from twice"
        ),
        redirected: None,
        mends: format!(
            "delete from notifications where id = '00000000-0000-0000-0000-00000000000b'; drop table twice;
             alter table notifications add constraint {unique} unique (order_id, template, event_id, channel)"
        ),
        subject: format!("order {order}"),
    }
}

/// As if the relay had lost what was announced last of the product.
fn product_event_lost() -> Sabotage {
    let change = |sign: char| format!("update products set products_said = products_said {sign} 1 where sku = '{SKU}'");
    Sabotage {
        name: "an event of a product lost",
        of: Service::StockSvc,
        subject: format!("SKU {SKU}"),
        rules: &[7],
        breaks: change('+'),
        redirected: None,
        mends: change('-'),
    }
}

/// Its goods are held for as long as its customer doesn't act.
async fn held_order(shop: &Shop) -> anyhow::Result<String> {
    let method = "pm_card_authenticationRequired";
    let order = shop.api.place(&OrderDraft { sku: SKU, payment_method: method, ..OrderDraft::default() }).await?;
    until(|| async {
        let now = shop.api.order(&order).await?;
        ensure!(now["payment"] == "action_required", "order {order} was never asked for its customer: {now}");
        Ok(())
    })
    .await?;
    Ok(order)
}

async fn captured(shop: &Shop, order: &str) -> anyhow::Result<()> {
    until(|| async {
        let payments = shop.api.all(Service::PaymentSvc, &format!("/api/v1/payments?order_id={order}&")).await?;
        let payment = payments.first().context("no payment yet")?;
        ensure!(number(&payment["captured"], "amount")? > 0, "order {order} was never captured");
        Ok(())
    })
    .await
}

/// Steps that have begun may still be under way, so this asks again for a while.
async fn holds_in_time(addresses: &Addresses) -> anyhow::Result<Audit> {
    until(|| async {
        let audit = look(addresses).await?;
        let broken: Vec<_> = audit.rules.iter().flat_map(|rule| &rule.broken).take(20).collect();
        ensure!(audit.holds, "not all that must hold does: {broken:?}");
        Ok(audit)
    })
    .await
}

/// The runner's audit, as anybody would ask for it.
async fn look(addresses: &Addresses) -> anyhow::Result<Audit> {
    Ok(reqwest::get(&addresses.audit).await?.error_for_status()?.json().await?)
}
