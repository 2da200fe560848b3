//! The Docker engine, through its command line.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::{process::Command, time::timeout};

use super::shell::last_lines;

const PATIENCE: Duration = Duration::from_secs(90);

/// A container as `docker inspect` shows it.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub id: String,
    pub name: String,
    /// The service of the compose file that it belongs to.
    pub service: String,
    /// `running`, `exited`, ...
    pub status: String,
    /// `starting`, `healthy` or `unhealthy`; none without a health check.
    pub health: Option<String>,
    pub exit_code: i64,
    pub pid: i64,
    /// How often its restart policy brought it back.
    pub restarts: i64,
    facts: Value,
}

/// Where a container's port can be reached from the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Published {
    pub address: String,
    pub port: String,
}

impl Container {
    fn of(facts: Value) -> anyhow::Result<Self> {
        let text = |pointer: &str| facts.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |pointer: &str| facts.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
        let container = Self {
            id: text("/Id"),
            name: text("/Name").trim_start_matches('/').to_owned(),
            service: text("/Config/Labels/com.docker.compose.service"),
            status: text("/State/Status"),
            health: facts.pointer("/State/Health/Status").and_then(Value::as_str).map(str::to_owned),
            exit_code: number("/State/ExitCode"),
            pid: number("/State/Pid"),
            restarts: number("/RestartCount"),
            facts,
        };
        if container.id.is_empty() {
            bail!("docker inspect shows no id");
        }
        Ok(container)
    }

    /// Whatever `docker inspect` shows at a JSON pointer; null where there is nothing.
    pub fn fact(&self, pointer: &str) -> &Value {
        self.facts.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Its address in its first network. Fails if it doesn't run.
    pub fn address(&self) -> anyhow::Result<&str> {
        let networks = self.fact("/NetworkSettings/Networks").as_object();
        let mut addresses = networks.into_iter().flat_map(|networks| networks.values());
        let address = addresses.find_map(|network| network["IPAddress"].as_str().filter(|text| !text.is_empty()));
        address.with_context(|| format!("{} has no address", self.name))
    }

    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut all = self.fact("/Config/Env").as_array()?.iter().filter_map(Value::as_str);
        all.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// Whether it runs and, if it has a health check, passes it.
    pub fn is_well(&self) -> bool {
        self.status == "running" && self.health.as_deref().is_none_or(|health| health == "healthy")
    }

    /// Every port of it that the host publishes.
    pub fn published(&self) -> Vec<Published> {
        let ports = self.fact("/NetworkSettings/Ports").as_object();
        let bindings = ports.into_iter().flat_map(|ports| ports.values()).filter_map(Value::as_array).flatten();
        let text = |binding: &Value, field: &str| binding[field].as_str().unwrap_or_default().to_owned();
        bindings.map(|to| Published { address: text(to, "HostIp"), port: text(to, "HostPort") }).collect()
    }
}

/// All containers of a compose project, running or not, but not those of `docker compose run`.
pub(super) async fn containers(project: &str) -> anyhow::Result<Vec<Container>> {
    let label = format!("label=com.docker.compose.project={project}");
    let ids = docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &label]).await?;
    let mut arguments = vec!["inspect"];
    arguments.extend(ids.split_whitespace());
    if arguments.len() == 1 {
        return Ok(Vec::new());
    }
    let shown: Vec<Value> = serde_json::from_str(&docker(&arguments).await?).context("docker inspect")?;
    let mut containers = shown.into_iter().map(Container::of).collect::<anyhow::Result<Vec<_>>>()?;
    containers.retain(|container| container.fact("/Config/Labels/com.docker.compose.oneoff") != "True");
    containers.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(containers)
}

/// One container as it is now. Fails if it is gone.
pub(super) async fn inspect(id: &str) -> anyhow::Result<Container> {
    let shown: Vec<Value> = serde_json::from_str(&docker(&["inspect", id]).await?).context("docker inspect")?;
    Container::of(shown.into_iter().next().with_context(|| format!("no container {id}"))?)
}

/// Runs the docker client and returns its standard output. Fails if it does, or takes longer than 90 seconds.
pub(super) async fn docker(arguments: &[&str]) -> anyhow::Result<String> {
    let (success, out, err) = asked(arguments).await?;
    if !success {
        bail!("`docker {}` failed: {}", shown(arguments), last_lines(&err, 5));
    }
    Ok(out)
}

/// Runs the docker client for up to 90 seconds. Returns whether it went well, and both its outputs together.
pub(super) async fn tried(arguments: &[&str]) -> anyhow::Result<(bool, String)> {
    asked(arguments).await.map(|(success, out, err)| (success, out + err.as_str()))
}

async fn asked(arguments: &[&str]) -> anyhow::Result<(bool, String, String)> {
    let mut command = Command::new("docker");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await;
    let output = output.with_context(|| format!("`docker {}` takes too long", shown(arguments)))?;
    let output = output.context("starting docker")?;
    let text = |raw: Vec<u8>| String::from_utf8_lossy(&raw).into_owned();
    Ok((output.status.success(), text(output.stdout), text(output.stderr)))
}

fn shown(arguments: &[&str]) -> String {
    arguments.iter().take(6).copied().collect::<Vec<_>>().join(" ")
}
