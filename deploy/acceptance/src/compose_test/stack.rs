//! The shop as the compose file describes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use quadrille::api::Api;
use quadrille::login::{self, Person};
use quadrille::service::Service;
use serde_json::Value;

use super::engine::{self, Container};
use super::shell::{Output, Shell, a_moment, last_lines};
use crate::report::say;

/// What runs once and ends.
const JOBS: [&str; 4] = ["databases", "topics", "principals", "catalogue"];
/// How often a long wait says that it still waits.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// How long any request may take: a container that is being killed may never answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Longer than anything is away in this test.
const PATIENCE: Duration = Duration::from_secs(300);
/// Kafka's door for the host, where nobody gives a name and nobody may write.
pub(super) const KAFKA: &str = "127.0.0.1:19092";
/// Its door for those who log in.
pub(super) const KAFKA_BY_NAME: &str = "127.0.0.1:19093";

/// The project in the engine.
#[derive(Debug, Clone)]
pub(super) struct Stack {
    pub root: PathBuf,
    /// Where transcripts and containers' logs are kept.
    pub notes: PathBuf,
    pub shell: Shell,
    pub api: Api,
    project: String,
}

impl Stack {
    /// The project of `COMPOSE_PROJECT_NAME`, run from `root`. Fails without that variable: a shop that somebody uses
    /// could be torn down.
    pub fn new(root: &Path) -> anyhow::Result<Self> {
        let project = std::env::var("COMPOSE_PROJECT_NAME").ok().filter(|name| !name.is_empty());
        let project = project.context("COMPOSE_PROJECT_NAME is not set; start the test by `make test-compose`")?;
        let notes = root.join("target").join("compose-test");
        fs::create_dir_all(&notes).with_context(|| format!("making {}", notes.display()))?;
        let shell = Shell::new(root, notes.join("transcript.txt"))?;
        Ok(Self {
            root: root.to_owned(),
            notes,
            shell,
            api: Api::new(doors(), ANSWERS_WITHIN)?.patient_for(PATIENCE),
            project,
        })
    }

    /// `docker compose` with these arguments. Fails if it doesn't end in time.
    pub async fn compose(&self, arguments: &[&str], within: Duration) -> anyhow::Result<Output> {
        let arguments: Vec<_> = ["compose"].iter().chain(arguments).copied().collect();
        self.shell.program("docker", &arguments, within).await
    }

    pub async fn containers(&self) -> anyhow::Result<Vec<Container>> {
        engine::containers(&self.project).await
    }

    pub async fn volumes(&self) -> anyhow::Result<Vec<String>> {
        let label = format!("label=com.docker.compose.project={}", self.project);
        let names = engine::docker(&["volume", "ls", "--quiet", "--filter", &label]).await?;
        Ok(names.split_whitespace().map(str::to_owned).collect())
    }

    /// Takes endpoints of containers that are gone from the project's network: an engine may keep one when a container goes
    /// just as it starts (moby issue 17217), and then never lets go of the network. Returns their names.
    pub async fn without_ghosts(&self) -> anyhow::Result<Vec<String>> {
        let network = format!("{}_default", self.project);
        let told = engine::docker(&["network", "inspect", &network]).await?;
        let told: Value = serde_json::from_str(&told).context("docker network inspect")?;
        let living: Vec<_> = self.containers().await?.into_iter().map(|container| container.id).collect();
        let mut ghosts = Vec::new();
        for (id, endpoint) in told[0]["Containers"].as_object().into_iter().flatten() {
            if !living.contains(id) {
                let name = endpoint["Name"].as_str().unwrap_or(id);
                engine::docker(&["network", "disconnect", "--force", &network, name]).await?;
                ghosts.push(name.to_owned());
            }
        }
        Ok(ghosts)
    }

    pub async fn instances(&self, service: &str) -> anyhow::Result<Vec<Container>> {
        let all = self.containers().await?;
        Ok(all.into_iter().filter(|container| container.service == service).collect())
    }

    /// A service's only container. Fails if there are none, or several.
    pub async fn only(&self, service: &str) -> anyhow::Result<Container> {
        let mut all = self.instances(service).await?;
        match (all.pop(), all.len()) {
            (Some(container), 0) => Ok(container),
            (_, more) => bail!("expected one container of {service}, there are {}", more + 1),
        }
    }

    /// Waits until every job is done and everything else is healthy. Returns how many containers that are. Fails if a
    /// job failed, or something isn't well in time, with the last that it said.
    pub async fn until_well(&self, within: Duration) -> anyhow::Result<usize> {
        let began = Instant::now();
        let mut told = began;
        loop {
            let containers = self.containers().await?;
            let (mut missing, mut broken) = (Vec::new(), None);
            for container in &containers {
                let is_job = JOBS.contains(&container.service.as_str());
                if is_job && container.status == "exited" && container.exit_code != 0 {
                    broken = Some(container);
                } else if !(container.is_well() || is_job && container.status == "exited") {
                    missing.push(container);
                }
            }
            if missing.is_empty() && broken.is_none() && !containers.is_empty() {
                return Ok(containers.len());
            }
            if broken.is_some() || began.elapsed() >= within {
                let worst = broken.or(missing.first().copied()).context("the project has no containers")?;
                let said = last_lines(&log_of(&worst.id).await, 4);
                bail!("{} is {}; the last it said: {said}", worst.service, state(worst));
            }
            if told.elapsed() >= SIGN_OF_LIFE {
                told = Instant::now();
                let names: Vec<_> = missing.iter().map(|container| container.service.as_str()).collect();
                say(&format!("      waiting for {}, {} s", names.join(", "), began.elapsed().as_secs()));
            }
            a_moment().await;
        }
    }

    pub async fn until_one_is_well(&self, id: &str, within: Duration) -> anyhow::Result<Container> {
        let until = Instant::now() + within;
        loop {
            let container = engine::inspect(id).await?;
            if container.is_well() {
                return Ok(container);
            }
            if Instant::now() >= until {
                let said = last_lines(&log_of(id).await, 4);
                bail!("{} is {} after {} s: {said}", container.service, state(&container), within.as_secs());
            }
            a_moment().await;
        }
    }

    /// Whom the broker knows, as its `sasl.jaas.config` says.
    pub async fn kafka_users(&self) -> anyhow::Result<String> {
        let kafka = self.only("kafka").await?;
        let jaas = kafka.variable("KAFKA_LISTENER_NAME_DEBUGGER_PLAIN_SASL_JAAS_CONFIG");
        Ok(jaas.context("the broker has no users")?.to_owned())
    }

    /// A token of somebody whom the sandbox issuer knows.
    pub async fn token(&self, person: Person) -> anyhow::Result<String> {
        login::token(&format!("http://localhost:{}", Service::SandboxIssuer.default_port()).parse()?, person).await
    }

    /// One value from a database, asked by its administrator in the container.
    pub async fn sql(&self, database: &str, statement: &str) -> anyhow::Result<String> {
        let postgres = self.only("postgres").await?;
        let user = postgres.variable("POSTGRES_USER").unwrap_or("postgres");
        let arguments = ["exec", &postgres.id, "psql", "-U", user, "-d", database, "-v", "ON_ERROR_STOP=1"];
        let arguments: Vec<_> = arguments.into_iter().chain(["-Atqc", statement]).collect();
        engine::docker(&arguments).await.map(|said| said.trim().to_owned())
    }

    /// Keeps what every container said, in a folder of `target/compose-test/logs`.
    pub async fn keep_logs(&self, name: &str) {
        let folder = self.notes.join("logs").join(name.replace(|char: char| !char.is_alphanumeric(), "-"));
        if fs::create_dir_all(&folder).is_err() {
            return;
        }
        for container in self.containers().await.unwrap_or_default() {
            let file = folder.join(format!("{}.log", container.name));
            fs::write(file, format!("{}\n{}", state(&container), log_of(&container.id).await)).ok();
        }
        say(&format!("      logs of all containers are in {}", folder.display()));
    }
}

fn state(container: &Container) -> String {
    let health = container.health.as_deref().unwrap_or("no health check");
    format!("{} ({health}, exit code {})", container.status, container.exit_code)
}

/// What a container said, as far as the engine still knows.
pub(super) async fn log_of(id: &str) -> String {
    engine::tried(&["logs", "--timestamps", id]).await.map(|(_, text)| text).unwrap_or_default()
}

/// Every program with an HTTP interface that the host can reach.
pub(super) fn with_a_door() -> impl Iterator<Item = Service> + Clone {
    Service::ALL.into_iter().filter(|service| *service != Service::OutboxRelay).chain([Service::SandboxIssuer])
}

/// The compose file's own ports.
fn doors() -> BTreeMap<String, String> {
    with_a_door()
        .map(|service| (service.name().to_owned(), format!("http://127.0.0.1:{}", service.default_port())))
        .collect()
}
