use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::Pool;
use service_kit::consumer::ReactionError;
use service_kit::idempotency::{IdempotentRequest, Response, once};
use shared_events::{LineText, OrderId, PaymentId, RefundId};

use super::RefundPaymentError;
use crate::store::refunds::{self, ShownRefund};
use crate::store::{self, Causation, payments};

/// A refund that the gateway did not make and that staff have paid past it.
#[derive(Clone, Debug)]
pub struct SettleOutside {
    pub payment: PaymentId,
    pub refund: RefundId,
    /// Why it was given back so.
    pub reason: LineText,
    /// The reference under which the transfer is found.
    pub reference: LineText,
    /// Set when the request is to be answered the same, however often it is sent.
    pub once: Option<IdempotentRequest>,
}

/// Enters that a refund was paid past the gateway: state, ledger and event commit together. The gateway is not asked.
pub async fn settle_outside(
    pool: &Pool,
    command: &SettleOutside,
    answer_with: impl Fn(&ShownRefund, &str) -> serde_json::Result<Vec<u8>> + Send + Sync,
) -> Result<Vec<u8>, RefundPaymentError> {
    let mut conn = pool.get().await?;
    let work = async |conn: &mut AsyncPgConnection| {
        let (refund, order_id, currency) = enter(conn, command).await?;
        Ok(Response { body: answer_with(&refund, &currency)?, order_id: Some(order_id.0) })
    };
    conn.transaction(async |conn| once(conn, command.once.as_ref(), work).await).await
}

async fn enter(
    conn: &mut AsyncPgConnection,
    command: &SettleOutside,
) -> Result<(ShownRefund, OrderId, String), RefundPaymentError> {
    let found = payments::find(conn, command.payment).await?.ok_or(RefundPaymentError::NotFound)?;
    let order_id = OrderId(found.order_id);
    let mut loaded = store::load(conn, [order_id]).await?;
    let mut payment = loaded.payment(order_id)?.clone();
    if !payment.refunds.iter().any(|refund| refund.id == command.refund) {
        return Err(RefundPaymentError::NoRefund);
    }
    let step = payment.settle_outside(command.refund)?;
    loaded.apply(payment, step, &Causation::current(None))?;
    store::save(conn, loaded).await.map_err(ReactionError::from)?;
    let (reason, reference) = (command.reason.as_str(), command.reference.as_str());
    let refund = refunds::note_outside(conn, command.refund, reason, reference).await?;
    Ok((refund, order_id, found.currency.unwrap_or_default()))
}
