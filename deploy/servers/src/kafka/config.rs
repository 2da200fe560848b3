//! The files that a Kafka node reads. They are written anew at each start.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::secured::{Secured, SecuredPorts, escaped};

/// The cluster's id. Its value doesn't matter, since the one node listens only on loopback.
pub(super) const CLUSTER_ID: &str = "cXVhZHJpbGxlLWxvY2FsMQ";

/// Logs only what helps to understand a failed start.
pub(super) const LOG4J: &str = "\
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %m (%c{1})%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
logger.start.name=kafka.server.KafkaRaftServer
logger.start.level=info
";

#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    /// Writes both files, for a node on these ports of loopback. Of two lines for the same property the last holds, so the
    /// caller's `more` replace those before.
    pub fn write(
        folder: &Path,
        port: u16,
        controller_port: u16,
        secured: Option<(&Secured, SecuredPorts)>,
        more: &str,
    ) -> anyhow::Result<Self> {
        let files = Self { folder: folder.to_owned() };
        let mut properties = server_properties(&files.data(), port, controller_port, secured.map(|(_, ports)| ports));
        properties.extend(secured.map(|(secured, _)| secured.properties()));
        properties.push_str(more);
        fs::write(files.server(), properties).with_context(|| format!("writing {}", files.server().display()))?;
        fs::write(files.log4j(), LOG4J).with_context(|| format!("writing {}", files.log4j().display()))?;
        Ok(files)
    }

    pub fn server(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    pub fn log4j(&self) -> PathBuf {
        self.folder.join("log4j2.properties")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn is_formatted(&self) -> bool {
        self.data().join("meta.properties").exists() && self.data().join("bootstrap.checkpoint").exists()
    }
}

fn server_properties(data: &Path, port: u16, controller_port: u16, secured: Option<SecuredPorts>) -> String {
    let data = escaped(data);
    let more = secured.map_or(String::new(), |SecuredPorts { sasl, mutual }| {
        format!(",SASL://127.0.0.1:{sasl},MUTUAL://127.0.0.1:{mutual}")
    });
    format!(
        "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{more}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{more}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL
log.dirs={data}
# topics are made on purpose, with their partitions and retention
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# a killed node is let in again when its earlier self has timed out
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# a killed member is to be missed in seconds, a new one to get its partitions at once
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# one machine, few clients
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=8388608
log.index.size.max.bytes=1048576
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_sent_to_loopback_on_the_given_port_only() {
        let text = server_properties(Path::new("/data/kafka"), 19092, 19093, None);
        assert!(text.contains("advertised.listeners=PLAINTEXT://127.0.0.1:19092\n"));
        assert!(text.contains("log.dirs=/data/kafka\n"));
        assert!(!text.contains("0.0.0.0"));
    }
}
