//! `quadrille up`: everything on this machine, supervised until it is told to stop.

mod backoff;
mod children;
mod embedded;
mod greeting;
mod http;
mod left_over;
mod lock;
mod output;
mod rebuild;
mod registry;
mod servers;
mod supervisor;

use std::fs;
use std::io::IsTerminal;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use service_kit::pool;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use url::Url;

pub(crate) use self::rebuild::last_was_embedded;
use self::{backoff::Backoff, children::Children, lock::DataLock, registry::Registry, servers::Servers};
use crate::cli::UpArgs;
use crate::cluster::Cluster;
use crate::login::{self, Person};
use crate::plan::{self, Plan, Ports};
use crate::service::Service;
use crate::{catalogue, topics};

/// How long a Kafka that is there may take to answer.
const TOPICS_WITHIN: Duration = Duration::from_secs(20);

/// Shows what the run itself does on the error stream, as much as `RUST_LOG` says, or else `level`.
pub fn show_progress(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

/// Starts everything, and ends it in order on Ctrl-C or SIGTERM. Fails, and ends what was started, if another run has
/// the data folder, a port is taken, or PostgreSQL, Kafka or the topics can't be had.
pub async fn up(arguments: &UpArgs) -> anyhow::Result<()> {
    let stop = stop_on_signal()?;
    let data = data_folder(&arguments.data)?;
    let _lock = DataLock::take(&data)?;
    left_over::end(&data).await?;
    let ports = Ports::claim(arguments.ports(), &plan::services(!arguments.no_auth))?;
    let registry = Registry::new(&data);
    let Some(servers) = stop.run_until_cancelled(Servers::start(arguments, &data, &ports, &registry)).await else {
        return Ok(());
    };
    let servers = servers?;
    let outcome = with_servers(arguments, &data, ports, &servers, &registry, &stop).await;
    servers.stop().await;
    registry.close();
    outcome
}

async fn with_servers(
    arguments: &UpArgs,
    data: &Path,
    ports: Ports,
    servers: &Servers,
    registry: &Arc<Registry>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let plan = Plan {
        ports,
        postgres: Url::parse(servers.database_url()).context("the PostgreSQL URL")?,
        kafka: servers.brokers().clone(),
        kind: arguments.kafka.clone(),
        mails: subfolder(data, "mails")?,
        auth: !arguments.no_auth,
    };
    let http = http::serve(&plan, stop.clone())?;
    let mut run = Run { arguments, data, plan: &plan, servers, registry, stop, greeted: false, rebuilt: false };
    let outcome = run.rounds().await;
    stop.cancel();
    http.await.ok();
    outcome
}

/// A run: one round of the services or, where the embedded broker dies, several.
struct Run<'a> {
    arguments: &'a UpArgs,
    data: &'a Path,
    plan: &'a Plan,
    servers: &'a Servers,
    registry: &'a Arc<Registry>,
    stop: &'a CancellationToken,
    greeted: bool,
    rebuilt: bool,
}

impl Run<'_> {
    async fn rounds(&mut self) -> anyhow::Result<()> {
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            match self.round().await {
                Ok(()) => {}
                Err(error) if self.greeted => tracing::error!("{error:#}; it is tried again"),
                Err(error) => return Err(error),
            }
            let pause = tokio::time::sleep(backoff.after_life_of(began.elapsed()));
            if self.stop.run_until_cancelled(pause).await.is_none() {
                return Ok(());
            }
        }
    }

    /// From the services' start to their end: because the run ends, or because the embedded broker did, and with it what
    /// they go on from.
    async fn round(&mut self) -> anyhow::Result<()> {
        let over = self.stop.child_token();
        let starting = self.servers.start_embedded(self.registry, over.clone());
        let Some(broker) = self.stop.run_until_cancelled(starting).await else { return Ok(()) };
        let broker = broker?;
        let outcome = self.services(&over).await;
        if let Some(broker) = broker {
            broker.stop().await;
        }
        outcome
    }

    async fn services(&mut self, over: &CancellationToken) -> anyhow::Result<()> {
        let laid = self.lay_out(over).await;
        if over.is_cancelled() {
            return Ok(()); // and what went wrong, did so because of that
        }
        laid?;
        let mut children = Children {
            plan: self.plan,
            binary: std::env::current_exe().context("where this program is")?,
            logs: subfolder(self.data, "logs")?,
            shown: !self.arguments.quiet,
            registry: self.registry,
            stop: over,
            children: JoinSet::new(),
        };
        self.registry.announce(self.plan, &children.logs)?;
        let outcome = over.run_until_cancelled(self.open(&mut children)).await.unwrap_or(Ok(()));
        if outcome.is_ok() {
            over.cancelled().await;
        }
        over.cancel();
        tracing::info!("stopping: services first, then what they stand on");
        children.children.join_all().await;
        outcome
    }

    /// Databases and topics, with what was published and isn't in this broker: in the embedded one, or where the run before
    /// had that.
    async fn lay_out(&mut self, over: &CancellationToken) -> anyhow::Result<()> {
        let Some(prepared) = over.run_until_cancelled(prepare(self.plan)).await else { return Ok(()) };
        prepared?;
        let forgets = self.servers.keeps_no_events();
        self.rebuilt = forgets || rebuild::last_was_embedded(self.data);
        if self.rebuilt {
            let began = Instant::now();
            let sent = rebuild::topics(self.plan, over).await?;
            if sent > 0 {
                let took = began.elapsed().as_secs_f64();
                tracing::info!("{sent} events are in their topics again, from the services' archives ({took:.1} s)");
            }
        }
        if over.is_cancelled() { Ok(()) } else { rebuild::note_broker(self.data, forgets) }
    }

    /// Starts the services and, once they lead their own outboxes, the relay that stands by; fills the catalogue.
    async fn open(&mut self, children: &mut Children<'_>) -> anyhow::Result<()> {
        let Self { arguments, plan, .. } = *self;
        let wanted: Vec<_> =
            plan.services().into_iter().filter(|service| !arguments.without.contains(service)).collect();
        let (standby, services): (Vec<_>, Vec<_>) =
            wanted.iter().partition(|service| **service == Service::OutboxRelay);
        children.start(&services)?;
        let mut late = greeting::wait_until_ready(plan, &services).await;
        children.start(&standby)?;
        late.extend(greeting::wait_until_ready(plan, &standby).await);
        if self.rebuilt {
            let announced =
                [("the catalogue", rebuild::catalogue(plan).await), ("customers", rebuild::customers(plan).await)];
            for (what, outcome) in announced {
                if let Err(error) = outcome {
                    tracing::error!("{what} could not be announced again: {error:#}");
                }
            }
        }
        if services.contains(&Service::StockSvc) {
            self.fill_the_catalogue(services.contains(&Service::OrderSvc)).await?;
        }
        if self.greeted {
            tracing::info!("the shop is open again");
        } else {
            greeting::print(plan, self.data, &children.binary, arguments, &late);
            self.greeted = true;
        }
        Ok(())
    }

    /// A shop without products is still worth looking at.
    async fn fill_the_catalogue(&self, until_heard: bool) -> anyhow::Result<()> {
        let url = |service| Url::parse(&self.plan.url(service));
        let token = match self.plan.auth {
            true => Some(login::token(&url(Service::SandboxIssuer)?, Person::Sam).await?),
            false => None,
        };
        let token = token.as_deref();
        if let Err(error) = catalogue::seed(&url(Service::StockSvc)?, token).await {
            tracing::error!("the catalogue could not be filled: {error:#}");
        } else if until_heard && let Err(error) = catalogue::wait_until_heard(&url(Service::OrderSvc)?, token).await {
            tracing::error!("orders can't be placed yet: {error:#}");
        }
        Ok(())
    }
}

/// Databases and topics, which the services expect to be there.
async fn prepare(plan: &Plan) -> anyhow::Result<()> {
    for name in plan.services().into_iter().filter_map(Service::database) {
        ensure_database(plan.postgres.as_str(), name).await.with_context(|| format!("database {name}"))?;
    }
    let cluster = Cluster(plan.kafka.clone());
    for warning in topics::ensure(&cluster, &topics::all(), 1, TOPICS_WITHIN).await?.warnings {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// Makes the database if the server doesn't have it. The server may be one that was given, with TLS and several hosts.
async fn ensure_database(url: &str, name: &str) -> anyhow::Result<()> {
    let mut conn = pool::connect(url).await.context("DATABASE_URL")?;
    let known = diesel::sql_query("select from pg_database where datname = $1").bind::<Text, _>(name);
    if known.execute(&mut conn).await? == 0 {
        conn.batch_execute(&format!("create database \"{name}\"")).await.context("create database")?;
    }
    Ok(())
}

fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        told.cancel();
    });
    Ok(stop)
}

fn data_folder(wish: &Path) -> anyhow::Result<PathBuf> {
    // closed to others (databases' passwords and customers' mails are in there) but for passing through, which
    // PostgreSQL's user needs when root starts us
    let made = fs::DirBuilder::new().recursive(true).mode(0o711).create(wish);
    made.with_context(|| format!("making the data folder {}", wish.display()))?;
    fs::canonicalize(wish).with_context(|| format!("the data folder {}", wish.display()))
}

fn subfolder(data: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let folder = data.join(name);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    Ok(folder)
}
