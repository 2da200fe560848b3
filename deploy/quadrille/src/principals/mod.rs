//! `quadrille principals`: who may do what at the brokers. An event is believed because only its producer may write its topic.

mod acl;
mod rights;
mod session;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::{Args, Subcommand};
use service_kit::retry::Backoff;
use tokio::time::sleep;

pub use self::acl::{Acl, Operation, Resource};
pub use self::rights::{ANONYMOUS, READER, all, heard, relay_of, written};
use self::session::Session;
use crate::cluster::{Cluster, ClusterArgs};

/// How long a Kafka that is being started is waited for.
const START: Duration = Duration::from_secs(120);
/// How long a change may take until the broker that was asked knows it.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);

/// What to do with rights, and on which Kafka.
#[derive(Debug, Args)]
pub struct PrincipalsArgs {
    /// What to do; without it, the commands of Kafka's own tool that give the rights are printed, for any cluster.
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Gives each principal of the shop its rights, and takes those that it has beyond them. Other principals are left alone.
    Create {
        /// Lets whoever gives no name read as the tools may, where the brokers have a listener that asks for none.
        #[arg(long)]
        anonymous_reads: bool,
    },
}

/// Does what is asked for and writes the answer to `out`.
pub async fn principals(arguments: &PrincipalsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    match arguments.action {
        None => print(&all(false), out),
        Some(Action::Create { anonymous_reads }) => {
            let cluster = arguments.cluster.cluster()?;
            let Changed { given, taken, there } = create(&cluster, &all(anonymous_reads)).await?;
            for acl in &taken {
                writeln!(out, "taken away: {acl}")?;
            }
            writeln!(out, "{} rights were given, {there} were there", given.len())?;
            Ok(())
        }
    }
}

/// What [`create`] has changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Changed {
    pub given: Vec<Acl>,
    pub taken: Vec<Acl>,
    /// How many were right already.
    pub there: usize,
}

/// Sees to it that the principals that are named in `wanted` have these rights and no others, and that the broker knows it.
/// Fails if no broker answers, or the principal of this program may not change rights.
pub async fn create(cluster: &Cluster, wanted: &BTreeSet<Acl>) -> anyhow::Result<Changed> {
    // It says what is wrong with the way to the brokers.
    let asked = cluster.clone();
    tokio::task::spawn_blocking(move || asked.connect("quadrille-principals")?.metadata(START).map(drop)).await??;
    let mut session = Session::open(&cluster.0).await?;
    let before = of_ours(&mut session, wanted).await?;
    let given: Vec<_> = wanted.difference(&before).collect();
    let taken: Vec<_> = before.difference(wanted).collect();
    session.create(&given).await?;
    session.delete(&taken).await?;
    let (until, mut backoff) =
        (Instant::now() + KNOWN_WITHIN, Backoff::new(Duration::from_millis(20), Duration::from_secs(1)));
    while of_ours(&mut session, wanted).await? != *wanted {
        if Instant::now() >= until {
            bail!("the rights were changed, and the broker doesn't know them {} s later", KNOWN_WITHIN.as_secs());
        }
        sleep(backoff.next_wait()).await;
    }
    let owned = |acls: &[&Acl]| acls.iter().map(|acl| (*acl).clone()).collect();
    Ok(Changed { there: wanted.len() - given.len(), given: owned(&given), taken: owned(&taken) })
}

/// What the broker lets the principals do that are named in `wanted`.
async fn of_ours(session: &mut Session, wanted: &BTreeSet<Acl>) -> anyhow::Result<BTreeSet<Acl>> {
    let ours: BTreeSet<_> = wanted.iter().map(|acl| acl.principal.as_str()).collect();
    let mut found = session.acls().await?;
    found.retain(|acl| ours.contains(acl.principal.as_str()));
    Ok(found)
}

/// The commands of Kafka's own tool: one for each principal, kind of resource and set of operations.
fn print(rights: &BTreeSet<Acl>, out: &mut impl Write) -> anyhow::Result<()> {
    let mut operations: BTreeMap<(&str, Resource, &str), Vec<String>> = BTreeMap::new();
    for acl in rights {
        operations.entry((&acl.principal, acl.resource, &acl.name)).or_default().push(acl.operation.name());
    }
    let mut names: BTreeMap<(&str, Resource, Vec<String>), Vec<&str>> = BTreeMap::new();
    for ((principal, resource, name), operations) in operations {
        names.entry((principal, resource, operations)).or_default().push(name);
    }
    for ((principal, resource, operations), names) in names {
        write!(out, "kafka-acls.sh --bootstrap-server HOST:PORT --command-config admin.properties --add")?;
        write!(out, " --allow-principal {principal}")?;
        operations.iter().try_for_each(|operation| write!(out, " --operation {operation}"))?;
        match resource {
            Resource::TOPIC => names.iter().try_for_each(|name| write!(out, " --topic '{name}'"))?,
            Resource::GROUP => names.iter().try_for_each(|name| write!(out, " --group '{name}'"))?,
            _ => write!(out, " --cluster")?,
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_of_kafkas_own_tool_name_each_principal_with_its_topics() {
        let mut out = Vec::new();
        print(&all(false), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let line = text.lines().find(|line| line.contains("User:payment-relay")).unwrap();
        assert!(
            line.contains(
                "--operation Write --operation DescribeConfigs --topic 'payment-svc.dlq' --topic 'payments.v1'"
            ),
            "{line}"
        );
        let service: Vec<_> = text.lines().filter(|line| line.contains("User:payment-svc ")).collect();
        assert_eq!(service.len(), 2, "{service:?}");
        assert!(service.iter().any(|line| line.ends_with("--operation Read --group 'payment-svc'")), "{service:?}");
        assert!(!text.contains(ANONYMOUS));
    }
}
