//! Kafka Connect, standalone, with Debezium's connector for PostgreSQL: for comparisons.

use std::{fs, path::Path};

use anyhow::Context;
use tokio::process::Command;

use super::{jars, java};
use crate::process::{ServerProcess, rotate_log};

/// Settings of the worker or of a connector, by their names.
pub type Settings<'a> = [(&'a str, String)];

/// Starts one worker with one connector, whose files are in `folder`. The first start on a machine fetches the jars. What the
/// worker complains of later is in its log.
pub async fn start(
    folder: &Path,
    options: &[&str],
    worker: &Settings<'_>,
    connector: &Settings<'_>,
) -> anyhow::Result<ServerProcess> {
    let class_path = jars::class_path_of_connect().await?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let (worker_file, connector_file) = (folder.join("worker.properties"), folder.join("connector.properties"));
    for (file, settings) in [(&worker_file, worker), (&connector_file, connector)] {
        let lines: String = settings.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        fs::write(file, lines).with_context(|| format!("writing {}", file.display()))?;
    }
    let log4j = folder.join("log4j2.properties");
    fs::write(&log4j, super::config::LOG4J)?;
    let mut command = Command::new(java::find()?);
    command.args(options).arg("-Djava.awt.headless=true");
    command.arg(format!("-Dlog4j2.configurationFile=file:{}", log4j.display()));
    command.arg("-cp").arg(class_path).arg("org.apache.kafka.connect.cli.ConnectStandalone");
    command.arg(worker_file).arg(connector_file);
    let log = folder.join("connect.log");
    rotate_log(&log)?;
    ServerProcess::spawn("Kafka Connect", command, &log)
}
