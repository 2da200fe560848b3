use std::time::Duration;

use diesel_async::pooled_connection::deadpool::PoolError;
use service_kit::Pool;
use service_kit::idempotency::{IdempotentRequest, KeyRefused};
use service_kit::transaction::Transaction;
use shared_events::OrderId;

use crate::domain::{DraftRefused, Order, OrderDraft};
use crate::store::AnnounceError;
use crate::store::placement::{self, BeforePlacing};
use crate::store::products::Catalogue;
use crate::store::stored_responses::{self, StoredResponse};

#[derive(Clone, Debug)]
pub struct PlaceOrder {
    pub draft: OrderDraft,
    /// Set if the request must have one effect, however often it is sent.
    pub idempotency: Option<IdempotentRequest>,
    /// How long the order may stay pending.
    pub deadline: Duration,
    /// Whether `products.v1` has been read once; before that no SKU can be called unknown.
    pub prices_known: bool,
}

/// Why no order was placed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum PlaceOrderError {
    #[error("{} of its lines or fields can't be had", .0.len())]
    Refused(Vec<DraftRefused>),
    #[error(transparent)]
    Key(#[from] KeyRefused),
    /// The service has just started for the first time.
    #[error("the prices are not known yet")]
    PricesUnknown,
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Announce(#[from] AnnounceError),
}

impl From<diesel::result::Error> for PlaceOrderError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Announce(error.into())
    }
}

/// Places an order: key, answer, order, deadline and `order.placed` commit together or not at all. Two round trips, whether or
/// not the customer's profile is needed.
pub async fn place_order(
    pool: &Pool,
    command: PlaceOrder,
    answer_with: impl Fn(&Order) -> serde_json::Result<StoredResponse>,
) -> Result<StoredResponse, PlaceOrderError> {
    let mut conn = pool.get().await?;
    let transaction = Transaction::on(&mut conn)?;
    let placed = place(&transaction, command, answer_with).await;
    transaction.end(placed).await
}

async fn place(
    transaction: &Transaction<'_>,
    command: PlaceOrder,
    answer_with: impl Fn(&Order) -> serde_json::Result<StoredResponse>,
) -> Result<StoredResponse, PlaceOrderError> {
    let PlaceOrder { draft, idempotency, deadline, prices_known } = command;
    let skus: Vec<_> = draft.lines.iter().map(|(sku, _)| sku.as_str()).collect();
    let read = placement::begin(transaction, idempotency.as_ref(), &skus, draft.profile_of()).await?;
    let BeforePlacing { claim, catalogue, profile } = read;
    if let Some(answer) = claim? {
        return Ok(answer);
    }
    if !prices_known {
        return Err(PlaceOrderError::PricesUnknown);
    }
    let Catalogue { products, now } = catalogue;
    let order = draft
        .complete(profile)
        .and_then(|draft| draft.place(OrderId::new(), &products, now, now + deadline))
        .map_err(PlaceOrderError::Refused)?;
    let answer = answer_with(&order).map_err(AnnounceError::from)?;
    match placement::commit(transaction, &order, idempotency.as_ref().map(|idempotency| (idempotency, &answer))).await {
        Ok(()) => Ok(answer),
        Err(AnnounceError::Database(error)) if stored_responses::is_taken(&error) => Err(KeyRefused::InFlight.into()),
        Err(error) => Err(error.into()),
    }
}
