//! Servers of this run's own, and the shop's programs on them.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use quadrille_servers::postgres::{self, ensure_database};
use quadrille_servers::process::ServerProcess;
use quadrille_servers::{Durability, Kafka, Postgres, kafka, port};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use shared_events::Topic;
use tokio::{process::Command, time::sleep};
use tokio_postgres::{Client, NoTls};

use crate::{Bench, disk, http::Connection};

/// As many as `quadrille up` makes.
pub const PARTITIONS: i32 = 6;
const STOP_WITHIN: Duration = Duration::from_secs(30);
const READY_WITHIN: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(2);
/// What the sandbox gateway signs its webhooks with.
const WEBHOOK_SECRET: &str = "whsec_bench";

/// PostgreSQL with fsync and statistics, and Apache Kafka, in a folder of their own.
pub struct Stage {
    pub postgres: Postgres,
    pub kafka: Kafka,
    pub folder: PathBuf,
    /// A port on which nobody listens.
    pub nobody: u16,
    programs: Vec<(Program, PathBuf)>,
}

shared_events::named! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Program: name {
        OrderSvc = "order-svc",
        StockSvc = "stock-svc",
        PaymentSvc = "payment-svc",
        NotificationSvc = "notification-svc",
        SandboxGateway = "sandbox-gateway",
        OutboxRelay = "outbox-relay",
    }
}

impl Program {
    pub const SERVICES: [Self; 4] = [Self::OrderSvc, Self::StockSvc, Self::PaymentSvc, Self::NotificationSvc];

    pub const fn database(self) -> &'static str {
        match self {
            Self::OrderSvc => "order_svc",
            Self::StockSvc => "stock_svc",
            Self::PaymentSvc => "payment_svc",
            Self::NotificationSvc => "notification_svc",
            Self::SandboxGateway => "sandbox_gateway",
            Self::OutboxRelay => "postgres",
        }
    }
}

pub struct Running {
    pub program: Program,
    pub port: u16,
    /// From exec until its port took a connection, and until it said that it is ready.
    pub bound_after: Duration,
    pub ready_after: Duration,
    process: ServerProcess,
    environment: Vec<(String, String)>,
}

impl Running {
    pub fn pid(&self) -> i32 {
        self.process.identity().pid
    }

    /// Ends it, and starts it again as it was started.
    pub async fn start_again(self, stage: &Stage) -> anyhow::Result<Self> {
        self.start_again_with(stage, Vec::new()).await
    }

    /// Ends it, and starts it again as it was started first, with this in its environment for this time.
    pub async fn start_again_with(self, stage: &Stage, more: Vec<(&'static str, String)>) -> anyhow::Result<Self> {
        let (program, port, environment) = (self.program, self.port, self.environment.clone());
        self.stop().await?;
        let first = environment.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let whole: Vec<_> = first.chain(more).collect();
        let again = stage.start_at(program, port, &whole).await?;
        Ok(Self { environment, ..again })
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.process.stop(Signal::SIGTERM, STOP_WITHIN, Signal::SIGKILL).await
    }
}

impl Stage {
    /// Starts both servers in a new folder, with all topics of the shop.
    pub async fn open(bench: &Bench, name: &str, settings: &[&str]) -> anyhow::Result<Self> {
        let folder = disk::new_folder(&bench.arguments.data, name)?;
        let programs = Program::ALL.into_iter().map(|program| Ok((program, bench.arguments.program(program.name())?)));
        let programs = programs.collect::<anyhow::Result<_>>()?;
        let postgres = start_postgres(&folder.join("postgres"), settings).await?;
        let options =
            kafka::Options { folder: folder.join("kafka"), port: None, durability: Durability::Real, jars: None };
        let nobody = port::claim(None, "nobody")?;
        let stage = Self { postgres, kafka: Kafka::start(&options).await?, folder, nobody, programs };
        stage.admin("postgres").await?.batch_execute("create extension pg_stat_statements").await?;
        let topics = Topic::ALL.iter().map(|topic| (topic.name().to_owned(), topic.compacted()));
        let dead = Program::SERVICES.iter().map(|service| (format!("{}.dlq", service.name()), false));
        stage.make_topics(topics.chain(dead)).await?;
        Ok(stage)
    }

    /// Makes topics with as many partitions as the shop's have.
    pub async fn make_topics(&self, names: impl Iterator<Item = (String, bool)>) -> anyhow::Result<()> {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", self.kafka.bootstrap()).create()?;
        for (name, compacted) in names {
            let policy = if compacted { "compact" } else { "delete" };
            let topic = NewTopic::new(&name, PARTITIONS, TopicReplication::Fixed(1)).set("cleanup.policy", policy);
            for made in admin.create_topics([&topic], &AdminOptions::new()).await? {
                made.map_err(|(name, code)| anyhow::anyhow!("making the topic {name}: {code}"))?;
            }
        }
        Ok(())
    }

    /// Ends both servers and removes their data.
    pub async fn close(self) -> anyhow::Result<()> {
        let elsewhere = (!self.postgres.folder().starts_with(&self.folder)).then(|| self.postgres.folder().to_owned());
        let (kafka, postgres) = tokio::join!(self.kafka.stop(STOP_WITHIN), self.postgres.stop(STOP_WITHIN));
        std::fs::remove_dir_all(&self.folder).ok();
        elsewhere.map(std::fs::remove_dir_all);
        kafka.and(postgres)
    }

    /// A superuser's connection to a database, which is made if it isn't there.
    pub async fn admin(&self, database: &str) -> anyhow::Result<Client> {
        ensure_database(&self.postgres.url("postgres"), database).await?;
        connect(&self.postgres.url(database)).await
    }

    /// A copy of a database that nobody is connected with, in place of an earlier copy.
    pub async fn copy_database(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let admin = self.admin("postgres").await?;
        admin.batch_execute(&format!("drop database if exists {to} with (force)")).await?;
        // a client that was dropped goes in its own time
        let others = format!("select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '{from}'");
        until("nobody is in the database", READY_WITHIN, async || Ok(number(&admin, &others).await? == 0)).await?;
        admin.batch_execute(&format!("create database {to} template {from}")).await?;
        Ok(())
    }

    /// Starts a program of the shop and waits until it is ready. `more` is added to its environment.
    pub async fn start(&self, program: Program, more: &[(&str, String)]) -> anyhow::Result<Running> {
        self.start_at(program, port::claim(None, program.name())?, more).await
    }

    /// The same on this port.
    pub async fn start_at(&self, program: Program, port: u16, more: &[(&str, String)]) -> anyhow::Result<Running> {
        let binary = &self.programs.iter().find(|(found, _)| *found == program).context("a program")?.1;
        let mut command = Command::new(binary);
        let address = format!("127.0.0.1:{port}");
        command.env_clear().env("RUST_LOG", "warn").env("LOG_FORMAT", "json");
        command.env("HTTP_ADDR", &address).env("METRICS_ADDR", &address).env("AUTH", "off");
        command.env("KAFKA_BOOTSTRAP_SERVERS", self.kafka.bootstrap());
        command.env("DATABASE_URL", self.postgres.url(program.database()));
        command.env("MAIL_TRANSPORT", format!("file:{}", self.folder.join("mails").display()));
        command.env("MAIL_FROM", "Quadrille <shop@quadrille.example>");
        command.env("PAYMENT_GATEWAY_KEY", "sk_test_bench").env("PAYMENT_WEBHOOK_SECRET", WEBHOOK_SECRET);
        command.env("SANDBOX_WEBHOOK_SECRET", WEBHOOK_SECRET);
        command.envs(more.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        ensure_database(&self.postgres.url("postgres"), program.database()).await?;
        let began = Instant::now();
        let log = self.folder.join(format!("{}.log", program.name()));
        let mut process = ServerProcess::spawn(program.name(), command, &log)?;
        let mut bound_after = None;
        loop {
            process.must_live()?;
            if let Ok(mut connection) = Connection::open(port).await {
                let bound_after = *bound_after.get_or_insert_with(|| began.elapsed());
                if connection.get("/readyz").await.is_ok_and(|(status, _)| status == 200) {
                    let environment = more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
                    let ready_after = began.elapsed();
                    return Ok(Running { program, port, bound_after, ready_after, process, environment });
                }
            }
            if began.elapsed() > READY_WITHIN {
                bail!("{} is not ready after {READY_WITHIN:?}{}", program.name(), process.last_words());
            }
            sleep(POLL).await;
        }
    }
}

/// A PostgreSQL with fsync, which counts statements.
pub async fn start_postgres(folder: &std::path::Path, settings: &[&str]) -> anyhow::Result<Postgres> {
    let options = postgres::Options { folder: folder.to_owned(), port: None, durability: Durability::Real };
    let ours = ["shared_preload_libraries=pg_stat_statements", "pg_stat_statements.max=10000", "max_wal_size=4GB"];
    Postgres::start_with(&options, &[&ours, settings].concat()).await
}

/// A connection whose driver is a task.
pub async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connecting to PostgreSQL")?;
    tokio::spawn(connection);
    Ok(client)
}

/// One number that a query finds.
pub async fn number(client: &Client, query: &str) -> anyhow::Result<i64> {
    let query = format!("select /* quadrille-bench */ ({query})::bigint");
    Ok(client.query_one(&query, &[]).await.with_context(|| query)?.get(0))
}

/// Asks until it holds.
pub async fn until(
    what: &str,
    patience: Duration,
    mut holds: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    while !holds().await? {
        anyhow::ensure!(began.elapsed() < patience, "after {patience:?} still waiting until {what}");
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
