//! `quadrille broker`: a broker in memory, which speaks Kafka's protocol. For local runs and tests: it knows no
//! replication and no security, and forgets everything when it ends.

#[cfg(feature = "embedded-broker")]
mod exact;
#[cfg(feature = "embedded-broker")]
mod long_poll;
#[cfg(feature = "embedded-broker")]
mod server;

use clap::Args;

#[cfg(feature = "embedded-broker")]
const NODE: i32 = 1;
#[cfg(feature = "embedded-broker")]
const CLUSTER: &str = "quadrille";

/// Where to listen.
#[derive(Debug, Clone, Copy, Args)]
pub struct BrokerArgs {
    /// The port on 127.0.0.1.
    #[arg(long, value_name = "PORT", default_value_t = 19092, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
}

/// Whether this program has the broker in it.
pub const IS_HERE: bool = cfg!(feature = "embedded-broker");

/// Serves until it is told to stop. Fails if the port is taken, or listening fails.
#[cfg(feature = "embedded-broker")]
pub async fn broker(arguments: BrokerArgs) -> anyhow::Result<()> {
    use anyhow::Context;
    use tansu_storage::StorageContainer;
    use url::Url;

    let stop = service_kit::shutdown::signal()?;
    quadrille_servers::port::claim(Some(arguments.port), "the embedded broker")?;
    let address = Url::parse(&format!("tcp://127.0.0.1:{}", arguments.port)).context("the broker's address")?;
    let storage = StorageContainer::builder()
        .node_id(NODE)
        .cluster_id(CLUSTER)
        .advertised_listener(address)
        .storage(Url::parse("memory://quadrille/").context("the broker's storage")?)
        .silent(true)
        .build()
        .await
        .map(exact::Exact::new)
        .context("the embedded broker's storage")?;
    let served = server::serve(arguments.port, storage);
    // What it holds is gone with it anyway: nothing to drain.
    stop.run_until_cancelled(served).await.unwrap_or(Ok(())).context("the embedded broker")
}

/// Fails: this program has no broker in it.
#[cfg(not(feature = "embedded-broker"))]
#[expect(clippy::unused_async, reason = "the same signature with and without the feature")]
pub async fn broker(_arguments: BrokerArgs) -> anyhow::Result<()> {
    anyhow::bail!(
        "this program was built without the feature embedded-broker: build it with, or take `quadrille up --kafka`"
    )
}
