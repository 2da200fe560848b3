use diesel_async::AsyncConnection;
use service_kit::Pool;
use service_kit::idempotency::IdempotentRequest;
use shared_events::{OrderId, ShipmentId, StockLine};

use super::{CommandError, Step, move_shipment, once};
use crate::domain::Shipment;

/// Lines of a parcel that come back.
#[derive(Clone, Debug)]
pub struct TakeBack {
    /// Of which parcel.
    pub shipment: ShipmentId,
    /// What comes back.
    pub lines: Vec<StockLine>,
    /// Set when the request is to have one effect, however often it is sent.
    pub once: Option<IdempotentRequest>,
}

/// Puts back onto the shelf what came back of a parcel, and tells that the money is to follow: key, answer, return and
/// announcement commit together or not at all.
///
/// # Errors
/// There is no such parcel; it isn't where it could come back from; the key stands for another request, or is in use.
pub async fn take_back(
    pool: &Pool,
    command: TakeBack,
    answer_with: impl Fn(OrderId, Shipment) -> serde_json::Result<Vec<u8>> + Send + Sync,
) -> Result<Vec<u8>, CommandError> {
    let TakeBack { shipment, lines, once } = command;
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        if let Some(body) = once::answered(conn, once.as_ref()).await? {
            return Ok(body);
        }
        let moved = move_shipment::moved(conn, shipment, Step::TakeBack { lines }).await?;
        let (order, shipment) = moved.into_iter().next().ok_or(CommandError::NotFound("shipment"))?;
        let body = answer_with(order, shipment)?;
        once::keep(conn, once.as_ref(), &body).await?;
        Ok(body)
    })
    .await
}
