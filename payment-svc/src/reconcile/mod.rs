//! Compares the ledger with the gateway's own journal, charge by charge, and repairs what it can prove.

mod compare;
mod repair;

use std::{fmt, io::Write, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use service_kit::{Pool, progress::Progress};
use shared_events::{OrderId, PaymentId};
use tokio_util::sync::CancellationToken;

use crate::gateway::{GatewayError, GatewayJournal, PaymentGateway};
use crate::store::payments;

/// Payments that are read at once.
const AT_ONCE: i64 = 500;
/// The service may be at work on a payment: the two sides are compared a few times before they are called different.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub order: String,
    pub payment: Option<PaymentId>,
    /// `authorise`, `capture`, `void`, or `refund` with its id.
    pub operation: String,
    /// What our ledger has, in minor units.
    pub ledger: i64,
    pub gateway: i64,
    /// The call that is unfinished, if one is.
    pub under_way: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { order, payment, operation, ledger, gateway, under_way } = self;
        let payment = payment.map_or("none".to_owned(), |id| id.to_string());
        write!(f, "order {order} payment {payment}: {operation}: ledger {ledger}, gateway {gateway}")?;
        match under_way {
            Some(call) => write!(f, " (the call {call} is unfinished)"),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub compared: usize,
    pub found: usize,
    pub left: usize,
    /// Payments, or intents that no payment has, that could not be compared.
    pub failed: usize,
}

pub struct Reconciliation<G> {
    pool: Pool,
    gateway: Arc<G>,
    repairs: bool,
}

impl<G: PaymentGateway + GatewayJournal> Reconciliation<G> {
    pub const fn new(pool: Pool, gateway: Arc<G>, repairs: bool) -> Self {
        Self { pool, gateway, repairs }
    }

    /// Compares all payments, the newest first or from after `from`, and then looks for money at the gateway that no
    /// payment knows of. Writes a line for each difference and for whatever could not be compared, so one broken
    /// payment hides nothing about the others. Says on the error stream how far it is. Fails if the payments can't be
    /// listed, a line can't be written, or it is told to stop: what was found so far is written, and the error says
    /// where to go on.
    pub async fn run(
        &self,
        from: Option<PaymentId>,
        stop: &CancellationToken,
        out: &mut impl Write,
    ) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut progress = Progress::new("payments compared with the gateway", self.estimate().await?);
        let mut after = from;
        loop {
            let place = || after.map_or_else(String::new, |id| format!("; go on with --from {id}"));
            if stop.is_cancelled() {
                bail!("stopped after {} payments{}", outcome.compared, place());
            }
            let page = self.page(after, AT_ONCE).await.with_context(|| format!("listing payments{}", place()))?;
            let Some(last) = page.last() else { break };
            let last = PaymentId(last.payment_id);
            for payment in &page {
                let whose = format!("order {} payment {}", payment.order_id, payment.payment_id);
                let compared = self.payment(OrderId(payment.order_id)).await;
                outcome.compared += usize::from(compared.is_ok());
                outcome.note(&whose, compared, out)?;
            }
            after = Some(last);
            progress.at(outcome.compared as u64, &format!("the last is {last}"));
        }
        progress.end(outcome.compared as u64);
        self.strangers(&mut outcome, out).await?;
        Ok(outcome)
    }

    async fn page(&self, after: Option<PaymentId>, limit: i64) -> anyhow::Result<Vec<payments::Shown>> {
        let mut conn = self.pool.get().await?;
        Ok(payments::list(&mut conn, None, None, after, limit).await?)
    }

    async fn estimate(&self) -> anyhow::Result<u64> {
        let mut conn = self.pool.get().await?;
        Ok(payments::estimate(&mut conn).await?)
    }

    async fn payment(&self, order: OrderId) -> anyhow::Result<Compared> {
        let found = self.look(order).await?;
        if found.is_empty() || !self.repairs {
            return Ok(Compared { found, left: None });
        }
        self.repair(order).await?;
        let left = self.look(order).await?;
        Ok(Compared { found, left: Some(left) })
    }

    /// The differences of a payment that stay for a few looks.
    async fn look(&self, order: OrderId) -> anyhow::Result<Vec<Difference>> {
        let mut found = self.compare(order).await?;
        for _ in 1..LOOKS {
            if found.is_empty() {
                break;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
            found = self.compare(order).await?;
        }
        Ok(found)
    }

    /// Intents with money that no payment has as its own.
    async fn strangers(&self, outcome: &mut Outcome, out: &mut impl Write) -> anyhow::Result<()> {
        let mut after = None;
        loop {
            let (page, more) = match self.gateway.intents(after).await {
                Ok(page) => page,
                Err(error) => return outcome.note("the gateway's other intents", asked(Err(error)), out),
            };
            for intent in page.iter().filter(|intent| intent.has_money) {
                let mut conn = self.pool.get().await?;
                let known = payments::has_intent(&mut conn, &intent.id).await?;
                drop(conn);
                if !known {
                    let found = self.stranger(&intent.id, intent.order.clone()).await;
                    let compared = found.map(|found| Compared { found, left: None });
                    outcome.note(&format!("the intent {}, which no payment has", intent.id), compared, out)?;
                }
            }
            after = page.last().map(|last| last.id.clone()).filter(|_| more);
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

/// What was found, and where a repair was tried, what is left of it.
struct Compared {
    found: Vec<Difference>,
    left: Option<Vec<Difference>>,
}

impl Outcome {
    /// Counts and tells what came of comparing `whose` money.
    fn note(&mut self, whose: &str, compared: anyhow::Result<Compared>, out: &mut impl Write) -> anyhow::Result<()> {
        match compared {
            Ok(Compared { found, left }) => {
                self.found += found.len();
                self.left += left.as_ref().unwrap_or(&found).len();
                told(out, &found, left.as_deref())
            }
            Err(error) => {
                self.failed += 1;
                Ok(writeln!(out, "{whose}: could not be compared: {error:#}")?)
            }
        }
    }
}

fn told(out: &mut impl Write, found: &[Difference], left: Option<&[Difference]>) -> anyhow::Result<()> {
    for difference in found {
        let still = |left: &[Difference]| left.iter().find(|one| one.operation == difference.operation).cloned();
        let end = match left.map(still) {
            None => "",
            Some(None) => ": repaired",
            Some(Some(Difference { under_way: Some(_), .. })) => ": its call is still unfinished, compare again later",
            Some(Some(_)) => ": can't be proved, somebody must look",
        };
        writeln!(out, "{difference}{end}")?;
    }
    Ok(())
}

/// Whether the gateway could not be asked at all, rather than knows of nothing.
fn asked<T>(answer: Result<T, GatewayError>) -> anyhow::Result<T> {
    answer.context("asking the gateway")
}
