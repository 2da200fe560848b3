use diesel_async::{AsyncConnection, AsyncPgConnection, pooled_connection::deadpool::PoolError};
use service_kit::Pool;
use service_kit::consumer::ReactionError;
use service_kit::idempotency::{IdempotentRequest, KeyRefused, Response, once};
use shared_events::{Currency, LineText, Money, OrderId, PaymentId, RefundId};

use crate::domain::Refused;
use crate::store::refunds::{self, ShownRefund};
use crate::store::{self, Causation, payments};

#[derive(Clone, Debug)]
pub struct RefundPayment {
    pub payment: PaymentId,
    pub amount: Money,
    pub reason: LineText,
    /// Set when the request is to have one effect, however often it is sent.
    pub once: Option<IdempotentRequest>,
}

/// Why nothing goes back. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum RefundPaymentError {
    #[error("there is no such payment")]
    NotFound,
    #[error("there is no such refund")]
    NoRefund,
    #[error("the payment is in {0}")]
    OtherCurrency(Currency),
    /// Nothing is captured, or less remains.
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Key(#[from] KeyRefused),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
    #[error(transparent)]
    Reaction(#[from] ReactionError),
    #[error(transparent)]
    Answer(#[from] serde_json::Error),
}

/// Records a refund and the call that asks for it; key, response, refund and call commit together. The sum of all
/// refunds is checked under the payment's lock, so it never exceeds what was captured.
pub async fn refund_payment(
    pool: &Pool,
    command: &RefundPayment,
    answer_with: impl Fn(&ShownRefund) -> serde_json::Result<Vec<u8>> + Send + Sync,
) -> Result<Vec<u8>, RefundPaymentError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let work = async |conn: &mut AsyncPgConnection| {
            let (refund, order_id) = write(conn, command).await?;
            Ok(Response { body: answer_with(&refund)?, order_id: Some(order_id.0) })
        };
        once(conn, command.once.as_ref(), work).await
    })
    .await
}

async fn write(
    conn: &mut AsyncPgConnection,
    command: &RefundPayment,
) -> Result<(ShownRefund, OrderId), RefundPaymentError> {
    let found = payments::find(conn, command.payment).await?.ok_or(RefundPaymentError::NotFound)?;
    let order_id = OrderId(found.order_id);
    let mut loaded = store::load(conn, [order_id]).await?;
    let mut payment = loaded.payment(order_id)?.clone();
    let currency = payment.charge.as_ref().map(|charge| charge.amount.currency());
    if let Some(currency) = currency.filter(|currency| *currency != command.amount.currency()) {
        return Err(RefundPaymentError::OtherCurrency(currency));
    }
    let id = RefundId::new();
    let step = payment.refund(id, command.amount)?;
    loaded.apply(payment, step, &Causation::current(None))?;
    store::save(conn, loaded).await.map_err(ReactionError::from)?;
    Ok((refunds::note_reason(conn, id, command.reason.as_str()).await?, order_id))
}
