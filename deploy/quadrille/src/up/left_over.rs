//! Ends what a killed run left behind: its children live on when only the runner got SIGKILL.

use std::{path::Path, time::Duration};

use nix::sys::signal::Signal;
use tokio::task::JoinSet;

use crate::addresses::Addresses;

const PATIENCE: Duration = Duration::from_secs(8);

/// Ends every process of the last run that still lives. Each is known by pid and start time, so no stranger that got a
/// pid again is hit; who holds the data folder's lock may call this, since the runner itself is then dead.
pub(super) async fn end(data: &Path) -> anyhow::Result<()> {
    let last = match Addresses::read(data) {
        Ok(Some(last)) => last,
        Ok(None) => return Ok(()),
        Err(error) => {
            tracing::warn!("{error:#}; what a killed run left behind is not looked for");
            return Ok(());
        }
    };
    let mut ending = JoinSet::new();
    for (name, process) in last.processes.into_iter().filter(|(_, process)| process.is_alive()) {
        tracing::info!(name, pid = process.pid, "ending what a killed run left behind");
        let first = if name == super::servers::POSTGRES { Signal::SIGINT } else { Signal::SIGTERM };
        let last = if name == super::servers::POSTGRES { Signal::SIGQUIT } else { Signal::SIGKILL };
        ending.spawn(async move { process.end(first, PATIENCE, last).await });
    }
    ending.join_all().await;
    Ok(())
}
