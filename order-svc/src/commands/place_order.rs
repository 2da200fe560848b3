use std::time::Duration;

use diesel_async::pooled_connection::deadpool::PoolError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::idempotency::{IdempotencyClaim, IdempotentRequest};
use service_kit::{Pool, timers};
use shared_events::OrderId;

use super::DEADLINE_TIMER;
use crate::domain::{DraftRefused, Order, OrderDraft};
use crate::store::stored_responses::{self, StoredResponse};
use crate::store::{self, AnnounceError};

/// A draft, and what placing it depends on.
#[derive(Clone, Debug)]
pub struct PlaceOrder {
    /// The draft.
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
    /// Lines can't be had.
    #[error("{} of its lines can't be had", .0.len())]
    Refused(Vec<DraftRefused>),
    /// The key belongs to another request.
    #[error("the Idempotency-Key was used for another order")]
    OtherRequest,
    /// The same key is being worked on.
    #[error("a request with this Idempotency-Key is in progress")]
    InFlight,
    /// The service has just started for the first time.
    #[error("the prices are not known yet")]
    PricesUnknown,
    /// No connection.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The change, or what it says, could not be written.
    #[error(transparent)]
    Announce(#[from] AnnounceError),
}

impl From<diesel::result::Error> for PlaceOrderError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Announce(error.into())
    }
}

/// Places an order: key, answer, order, deadline and `order.placed` commit together or not at all.
pub async fn place_order(
    pool: &Pool,
    command: PlaceOrder,
    answer_with: fn(&Order) -> serde_json::Result<StoredResponse>,
) -> Result<StoredResponse, PlaceOrderError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        if let Some(idempotency) = &command.idempotency {
            match stored_responses::claim(conn, idempotency).await? {
                IdempotencyClaim::New => {}
                IdempotencyClaim::Answered(answer) => return Ok(answer),
                IdempotencyClaim::OtherRequest => return Err(PlaceOrderError::OtherRequest),
                IdempotencyClaim::InFlight => return Err(PlaceOrderError::InFlight),
            }
        }
        let order = priced(conn, &command).await?;
        store::orders::insert(conn, &order).await?;
        let order_id = order.placed.order_id;
        timers::set(conn, DEADLINE_TIMER, &order_id.to_string(), order.placed.deadline).await?;
        let answer = answer_with(&order).map_err(AnnounceError::from)?;
        if let Some(idempotency) = &command.idempotency {
            stored_responses::keep(conn, idempotency, order_id, &answer, order.placed_at).await?;
        }
        Ok(answer)
    })
    .await
}

async fn priced(conn: &mut AsyncPgConnection, command: &PlaceOrder) -> Result<Order, PlaceOrderError> {
    if !command.prices_known {
        return Err(PlaceOrderError::PricesUnknown);
    }
    let draft = command.draft.clone();
    let skus: Vec<&str> = draft.lines.iter().map(|(sku, _)| sku.as_str()).collect();
    let products = store::products::find(conn, &skus).await?;
    let now = store::now(conn).await?;
    draft.place(OrderId::new(), &products, now, now + command.deadline).map_err(PlaceOrderError::Refused)
}
