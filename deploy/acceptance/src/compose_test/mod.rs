//! The compose file, run for real: through the published ports, with nothing but its own defaults and the commands that the
//! documents give. Each point prints a line with its figures.

mod book;
mod buyer;
mod engine;
mod groups;
mod load;
mod points;
mod readme;
mod shell;
mod stack;
mod tour;

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use clap::Parser;
use service_kit::shutdown;

use self::load::Load;
use self::points::{
    SETTLES, WELL_AGAIN, audit, bad_input, curls, down_and_up, ends, file, forgery, hardening, image, killed, profiles,
    relays, restart_policy, rights, second_instances, too_few_partitions, up,
};
use self::stack::Stack;
use self::tour::{Kind, Tour};
use crate::report::{Report, say};

const DOWN_WITHIN: Duration = Duration::from_secs(180);

/// Runs docker-compose.yml in the current folder and puts the shop through its paces. The environment names the images and
/// COMPOSE_PROJECT_NAME; `make test-compose` sets both.
#[derive(Debug, Parser)]
#[command(name = "quadrille-compose-test")]
pub struct ComposeTestArgs {
    /// Only the points whose name contains this; the shop is started and stopped in any case.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Leaves the shop running at the end.
    #[arg(long)]
    keep: bool,
    /// Leaves out the long points: kills one container of each kind instead of all, and starts no second instances.
    #[arg(long)]
    short: bool,
}

/// Runs all points and returns how many failed. Fails if the shop can't be started at all.
pub async fn run(arguments: &ComposeTestArgs) -> anyhow::Result<usize> {
    let began = Instant::now();
    let root = std::env::current_dir()?;
    ensure!(root.join("docker-compose.yml").is_file(), "there is no docker-compose.yml in {}", root.display());
    ensure!(!root.join(".env").exists(), "there is a .env; the test runs with the defaults: move it away");
    let stack = Stack::new(&root)?;
    let mut run = Run {
        tour: Tour::plan(&root, &stack.shell)?,
        load: Load::new(stack.api.clone()),
        report: Report::new(&arguments.only),
        short: arguments.short,
        whole: arguments.only.is_empty(),
        stack,
    };
    // what an earlier run may have left
    let profiles = ["scale", "tools", "edge", "observability"].map(|name| ["--profile", name]).concat();
    let clean = [&profiles[..], &["down", "--volumes", "--remove-orphans"]].concat();
    run.stack.compose(&clean, DOWN_WITHIN).await?.ok("docker compose down")?;
    let stop = shutdown::signal()?;
    let outcome = tokio::select! {
        outcome = run.all() => outcome,
        () = stop.cancelled() => Err(anyhow!("told to stop")),
    };
    if outcome.is_err() {
        run.stack.keep_logs("the end").await;
    }
    if arguments.keep {
        say("the shop is left running");
    } else {
        run.stack.compose(&clean, DOWN_WITHIN).await?.ok("docker compose down")?;
    }
    outcome?;
    say(&format!("{} points failed, {} s", run.report.failed(), began.elapsed().as_secs()));
    Ok(run.report.failed())
}

struct Run {
    stack: Stack,
    tour: Tour,
    load: Load,
    report: Report,
    short: bool,
    /// From the start to the end of the shop, not only chosen points.
    whole: bool,
}

/// Tries a point out. If it fails, its containers' logs are kept; the test ends if the shop isn't well again, since
/// each of the other points would wait in vain.
macro_rules! point {
    ($run:ident, $name:expr, $work:expr) => {{
        let name: &str = $name;
        if !$run.report.point(name, $work).await {
            $run.stack.keep_logs(name).await;
            $run.stack.until_well(WELL_AGAIN).await.context("the shop isn't well again")?;
        }
    }};
}

impl Run {
    async fn all(&mut self) -> anyhow::Result<()> {
        self.report.point("the compose file", file::try_out(&self.stack)).await;
        say(&format!("ok    up: {}", up::try_out(&self.stack, &mut self.tour).await?));
        say(&format!("ok    products: {}", up::add_products(&self.stack).await?));
        let shelves = audit::shelves(&self.stack).await?;
        self.while_all_is_well().await?;
        self.load.begin();
        self.under_load().await?;
        point!(self, "bad input: variables", bad_input::variables(&self.stack));
        point!(self, "bad input: a newer schema", bad_input::newer_schema(&self.stack));
        point!(self, "bad input: a taken port, 1", bad_input::port_taken_inside(&self.stack));
        point!(self, "bad input: a taken port, 2", bad_input::port_taken_on_the_host(&self.stack));
        point!(self, "every order has ended", self.load.finish(SETTLES));
        self.add_up(&shelves).await?;
        point!(self, "bad input: too few partitions", too_few_partitions::try_out(&self.stack));
        if self.whole {
            self.report.point("gone for good", gone_for_good(&self.stack, &mut self.tour)).await;
        }
        if self.whole && !self.short {
            self.report.point("the documented commands", async { self.tour.account() }).await;
        }
        Ok(())
    }

    async fn while_all_is_well(&mut self) -> anyhow::Result<()> {
        point!(self, "the image", image::try_out(&self.stack));
        point!(self, "orders of each kind", ends::try_out(&self.stack, &self.load));
        point!(self, "the documented curls", curls::try_out(&self.stack));
        if let Some(order) = ends::completed(&self.load) {
            self.tour.remember("order", &order);
        }
        point!(self, "the documented looks", looks(&mut self.tour));
        point!(self, "optional tools", profiles::try_out(&self.stack, &mut self.tour));
        point!(self, "what containers may do", hardening::try_out(&self.stack, &self.tour));
        point!(self, "who may do what in PostgreSQL", rights::try_out(&self.stack));
        point!(self, "who may do what in Kafka", forgery::try_out(&self.stack));
        Ok(())
    }

    async fn under_load(&mut self) -> anyhow::Result<()> {
        let victims = if self.short { &killed::ONE_OF_A_KIND[..] } else { &killed::VICTIMS[..] };
        for victim in victims.iter().copied() {
            point!(self, &format!("{victim} killed"), killed::try_out(&self.stack, &self.load, &mut self.tour, victim));
        }
        point!(self, "a process that dies", restart_policy::try_out(&self.stack, &self.load, "payment-svc"));
        point!(self, "three relays", relays::try_out(&self.stack, &self.load, &mut self.tour));
        if !self.short {
            point!(self, "second instances", second_instances::try_out(&self.stack, &self.load, &mut self.tour));
        }
        // only what was left running the whole time can tell: `down` forgets
        point!(self, "nothing else died", audit::containers(&self.stack, Some("payment-svc")));
        point!(self, "down and up", down_and_up::try_out(&self.stack, &self.load, &mut self.tour));
        Ok(())
    }

    async fn add_up(&mut self, shelves: &audit::Shelves) -> anyhow::Result<()> {
        point!(self, "audit: orders", audit::orders(&self.stack, &self.load));
        point!(self, "audit: money", audit::money(&self.stack));
        point!(self, "audit: stock", audit::stock(&self.stack, shelves));
        point!(self, "audit: nothing left", audit::nothing_left(&self.stack));
        point!(self, "audit: containers", audit::containers(&self.stack, None));
        Ok(())
    }
}

async fn looks(tour: &mut Tour) -> anyhow::Result<String> {
    let count = tour.run(Kind::LogIn).await? + tour.run(Kind::Look).await? + tour.run_any(Kind::Follow).await?;
    Ok(format!("{count} commands that look into the shop, as written"))
}

const ENDPOINTS_GO_WITHIN: Duration = Duration::from_secs(10);

async fn gone_for_good(stack: &Stack, tour: &mut Tour) -> anyhow::Result<String> {
    let ghosts = stack.without_ghosts().await?;
    // an engine may also keep an endpoint that it doesn't show, for a moment or for good (moby issue 42119)
    if let Err(error) = tour.run(Kind::Remove).await {
        ensure!(format!("{error:#}").contains("has active endpoints"), error);
        tokio::time::sleep(ENDPOINTS_GO_WITHIN).await;
        tour.run(Kind::Remove).await?;
    }
    profiles::all_gone(stack).await?;
    let volumes = stack.volumes().await?;
    ensure!(volumes.is_empty(), "volumes are left: {}", volumes.join(", "));
    let ghosts = if ghosts.is_empty() { String::new() } else { format!("; the engine had kept {}", ghosts.join(", ")) };
    Ok(format!("no container and no volume is left{ghosts}"))
}
