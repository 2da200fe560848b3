//! The failover certificate: a whole shop under load on a primary with a synchronous standby; the primary is killed, the
//! standby promoted, and the services follow by the hosts in their URL. After each time answers, databases and topics must
//! agree.

mod check;
mod load;
mod servers;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::sleep;

use self::check::{Found, check};
use self::load::{Answered, Load};
use self::servers::Servers;
use crate::accept::{fresh_folder, points};
use crate::program;
use crate::report::say;
use crate::shop::Shop;

/// How many of what is wrong are named.
const NAMED: usize = 5;

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Commits {
    /// Until the standby has it on its disk.
    On,
    /// Until the primary has it on its disk: the standby is asynchronous in all but name.
    Local,
}

impl Commits {
    const fn setting(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Local => "local",
        }
    }
}

/// Kills the primary under load, promotes the standby, and checks that nothing was lost or made up.
#[derive(Debug, Parser)]
#[command(name = "quadrille-failover")]
pub struct FailoverArgs {
    /// How many primaries die.
    #[arg(long, value_name = "N", default_value_t = 20)]
    runs: usize,
    /// Draws how long each run loads, holds the standby back and waits; drawn itself when it isn't given.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// What the relays are told (OUTBOX_RELAY_DURABLE).
    #[arg(long, value_name = "WHERE", default_value = "standbys")]
    durable: String,
    /// What commits wait for. With `local` answers are lost, and there is one run: the shop is of no use after it.
    #[arg(long, value_enum, default_value_t = Commits::On)]
    commits: Commits,
    /// How many customers place orders at once.
    #[arg(long, value_name = "N", default_value_t = 6)]
    customers: usize,
    /// Lets answers be lost, as commits that wait for no standby are: only what is on topics must have survived.
    #[arg(long)]
    answers_may_be_lost: bool,
    /// Turns the verdict around: it is as expected if events are on topics that did not survive.
    #[arg(long)]
    must_lose: bool,
    /// On Apache Kafka, which it starts, instead of the embedded broker.
    #[arg(long)]
    kafka: bool,
    /// Keeps the data folder, logs included, even when all went well.
    #[arg(long)]
    keep: bool,
}

/// How a run goes.
#[derive(Debug, Clone, Copy)]
struct Course {
    load: Duration,
    /// How long nothing has reached the standby when the primary dies, if anything holds it back.
    held: Option<Duration>,
    /// From the death to the promotion.
    pause: Duration,
}

impl Course {
    fn draw(rng: &mut StdRng, commits: Commits) -> Self {
        let millis = |rng: &mut StdRng, range| Duration::from_millis(rng.random_range(range));
        let held = commits == Commits::Local || rng.random_bool(0.6);
        Self { load: millis(rng, 1_000..3_000), held: held.then(|| millis(rng, 50..1_500)), pause: millis(rng, 0..600) }
    }
}

/// Runs it and returns whether all was as promised. Fails if the shop can't be started, or doesn't go on.
pub async fn run(arguments: &FailoverArgs) -> anyhow::Result<bool> {
    ensure!(arguments.commits == Commits::On || arguments.runs == 1, "with --commits local there is one run: --runs 1");
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let folder = fresh_folder("failover")?;
    say(&format!(
        "seed {seed}; relays: {}; commits: {}; data and logs in {}",
        arguments.durable,
        arguments.commits.setting(),
        folder.display()
    ));
    let outcome = on_servers(arguments, seed, &folder).await;
    if matches!(outcome, Ok(true)) && !arguments.keep {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    } else {
        say(&format!("kept for a look: {}", folder.display()));
    }
    outcome
}

async fn on_servers(arguments: &FailoverArgs, seed: u64, folder: &std::path::Path) -> anyhow::Result<bool> {
    let servers = Servers::start(folder, arguments.commits).await?;
    let url = servers.url();
    let broker: &[&str] = if arguments.kafka { &["--kafka"] } else { &[] };
    let told = [&["--no-auth", "--database-url", &url], broker].concat();
    let durable = vec![("OUTBOX_RELAY_DURABLE", arguments.durable.clone())];
    let mut shop = Shop::start_with(&program("quadrille")?, folder, &told, durable).await?;
    shop.api.add_product(load::SKU, load::ON_HAND).await?;
    let mut certificate = Certificate { shop: &mut shop, seed, answered: Vec::new(), held: 0 };
    let (servers, as_promised) = certificate.runs(arguments, servers).await?;
    shop.stop().await?;
    servers.stop().await?;
    Ok(as_promised)
}

struct Certificate<'a> {
    shop: &'a mut Shop,
    seed: u64,
    /// Every order that was answered in any run.
    answered: Vec<String>,
    /// How many runs found nothing wrong.
    held: usize,
}

impl Certificate<'_> {
    async fn runs(&mut self, arguments: &FailoverArgs, mut servers: Servers) -> anyhow::Result<(Servers, bool)> {
        let mut made_up = 0;
        for number in 1..=arguments.runs {
            // A run's course hangs on seed and number only, whatever the runs before took.
            let mut rng = StdRng::seed_from_u64(self.seed.wrapping_add(number as u64));
            let course = Course::draw(&mut rng, arguments.commits);
            let (next, found) = self.one(arguments, servers, number, course).await?;
            servers = next;
            made_up += found.made_up.len();
            let holds = if arguments.answers_may_be_lost { found.made_up.is_empty() } else { found.breaks_nothing() };
            self.held += usize::from(holds);
        }
        if arguments.commits == Commits::On {
            let audit = points::audit::holds_in_time(&self.shop.addresses()?).await?;
            say(&format!("audit: all {} rules hold", audit.rules.len()));
        }
        let (held, runs, orders) = (self.held, arguments.runs, self.answered.len());
        say(&format!("{held} of {runs} failovers kept every promise; {orders} orders; seed {}", self.seed));
        Ok((servers, if arguments.must_lose { made_up > 0 } else { held == runs }))
    }

    async fn one(
        &mut self,
        arguments: &FailoverArgs,
        servers: Servers,
        number: usize,
        course: Course,
    ) -> anyhow::Result<(Servers, Found)> {
        let load = Load::start(&self.shop.api, arguments.customers);
        sleep(course.load).await;
        if let Some(held) = course.held {
            servers.hold();
            sleep(held).await;
        }
        let (servers, died) = servers.fail_over(course.pause).await?;
        sleep(Duration::from_secs(1)).await;
        let answered = load.end().await?;
        let orders: Vec<String> = answered.iter().map(|(order, _)| order.clone()).collect();
        if arguments.commits == Commits::On {
            self.shop.api.wait_for_all(&orders, "confirmed").await?;
        }
        self.answered.extend(orders);
        let found = check(&self.shop.addresses()?, &self.answered).await?;
        tell(number, course, &answered, died, &found);
        Ok((servers, found))
    }
}

fn tell(number: usize, course: Course, answered: &[Answered], died: Instant, found: &Found) {
    let verdict = if found.breaks_nothing() { "ok   " } else { "BROKE" };
    let held = course.held.map_or("with the standby up to date".to_owned(), |held| {
        format!("{} ms after the standby heard nothing more", held.as_millis())
    });
    let back = answered.iter().filter(|(_, at)| *at > died).map(|(_, at)| *at - died).min().unwrap_or_default();
    say(&format!(
        "{verdict} run {number}: {} orders answered; primary killed {held}; next answer after {:.1} s; {} records, {} of \
         them again; lost answers {}, events that did not survive {}, missing {}",
        answered.len(),
        back.as_secs_f64(),
        found.records,
        found.twice,
        found.lost_answers.len(),
        found.made_up.len(),
        found.missing.len()
    ));
    let named =
        |what: &str, of: &[String]| of.iter().take(NAMED).for_each(|one| say(&format!("        {what}: {one}")));
    named("answered and lost", &found.lost_answers);
    named("on a topic and not committed", &found.made_up);
    named("committed and not on its topic", &found.missing);
    named("out of order", found.out_of_order.as_slice());
}
