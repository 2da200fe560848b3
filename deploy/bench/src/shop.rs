//! The whole shop on a stage, and what customers order in it.

use std::{ops::Range, time::Duration};

use anyhow::Context;
use quadrille_servers::Postgres;
use serde_json::{Value, json};

use crate::http::Connection;
use crate::stage::{Program, Running, Stage, number, start_postgres, until};

/// How many products are ordered where it isn't one.
pub const SKUS: usize = 50;
const PATIENCE: Duration = Duration::from_secs(120);

/// Everything that `quadrille up` starts, but for its own process. The sandbox gateway has a PostgreSQL of its own, so that
/// what it costs can be told from what the shop costs.
pub struct Shop {
    pub running: Vec<Running>,
    pub sandbox_postgres: Postgres,
}

impl Shop {
    pub async fn open(stage: &Stage) -> anyhow::Result<Self> {
        let sandbox_postgres = start_postgres(&stage.folder.join("sandbox-postgres"), &[]).await?;
        let admin = crate::stage::connect(&sandbox_postgres.url("postgres")).await?;
        admin.batch_execute("create database sandbox_gateway").await?;
        let database = sandbox_postgres.url("sandbox_gateway");
        // payment-svc needs the gateway's port, and the gateway payment-svc's: one of them is claimed before it is used
        let payments = quadrille_servers::port::claim(None, "payment-svc")?;
        let hook = format!("http://127.0.0.1:{payments}/api/v1/payments/webhooks/stripe");
        let sandbox =
            stage.start(Program::SandboxGateway, &[("DATABASE_URL", database), ("SANDBOX_WEBHOOK_URL", hook)]).await?;
        let gateway = format!("http://127.0.0.1:{}", sandbox.port);
        let mut running = vec![sandbox];
        for program in [Program::StockSvc, Program::OrderSvc] {
            running.push(stage.start(program, &[]).await?);
        }
        running.push(stage.start_at(Program::PaymentSvc, payments, &[("PAYMENT_GATEWAY_URL", gateway)]).await?);
        running.push(stage.start(Program::NotificationSvc, &[]).await?);
        let databases = Program::SERVICES.map(|service| stage.postgres.url(service.database())).join(",");
        running.push(stage.start(Program::OutboxRelay, &[("OUTBOX_RELAY_DATABASES", databases)]).await?);
        let shop = Self { running, sandbox_postgres };
        list_products(stage, shop.port(Program::StockSvc)?, 0..SKUS).await?;
        Ok(shop)
    }

    pub fn port(&self, program: Program) -> anyhow::Result<u16> {
        let found = self.running.iter().find(|running| running.program == program);
        Ok(found.with_context(|| format!("{} does not run", program.name()))?.port)
    }

    /// Every process by name, servers included.
    pub fn processes(&self, stage: &Stage) -> Vec<(String, i32)> {
        let services = self.running.iter().map(|running| (running.program.name().to_owned(), running.pid()));
        let servers = [
            ("PostgreSQL".to_owned(), stage.postgres.identity().pid),
            ("Kafka".to_owned(), stage.kafka.identity().pid),
            ("sandbox's PostgreSQL".to_owned(), self.sandbox_postgres.identity().pid),
        ];
        services.chain(servers).collect()
    }

    pub async fn close(self) -> anyhow::Result<()> {
        for running in self.running {
            running.stop().await?;
        }
        self.sandbox_postgres.stop(PATIENCE).await
    }
}

/// Lists products with more stock than is ever ordered, and waits until order-svc knows them.
pub async fn list_products(stage: &Stage, stock_port: u16, skus: Range<usize>) -> anyhow::Result<()> {
    let mut stock = Connection::open(stock_port).await?;
    for n in skus.clone() {
        let product = json!({
            "sku": sku(n), "name": "Earl Grey, 250 g", "brand": null, "description": "Black tea with bergamot.",
            "category": null, "price": {"amount": 1299, "currency": "EUR"}, "on_hand": 1_000_000,
        });
        let (status, answer) = stock.post("/api/v1/products", &product.to_string()).await?;
        anyhow::ensure!(status == 201, "listing a product was answered {status}: {}", String::from_utf8_lossy(&answer));
    }
    let orders = stage.admin(Program::OrderSvc.database()).await?;
    until("order-svc knows the products", PATIENCE, async || {
        Ok(number(&orders, "select count(*) from products").await? >= i64::try_from(skus.end)?
            && number(&orders, "select count(*) from catalogue_read").await? == 1)
    })
    .await
}

pub fn sku(n: usize) -> String {
    format!("TEA-{n:03}")
}

/// The body of an order of one product or two, in turn over so many.
pub fn order(n: usize, skus: usize) -> String {
    let (one, other) = (n % skus, (n * 7 + 3) % skus);
    let mut lines = vec![json!({"sku": sku(one), "quantity": 1})];
    if one != other {
        lines.push(json!({"sku": sku(other), "quantity": 2}));
    }
    let order: Value = json!({
        "customer": {"id": format!("c-{}", n % 5_000), "name": "Ann Lee", "email": "ann@example.com"},
        "delivery_address": {"line1": "1 Quay St", "line2": null, "city": "Cork", "postal_code": "T12", "country": "IE"},
        "currency": "EUR", "lines": lines, "payment_method": "pm_card_visa",
    });
    order.to_string()
}

/// Places it; returns its id.
pub async fn place(orders: &mut Connection, n: usize, skus: usize) -> anyhow::Result<String> {
    let (status, answer) = orders.post("/api/v1/orders", &order(n, skus)).await?;
    anyhow::ensure!(status == 202, "placing was answered {status}: {}", String::from_utf8_lossy(&answer));
    let answer: Value = serde_json::from_slice(&answer)?;
    Ok(answer["id"].as_str().context("an order has an id")?.to_owned())
}
