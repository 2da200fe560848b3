//! `quadrille chaos`: orders of every kind against the real programs, while a schedule that is drawn from a seed breaks them; then
//! everything must be as it must be.

mod faults;
mod figures;
mod ledger;
mod lives;
mod picture;
mod records;
mod schedule;
mod servers;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::faults::{Done, World};
use self::figures::Figures;
use self::ledger::{Entry, Ledger};
use self::lives::{ON_HAND, Plan, SHORT_ON_HAND, SHORT_SKU, SKU, live};
use self::schedule::{Kind, Planned};
use self::servers::Servers;
use self::verdict::Verdict;
use crate::accept::fresh_folder;
use crate::program;
use crate::report::say;
use crate::shop::Shop;

/// How long anybody asks again while something is away.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long it may take after the last fault until every order has ended.
const ENDS_WITHIN: Duration = Duration::from_secs(600);
/// No more orders go on at once: a shop that is away is not asked by ever more people.
const AT_ONCE: usize = 2_000;
/// How many of what is wrong are named.
const NAMED: usize = 20;

/// Breaks a shop under load in every way, by a schedule that the seed draws, and checks that nothing was lost or done twice.
#[derive(Debug, Parser)]
#[command(name = "quadrille chaos")]
pub struct ChaosArgs {
    /// How long orders come and faults happen.
    #[arg(long, value_name = "M", default_value_t = 2.0)]
    minutes: f64,
    /// Draws the schedule; drawn itself when it isn't given.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Orders a second.
    #[arg(long, value_name = "R", default_value_t = 5.0)]
    rate: f64,
    /// Faults a minute.
    #[arg(long, value_name = "N", default_value_t = 12)]
    faults: u32,
    /// On Apache Kafka, which it starts, instead of the embedded broker.
    #[arg(long)]
    kafka: bool,
    /// Prints the schedule and does nothing.
    #[arg(long)]
    plan: bool,
    /// Where the picture goes; beside the data when it isn't given.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Keeps the data folder, logs included, even when all went well.
    #[arg(long)]
    keep: bool,
}

/// Runs it and returns whether everything was as it must be.
pub async fn run(arguments: &ChaosArgs) -> anyhow::Result<bool> {
    ensure!(arguments.minutes >= 0.5 && arguments.minutes <= 1_440.0, "--minutes is from 0.5 to 1440");
    ensure!((1..=600).contains(&arguments.faults), "--faults is from 1 to 600");
    ensure!(arguments.rate > 0.0 && arguments.rate <= 1_000.0, "--rate is above 0, and at most 1000");
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let over = Duration::from_secs_f64(arguments.minutes * 60.0);
    let kafka = arguments.kafka;
    let plan = schedule::draw(seed, over, arguments.faults, |kind, whom| is_possible(kafka, kind, whom));
    if arguments.plan {
        say(&format!("seed {seed}"));
        plan.iter().for_each(|fault| say(&line(fault)));
        return Ok(true);
    }
    let folder = fresh_folder("chaos")?;
    let on = if kafka { "Apache Kafka" } else { "the embedded broker" };
    say(&format!(
        "seed {seed}; {} faults in {:.1} minutes on {on}; data and logs in {}",
        plan.len(),
        arguments.minutes,
        folder.display()
    ));
    let outcome = Run { arguments, seed, over, folder: &folder }.play(plan).await;
    if matches!(outcome, Ok(true)) && !arguments.keep {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    } else {
        say(&format!("kept for a look: {}", folder.display()));
    }
    outcome
}

/// The embedded broker keeps nothing, and is a part of the run: it is killed there, and not through a link.
fn is_possible(kafka: bool, kind: Kind, whom: &str) -> bool {
    let of_a_server_that_stays = matches!((whom, kind), ("kafka", Kind::ServerFrozen) | (_, Kind::Repeated));
    kafka || (whom != "to kafka" && !of_a_server_that_stays)
}

struct Run<'a> {
    arguments: &'a ChaosArgs,
    seed: u64,
    over: Duration,
    folder: &'a Path,
}

impl Run<'_> {
    async fn play(&self, plan: Vec<Planned>) -> anyhow::Result<bool> {
        let servers = Servers::start(self.folder, self.arguments.kafka).await?;
        let url = servers.linked_url();
        let mut told = vec!["--no-auth".to_owned(), "--database-url".to_owned(), url];
        if let Some(bootstrap) = servers.bootstrap() {
            told.extend(["--kafka".to_owned(), bootstrap]);
        }
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        let mut shop = Shop::start(&program("quadrille")?, self.folder, &told).await?;
        shop.api.add_product(SKU, ON_HAND).await?;
        shop.api.add_product(SHORT_SKU, SHORT_ON_HAND).await?;
        let holds = self.with_shop(&shop, &servers, plan).await?;
        shop.stop().await?;
        servers.stop().await?;
        Ok(holds)
    }

    async fn with_shop(&self, shop: &Shop, servers: &Servers, plan: Vec<Planned>) -> anyhow::Result<bool> {
        let start = Instant::now();
        let ledger = Ledger::new(start);
        let api = shop.api.clone().patient_for(PATIENCE);
        let world = World { api: api.clone(), http: reqwest::Client::new(), servers, at: shop.addresses()? };
        let (ends, quiet) = (CancellationToken::new(), CancellationToken::new());
        let mut figures = Figures::default();
        let course = async {
            let _whatever_happens = quiet.clone().drop_guard();
            let orders = self.orders(&api, &ledger, ends.clone());
            let (done, lives) = tokio::join!(bring_all(&world, plan, start, self.over), orders);
            world.well_gateway().await?;
            say(&format!("the last fault has ended; {} orders go on", ledger.counts().1));
            lives.close();
            let ended = tokio::time::timeout(ENDS_WITHIN, lives.wait()).await;
            anyhow::Ok((done, ended.is_ok()))
        };
        let stopping = async {
            sleep_until((start + self.over).into()).await;
            ends.cancel();
        };
        let (course, (), ()) = tokio::join!(course, stopping, watch(&mut figures, &api, &ledger, start, &quiet));
        let (done, all_ended) = course?;
        let entries = ledger.all();
        let poisoned: BTreeSet<String> = done.iter().filter_map(Done::poisoned).collect();
        let mut verdict = verdict::look(&api, &world.at, &entries, &poisoned).await;
        verdict.wrong.extend(troubles(&done));
        if !all_ended {
            let open = entries.iter().filter(|entry| entry.ended.is_none() && entry.wrong.is_none());
            let named: Vec<_> = open.clone().take(NAMED).map(|entry| (entry.plan, entry.id.as_deref())).collect();
            verdict.wrong.push(format!("{} orders have not ended: {named:?}", open.count()));
        }
        self.report(&ledger, &done, &figures, &verdict)?;
        tell_of(&world, &entries, &verdict).await;
        Ok(verdict.wrong.is_empty())
    }

    /// Has orders come until told to stop; returns those that still go on.
    async fn orders(&self, api: &quadrille::api::Api, ledger: &Ledger, ends: CancellationToken) -> TaskTracker {
        let (lives, room) = (TaskTracker::new(), Arc::new(Semaphore::new(AT_ONCE)));
        let mut rng = StdRng::seed_from_u64(self.seed ^ 0x0072_6465_7273);
        let mut ticks = interval(Duration::from_secs_f64(1.0 / self.arguments.rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = ends.cancelled() => return lives,
            }
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
            let plan = Plan::ALL[rng.random_range(0..Plan::ALL.len())];
            let (quantity, wait) = (rng.random_range(2..5), Duration::from_millis(rng.random_range(0..4_000)));
            let (api, ledger) = (api.clone(), ledger.clone());
            let number = ledger.open(plan, quantity);
            lives.spawn(async move {
                live(api, ledger, number, plan, quantity, wait).await;
                drop(place);
            });
        }
    }

    fn report(&self, ledger: &Ledger, done: &[Done], figures: &Figures, verdict: &Verdict) -> anyhow::Result<()> {
        let (brought, missed): (Vec<_>, Vec<_>) = done.iter().partition(|fault| fault.missed.is_none());
        let mut by_kind = BTreeMap::<Kind, Vec<Option<Duration>>>::new();
        for fault in &brought {
            by_kind.entry(fault.planned.kind).or_default().push(ledger.served_after(fault.ended));
        }
        let plans: Vec<_> = ledger.by_plan().iter().map(|(plan, count)| format!("{count} {plan:?}")).collect();
        say(&format!("orders: {} ({})", ledger.counts().0, plans.join(", ")));
        say(&format!("faults: {} of {} kinds; {} missed", brought.len(), by_kind.len(), missed.len()));
        for (kind, times) in &by_kind {
            let mut known: Vec<_> = times.iter().flatten().map(Duration::as_secs_f64).collect();
            known.sort_by(f64::total_cmp);
            let after = match (known.get(known.len() / 2), known.last()) {
                (Some(median), Some(most)) => {
                    format!("a new order was at its end {median:.1} s later (median; at most {most:.1})")
                }
                _ => "no order came after".to_owned(),
            };
            say(&format!("  {:>3} {:<17} {after}", times.len(), kind.name()));
        }
        for fault in missed {
            say(&format!("  missed: {}: {}", line(&fault.planned), fault.missed.as_deref().unwrap_or_default()));
        }
        say(&format!(
            "topics: {} records, {} of them came again; services passed over {:.0}; dropped {} dead letters that faults made",
            verdict.records,
            verdict.again,
            figures.duplicates(),
            verdict.dropped
        ));
        let last = figures.points.last().map_or(self.over, |point| point.at);
        let title = format!("seed {}: {} orders, {} faults", self.seed, ledger.counts().0, brought.len());
        let picture = self.arguments.picture.clone().unwrap_or_else(|| self.folder.with_extension("svg"));
        fs::write(&picture, picture::draw(done, &figures.points, last, &title))
            .with_context(|| format!("writing {}", picture.display()))?;
        say(&format!("picture: {}", picture.display()));
        match verdict.wrong.is_empty() {
            true => say(&format!("everything is as it must be: {} rules of the audit, and the ledger", verdict.rules)),
            false => say(&format!("{} things are WRONG (seed {}):", verdict.wrong.len(), self.seed)),
        }
        verdict.wrong.iter().take(NAMED).for_each(|wrong| say(&format!("  {wrong}")));
        Ok(())
    }
}

/// Why this run says nothing, if its faults did not happen or could not be ended.
fn troubles(done: &[Done]) -> Vec<String> {
    let stays = done.iter().filter_map(|fault| Some((fault, fault.stays.as_ref()?)));
    let mut troubles: Vec<_> =
        stays.map(|(fault, why)| format!("a fault could not be ended ({}): {why}", line(&fault.planned))).collect();
    let mut by_kind = BTreeMap::<Kind, (usize, usize)>::new();
    for fault in done {
        let (all, missed) = by_kind.entry(fault.planned.kind).or_default();
        *all += 1;
        *missed += usize::from(fault.missed.is_some());
    }
    let never = by_kind.iter().filter(|(_, (all, missed))| *all > 1 && all == missed);
    troubles.extend(never.map(|(kind, (all, _))| format!("none of {all} faults came about: {}", kind.name())));
    if done.iter().all(|fault| fault.missed.is_some()) {
        troubles.push("no fault came about: this run shows nothing".to_owned());
    }
    troubles
}

/// Brings each fault about at its time, and waits until all have ended and the time is over.
async fn bring_all(world: &World<'_>, plan: Vec<Planned>, start: Instant, over: Duration) -> Vec<Done> {
    let faults = plan.into_iter().map(|planned| async move {
        sleep_until((start + planned.at).into()).await;
        say(&line(&planned));
        world.bring(planned, start).await
    });
    let (done, ()) = tokio::join!(futures_util::future::join_all(faults), sleep_until((start + over).into()));
    done
}

/// Looks every second until told to stop, and says every ten how it goes.
async fn watch(
    figures: &mut Figures,
    api: &quadrille::api::Api,
    ledger: &Ledger,
    start: Instant,
    stop: &CancellationToken,
) {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count = 0_u64;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        figures.look(api, ledger, start).await;
        count += 1;
        if let Some(point) = figures.points.last().filter(|_| count.is_multiple_of(10)) {
            say(&format!(
                "{:>5.0} s: {} orders accepted, {} go on; {:.0} rows pending, lag {:.0}",
                point.at.as_secs_f64(),
                point.accepted,
                point.open,
                point.pending,
                point.lag
            ));
        }
    }
}

/// Shows what the first orders that are wrong went through.
async fn tell_of(world: &World<'_>, entries: &[Entry], verdict: &Verdict) {
    let ids = entries.iter().filter_map(|entry| entry.id.as_deref());
    let wrong = ids.filter(|id| verdict.wrong.iter().any(|wrong| wrong.contains(id)));
    for order in wrong.take(3) {
        let told = verdict::told(&world.at, order).await.unwrap_or_else(|error| format!("  {error:#}"));
        say(&format!("order {order}:\n{told}"));
    }
}

fn line(fault: &Planned) -> String {
    let Planned { at, kind, whom, lasts, .. } = fault;
    format!("{:>7.1} s  {:<17} {whom}, {:.1} s", at.as_secs_f64(), kind.name(), lasts.as_secs_f64())
}
