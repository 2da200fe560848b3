use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

const ANSWER: Duration = Duration::from_secs(10);

pub(super) async fn delete(bootstrap: &str, topic: &str) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let options = AdminOptions::new().operation_timeout(Some(ANSWER));
    for deleted in admin.delete_topics(&[topic], &options).await? {
        deleted.map_err(|(topic, code)| anyhow::anyhow!("{topic} can't be deleted: {code}"))?;
    }
    Ok(())
}
