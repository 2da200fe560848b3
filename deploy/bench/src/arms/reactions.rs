//! How fast each service catches up on a full topic. What waits there was said by the services before it, for real: orders
//! are placed over HTTP, stock-svc's answers to them are what order-svc hears. Each round gives the service a copy of the
//! same database and lets its group begin anew. Nobody publishes meanwhile, and the services that are not measured rest.

use std::time::{Duration, Instant};

use anyhow::Context;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio_postgres::Client;

use crate::results::Results;
use crate::shop::{SKUS, list_products};
use crate::stage::{PARTITIONS, Program, Running, Stage, number, until};
use crate::{Bench, load, statements, usage};

const SENDERS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(600);

pub async fn run(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    for (name, skus) in [("fifty_skus", SKUS), ("one_sku", 1)] {
        bench.progress(&format!("filling topics for catch-up, {skus} products"));
        let stage = Stage::open(bench, "reactions", &[]).await?;
        let waiting = bench.sizes.waiting_events;
        let stock = stage.start(Program::StockSvc, &[]).await?;
        let orders = stage.start(Program::OrderSvc, &[]).await?;
        list_products(&stage, stock.port, 0..skus).await?;
        drain(&stage, Program::StockSvc).await?;
        stock.stop().await?;
        keep(&stage, Program::StockSvc).await?;
        load::many(orders.port, SENDERS, waiting, skus).await?;
        drain(&stage, Program::OrderSvc).await?;
        orders.stop().await?;
        keep(&stage, Program::OrderSvc).await?;
        let stock = CatchUp { service: Program::StockSvc, what: name, topics: &["orders.v1"] };
        stock.rounds(bench, &stage, results).await?;
        if name == "fifty_skus" {
            after_stock(bench, &stage, results).await?;
        }
        stage.close().await?;
    }
    Ok(())
}

/// Those who hear what stock-svc says.
async fn after_stock(bench: &Bench, stage: &Stage, results: &mut Results) -> anyhow::Result<()> {
    let stock = stage.start(Program::StockSvc, &[]).await?; // publishes what its last round left in the outbox
    drain(stage, Program::StockSvc).await?;
    stock.stop().await?;
    let orders = CatchUp { service: Program::OrderSvc, what: "stock_facts", topics: &["stock.v1"] };
    orders.rounds(bench, stage, results).await?;
    for service in [Program::PaymentSvc, Program::NotificationSvc] {
        let heard = CatchUp { service, what: "orders_and_stock", topics: &["orders.v1", "stock.v1"] };
        heard.rounds(bench, stage, results).await?;
    }
    Ok(())
}

/// A service and what waits for it.
struct CatchUp {
    service: Program,
    what: &'static str,
    topics: &'static [&'static str],
}

impl CatchUp {
    async fn rounds(&self, bench: &Bench, stage: &Stage, results: &mut Results) -> anyhow::Result<()> {
        let is_first = matches!(self.service, Program::StockSvc | Program::OrderSvc);
        for round in 1..=if is_first { bench.sizes.rounds } else { bench.sizes.long_rounds } {
            bench.progress(&format!("{} catches up ({}), round {round}", self.service.name(), self.what));
            self.round(stage, results).await?;
        }
        Ok(())
    }

    async fn round(&self, stage: &Stage, results: &mut Results) -> anyhow::Result<()> {
        let database = self.service.database();
        self.renew_database(stage).await?;
        forget_group(stage, self.service.name()).await?;
        let waiting = ends(stage, self.topics)?;
        let (admin, server) = (stage.admin(database).await?, stage.admin("postgres").await?);
        let postgres = || usage::cpu(stage.postgres.identity().pid);
        // joining the group is not measured: the clock starts with the first batch
        let first_batch = async {
            until("the first batch was handled", PATIENCE, async || Ok(self.heard(&admin).await > 0)).await?;
            let work = statements::by_database(&server).await?;
            anyhow::Ok((Instant::now(), self.heard(&admin).await, work, postgres()))
        };
        let more = external(stage);
        let (running, (began, first, work, postgres_before)) =
            tokio::try_join!(stage.start(self.service, &more), first_batch)?;
        until("all was handled", PATIENCE, async || Ok(self.heard(&admin).await >= waiting)).await?;
        let seconds = began.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let (events, all) = ((waiting - first).max(1) as f64, waiting as f64);
        let name = format!("catch_up/{}/{}", self.service.name(), self.what);
        results.add(format!("{name}/events_per_second"), events / seconds);
        let own = usage::cpu(running.pid()).as_secs_f64() * 1_000_000.0 / all;
        results.add(format!("{name}/own_cpu_from_exec/us_per_event"), own);
        let used = postgres().saturating_sub(postgres_before).as_secs_f64() * 1_000_000.0 / events;
        results.add(format!("{name}/postgres_cpu/us_per_event"), used);
        let done = statements::between(&work, &statements::by_database(&server).await?);
        if let Some(work) = done.get(database) {
            results.add(format!("{name}/statements_per_event"), work.statements / events);
            results.add(format!("{name}/commits_per_event"), work.commits / events);
        }
        self.check(&admin, waiting, results).await?;
        self.end(running, results).await
    }

    /// A copy of what was put aside for the rounds, or else nothing: the service makes its tables itself.
    async fn renew_database(&self, stage: &Stage) -> anyhow::Result<()> {
        let (database, admin) = (self.service.database(), stage.admin("postgres").await?);
        let kept = format!("kept_{database}");
        if number(&admin, &format!("select count(*) from pg_database where datname = '{kept}'")).await? == 1 {
            return stage.copy_database(&kept, database).await;
        }
        admin.batch_execute(&format!("drop database if exists {database} with (force)")).await?;
        Ok(())
    }

    /// How far it is in the topics that are full. Nowhere while its tables aren't there.
    async fn heard(&self, admin: &Client) -> i64 {
        let topics = self.topics.join("','");
        let query = format!("select coalesce(sum(position), 0) from consumer_progress where topic in ('{topics}')");
        number(admin, &query).await.unwrap_or(0)
    }

    /// Each event once: it is in the inbox, none became a dead letter, and stock-svc has answered each order once.
    async fn check(&self, admin: &Client, waiting: i64, results: &mut Results) -> anyhow::Result<()> {
        let name = self.service.name();
        let dead_letters = number(admin, "select count(*) from dead_letters").await?;
        results.must(dead_letters == 0, || format!("{name} made {dead_letters} dead letters while it caught up"));
        if self.service == Program::StockSvc {
            let answers = number(admin, "select count(*) from outbox where topic = 'stock.v1'").await?;
            let orders = number(admin, "select count(distinct key) from outbox where topic = 'stock.v1'").await?;
            results.must(answers == waiting && orders == waiting, || {
                format!("{waiting} orders waited for stock-svc, it gave {answers} answers to {orders} of them")
            });
        }
        if self.service == Program::OrderSvc {
            let entries = "from order_history where event_type like 'stock.%'";
            let heard = number(admin, &format!("select count(*) {entries}")).await?;
            let orders = number(admin, &format!("select count(distinct order_id) {entries}")).await?;
            results.must(heard == waiting && orders == waiting, || {
                format!("{waiting} stock facts waited for order-svc, {heard} are in the history of {orders} orders")
            });
        }
        Ok(())
    }

    async fn end(&self, running: Running, results: &mut Results) -> anyhow::Result<()> {
        if let Some((_, most)) = usage::memory(running.pid()) {
            results.add(format!("catch_up/{}/{}/memory_mb", self.service.name(), self.what), most);
        }
        running.stop().await
    }
}

/// Its outbox waits for a worker, which is not there; payment-svc's gateway does not answer.
fn external(stage: &Stage) -> Vec<(&'static str, String)> {
    let nobody = format!("http://127.0.0.1:{}", stage.nobody);
    vec![("RELAY", "external".to_owned()), ("PAYMENT_GATEWAY_URL", nobody)]
}

/// Puts a service's database aside, for each round to begin with.
async fn keep(stage: &Stage, service: Program) -> anyhow::Result<()> {
    stage.copy_database(service.database(), &format!("kept_{}", service.database())).await
}

/// Waits until everything that a service wrote was published.
async fn drain(stage: &Stage, service: Program) -> anyhow::Result<()> {
    let admin = stage.admin(service.database()).await?;
    until("the outbox is empty", PATIENCE, async || Ok(number(&admin, "select count(*) from outbox").await? == 0)).await
}

/// The group begins where the topics begin.
async fn forget_group(stage: &Stage, group: &str) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", stage.kafka.bootstrap()).create()?;
    until("the group is empty", PATIENCE, async || {
        let outcome = admin.delete_groups(&[group], &AdminOptions::new()).await?.remove(0);
        match outcome {
            Ok(_) | Err((_, rdkafka::types::RDKafkaErrorCode::GroupIdNotFound)) => Ok(true),
            Err((_, rdkafka::types::RDKafkaErrorCode::NonEmptyGroup)) => Ok(false),
            Err((group, code)) => anyhow::bail!("forgetting the group {group}: {code}"),
        }
    })
    .await
}

/// How many events are in these topics.
fn ends(stage: &Stage, topics: &[&str]) -> anyhow::Result<i64> {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", stage.kafka.bootstrap()).create()?;
    let mut events = 0;
    for topic in topics {
        for partition in 0..PARTITIONS {
            let ends = client.fetch_watermarks(topic, partition, Duration::from_secs(10));
            events += ends.with_context(|| format!("the end of {topic}"))?.1;
        }
    }
    Ok(events)
}
