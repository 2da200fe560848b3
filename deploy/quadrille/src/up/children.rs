//! The services of a run, as children.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quadrille_servers::process::{ServerProcess, rotate_log};
use tokio::{process::Command, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::output::Follower;
use super::registry::Registry;
use super::supervisor::{self, Supervised};
use crate::{plan::Plan, service::Service};

/// How long the services get to drain; with what Kafka and PostgreSQL get, all ends within 20 seconds.
const SERVICES_PATIENCE: Duration = Duration::from_secs(9);
/// The services of a run, each kept alive by a task.
pub(super) struct Children<'a> {
    pub plan: &'a Plan,
    pub binary: PathBuf,
    pub logs: PathBuf,
    pub shown: bool,
    pub registry: &'a Arc<Registry>,
    pub stop: &'a CancellationToken,
    pub children: JoinSet<()>,
}

impl Children<'_> {
    /// Starts these, and starts them again until the run ends.
    pub fn start(&mut self, services: &[Service]) -> anyhow::Result<()> {
        for service in services {
            let child = ServiceChild::new(*service, self.plan, &self.binary, &self.logs)?;
            if self.shown {
                self.children.spawn(Follower::new(service.name(), &child.log).follow(self.stop.clone()));
            }
            self.children.spawn(supervisor::keep_alive(child, Arc::clone(self.registry), self.stop.clone()));
        }
        Ok(())
    }
}

/// A service as a child: this very program, told to run it.
#[derive(Debug, Clone)]
struct ServiceChild {
    service: Service,
    binary: PathBuf,
    environment: Vec<(&'static str, String)>,
    plain_kafka: bool,
    log: PathBuf,
}

impl ServiceChild {
    fn new(service: Service, plan: &Plan, binary: &Path, logs: &Path) -> anyhow::Result<Self> {
        let log = logs.join(format!("{}.log", service.name()));
        rotate_log(&log)?;
        let mut environment = plan.environment(service);
        environment.push(("LOG_FORMAT", "pretty".to_owned()));
        Ok(Self { service, binary: binary.to_owned(), environment, plain_kafka: plan.kafka.is_plain(), log })
    }
}

impl Supervised for ServiceChild {
    type Running = ServerProcess;

    fn name(&self) -> &'static str {
        self.service.name()
    }

    async fn start(&self) -> anyhow::Result<ServerProcess> {
        let mut command = Command::new(&self.binary);
        if self.plain_kafka {
            // What the environment says of another Kafka is not meant for this one.
            service_kit::kafka::security_vars::ALL.iter().for_each(|var| _ = command.env_remove(var.name));
        }
        command.args(["run", self.service.name()]).envs(self.environment.iter().map(|(name, value)| (name, value)));
        ServerProcess::spawn(self.service.name(), command, &self.log)
    }

    fn patience(&self) -> Duration {
        SERVICES_PATIENCE
    }
}
