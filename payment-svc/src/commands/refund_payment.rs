use diesel_async::{AsyncConnection, AsyncPgConnection, pooled_connection::deadpool::PoolError};
use service_kit::Pool;
use service_kit::consumer::ReactionError;
use service_kit::idempotency::{IdempotentRequest, KeyRefused, Response, once};
use shared_events::{Currency, LineText, Money, NotChargeable, OrderId, PaymentId, RefundId, StockLine};

use crate::domain::{Payment, Refused, Transition};
use crate::store::refunds::{self, ShownRefund};
use crate::store::{self, Causation, payments};

#[derive(Clone, Debug)]
pub struct RefundPayment {
    pub payment: PaymentId,
    pub what: WhatGoesBack,
    pub reason: LineText,
    /// Set when the request is to have one effect, however often it is sent.
    pub once: Option<IdempotentRequest>,
}

/// What of a payment is to be given back.
#[derive(Clone, Debug)]
pub enum WhatGoesBack {
    Amount(Money),
    /// What these lines cost when they were ordered, each SKU in one of them.
    Lines(Vec<StockLine>),
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
    /// A line can't be given back, since it was not ordered or fewer of it are left.
    #[error("line {at}: {why}")]
    Line { at: usize, why: Refused },
    #[error("{amount} can't be given back: {why}")]
    Fraction { amount: Money, why: NotChargeable },
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
/// refunds, and of each line, is checked under the payment's lock, so it never exceeds what was captured and bought.
/// `answer_with` is told the refund and its currency.
pub async fn refund_payment(
    pool: &Pool,
    command: &RefundPayment,
    answer_with: impl Fn(&ShownRefund, &str) -> serde_json::Result<Vec<u8>> + Send + Sync,
) -> Result<Vec<u8>, RefundPaymentError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let work = async |conn: &mut AsyncPgConnection| {
            let (refund, order_id, currency) = write(conn, command).await?;
            Ok(Response { body: answer_with(&refund, currency)?, order_id: Some(order_id.0) })
        };
        once(conn, command.once.as_ref(), work).await
    })
    .await
}

async fn write(
    conn: &mut AsyncPgConnection,
    command: &RefundPayment,
) -> Result<(ShownRefund, OrderId, &'static str), RefundPaymentError> {
    let found = payments::find(conn, command.payment).await?.ok_or(RefundPaymentError::NotFound)?;
    let order_id = OrderId(found.order_id);
    let mut loaded = store::load(conn, [order_id]).await?;
    let mut payment = loaded.payment(order_id)?.clone();
    let currency = payment.charge.as_ref().map(|charge| charge.amount.currency());
    let id = RefundId::new();
    let step = decide(&mut payment, id, &command.what)?;
    loaded.apply(payment, step, &Causation::current(None))?;
    store::save(conn, loaded).await.map_err(ReactionError::from)?;
    let refund = refunds::note_reason(conn, id, command.reason.as_str()).await?;
    Ok((refund, order_id, currency.map_or("", Currency::code)))
}

fn decide(payment: &mut Payment, id: RefundId, what: &WhatGoesBack) -> Result<Transition, RefundPaymentError> {
    let lines = match what {
        WhatGoesBack::Amount(amount) => {
            let currency = payment.charge.as_ref().map(|charge| charge.amount.currency());
            if let Some(currency) = currency.filter(|currency| *currency != amount.currency()) {
                return Err(RefundPaymentError::OtherCurrency(currency));
            }
            return Ok(payment.refund(id, *amount)?);
        }
        WhatGoesBack::Lines(lines) => lines,
    };
    let step = payment.refund_by_line(id, lines).map_err(|why| match &why {
        Refused::NotOrdered { sku } | Refused::FewerLeft { sku, .. } => {
            let at = lines.iter().position(|line| line.sku == *sku).unwrap_or_default();
            RefundPaymentError::Line { at, why }
        }
        _ => why.into(),
    })?;
    let amount = payment.refunds.iter().find(|refund| refund.id == id).map(|refund| refund.wanted);
    match amount.map(|amount| (amount, amount.to_gateway())) {
        Some((amount, Err(why))) => Err(RefundPaymentError::Fraction { amount, why }),
        _ => Ok(step),
    }
}
