use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::consumer::ReactionError;
use shared_events::{GatewayOperation, Money, OrderId};
use uuid::Uuid;

use super::{Reconciliation, asked};
use crate::commands;
use crate::domain::{Call, Payment, State};
use crate::gateway::{GatewayJournal, JournalTotals, PaymentGateway};
use crate::store::{self, calls, ledger};
use crate::webhooks::WebhookEvent;
use crate::worker::GatewayCalls;

impl<G: PaymentGateway + GatewayJournal> Reconciliation<G> {
    /// Repairs what can be proved of a payment. An unfinished call is answered by a look-up, what its customer did is
    /// looked up as after a webhook, what somebody else did at the gateway is entered, and a missing line of the ledger
    /// is written if the payment's own state and the gateway both say that it happened.
    pub(super) async fn repair(&self, order: OrderId) -> anyhow::Result<()> {
        let (payment, _, under_way) = self.ours(order).await?;
        if under_way.is_some() {
            return self.finish(&payment).await;
        }
        let Some(intent) = payment.intent.clone() else { return Ok(()) };
        if matches!(payment.state, State::ActionRequired | State::Authorized) {
            let event = WebhookEvent {
                id: format!("reconcile_{}", Uuid::now_v7().simple()),
                kind: "reconcile".to_owned(),
                intent: Some(intent.clone()),
                refund: None,
                is_of_known_version: true,
            };
            commands::intent_changed(&self.pool, &*self.gateway, &event).await?;
        }
        let totals = asked(self.gateway.totals(intent.clone()).await)?;
        let given_back = asked(self.gateway.given_back(intent).await)?;
        let mut conn = self.pool.get().await?;
        conn.transaction(async |conn| commands::enter_given_back(conn, order, &given_back).await).await?;
        conn.transaction(async |conn| fill_in(conn, order, &totals).await).await?;
        Ok(())
    }

    /// Makes this payment's unfinished call. It may have been made before, so it begins with a look-up. A call that a
    /// worker is making is left to it.
    async fn finish(&self, payment: &Payment) -> anyhow::Result<()> {
        let worker = GatewayCalls::new(self.pool.clone(), self.gateway.clone(), || {});
        match worker.take_of(payment.id).await? {
            Some(call) => worker.perform(call).await.map(drop),
            None => Ok(()),
        }
    }
}

/// Writes the lines that the ledger lacks, under the payment's lock.
async fn fill_in(conn: &mut AsyncPgConnection, order: OrderId, totals: &JournalTotals) -> Result<(), ReactionError> {
    let mut loaded = store::load(conn, [order]).await?;
    if loaded.unfinished_call(order)?.is_some() {
        return Ok(());
    }
    let payment = loaded.payment(order)?.clone();
    let entries = ledger::of(conn, payment.id).await?;
    for (call, amount) in proved(&payment, totals) {
        let is_there = |entry: &ledger::Entry| match call {
            Call::Refund(id) => entry.refund() == Some(&id.to_string()),
            _ => entry.operation == calls::name_of(call.operation()),
        };
        if !entries.iter().any(is_there) {
            tracing::warn!(order.id = %order, operation = calls::name_of(call.operation()), "the ledger lacked a line");
            loaded.enter_missing(order, call, amount)?;
        }
    }
    Ok(store::save(conn, loaded).await?)
}

/// What happened according to both sides.
fn proved(payment: &Payment, totals: &JournalTotals) -> Vec<(Call, Money)> {
    let Some(charge) = &payment.charge else { return vec![] };
    let total = charge.amount;
    let happened = |operation| match operation {
        GatewayOperation::Authorise => totals.authorised == total.amount(),
        GatewayOperation::Capture => totals.captured == total.amount(),
        GatewayOperation::Void => totals.voided == total.amount(),
        GatewayOperation::Refund => false,
    };
    let says: &[Call] = match payment.state {
        State::Authorized | State::CaptureFailed => &[Call::Authorise],
        State::Captured => &[Call::Authorise, Call::Capture],
        State::Voided | State::Declined => &[Call::Authorise, Call::Void],
        _ => &[],
    };
    let mut proved: Vec<_> = says.iter().filter(|call| happened(call.operation())).map(|call| (*call, total)).collect();
    // One without the other would say that something is still held.
    if matches!(payment.state, State::Voided | State::Declined) && proved.len() < 2 {
        proved.clear();
    }
    let at_gateway = |refund: &&crate::domain::Refund| {
        refund.is_made_at_gateway()
            && totals.given_back.iter().any(|at| at.ours == Some(refund.id) && at.amount == refund.amount.amount())
    };
    let refunds = payment.refunds.iter().filter(at_gateway).map(|refund| (Call::Refund(refund.id), refund.amount));
    proved.extend(refunds);
    proved
}
