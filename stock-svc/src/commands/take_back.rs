use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::Pool;
use service_kit::idempotency::{IdempotentRequest, Response, once};
use shared_events::{OrderId, ShipmentId, StockLine};

use super::{CommandError, Step, move_shipment};
use crate::domain::Shipment;

#[derive(Clone, Debug)]
pub struct TakeBack {
    pub shipment: ShipmentId,
    pub lines: Vec<StockLine>,
    /// Set if the request must have one effect, however often it is sent.
    pub idempotency: Option<IdempotentRequest>,
}

/// Restocks what came back of a shipment; the event that announces it causes the refund. The key and its response
/// commit with the change. Fails if there is no such shipment, if it can't come back in its stage, or if the key is in
/// use or belongs to another request.
pub async fn take_back(
    pool: &Pool,
    command: TakeBack,
    answer_with: impl Fn(OrderId, Shipment) -> serde_json::Result<Vec<u8>> + Send + Sync,
) -> Result<Vec<u8>, CommandError> {
    let TakeBack { shipment, lines, idempotency } = command;
    let mut conn = pool.get().await?;
    let work = async |conn: &mut AsyncPgConnection| {
        let moved = move_shipment::moved(conn, shipment, Step::TakeBack { lines }).await?;
        let (order, shipment) = moved.into_iter().next().ok_or(CommandError::NotFound("shipment"))?;
        Ok(Response { body: answer_with(order, shipment)?, order_id: Some(order.0) })
    };
    conn.transaction(async |conn| once(conn, idempotency.as_ref(), work).await).await
}
