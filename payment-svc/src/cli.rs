//! The command line of payment-svc: without arguments the service, with one a task on its database.

use std::{io::Write, process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use service_kit::{config::Reader, exit, pool, shutdown};
use shared_events::PaymentId;
use tokio_util::sync::CancellationToken;

use crate::NAME;
use crate::config::ReconcileConfig;
use crate::gateway::Stripe;
use crate::reconcile::{Outcome, Reconciliation};

const USAGE: &str = "usage:
  payment-svc                       serve, until told to stop
  payment-svc reconcile             compare the ledger with the gateway's books, charge by charge
  payment-svc reconcile --repair    the same, and repair what can be proved
  ... --from PAYMENT                go on after that payment, as one that was stopped has said

`reconcile` reads DATABASE_URL and the variables of the gateway; the service may run meanwhile. It ends with 0 when both
sides are the same, or were made so, with 2 when differences are left, with 1 when a payment could not be compared.";

/// Differences were found, and are left.
const DIFFERENT: u8 = 2;

/// Does what the arguments (without the program's name) say; writes answers to `out`.
pub async fn run(arguments: &[String], out: &mut impl Write) -> ExitCode {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match perform(&arguments, out).await {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::Different) => ExitCode::from(DIFFERENT),
        Ok(Ended::NotCompared) => ExitCode::FAILURE,
        Err(error) => exit::code(NAME, Err(error)),
    }
}

/// How a task ended that could be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Well,
    Different,
    /// Something could not be compared, so that nobody knows whether the two sides differ.
    NotCompared,
}

async fn perform(arguments: &[&str], out: &mut impl Write) -> anyhow::Result<Ended> {
    match arguments {
        [] => crate::run().await.map(|()| Ended::Well),
        ["reconcile", options @ ..] => {
            let (repairs, from) = options_of(options)?;
            let config = Reader::from_env().whole(ReconcileConfig::read)?;
            reconcile(config, repairs, from, &shutdown::signal()?, out).await
        }
        ["help" | "--help" | "-h"] => {
            writeln!(out, "{USAGE}")?;
            Ok(Ended::Well)
        }
        other => bail!("there is no command {:?}; `payment-svc help` lists them", other.join(" ")),
    }
}

/// Whether `reconcile` is to repair, and after which payment it begins.
fn options_of(options: &[&str]) -> anyhow::Result<(bool, Option<PaymentId>)> {
    let (repairs, rest) = match options {
        ["--repair", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    match rest {
        [] => Ok((repairs, None)),
        ["--from", id] => {
            let id = id.parse().with_context(|| format!("--from {id}: expected the id of a payment"))?;
            Ok((repairs, Some(id)))
        }
        other => bail!("reconcile has no option {:?}; `payment-svc help` lists them", other.join(" ")),
    }
}

/// Compares the ledger with the gateway's journal, and with `repairs` repairs what can be proved. Fails if the database
/// can't be asked, a line can't be written, or it is told to stop.
pub async fn reconcile(
    config: ReconcileConfig,
    repairs: bool,
    from: Option<PaymentId>,
    stop: &CancellationToken,
    out: &mut impl Write,
) -> anyhow::Result<Ended> {
    let pool = pool::open(&config.database).await?;
    let gateway = Arc::new(Stripe::new(config.gateway)?);
    let outcome = Reconciliation::new(pool, gateway, repairs).run(from, stop, out).await?;
    let repaired = outcome.found.saturating_sub(outcome.left);
    let Outcome { compared, found, left, failed } = outcome;
    let end = if failed == 0 { String::new() } else { format!(", {failed} could not be compared") };
    writeln!(out, "{compared} payments compared, {found} differences, {repaired} repaired, {left} left{end}")?;
    Ok(match (failed, left) {
        (0, 0) => Ended::Well,
        (0, _) => Ended::Different,
        _ => Ended::NotCompared,
    })
}
