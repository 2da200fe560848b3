use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::Pool;
use shared_events::{LineText, OrderId, ShipmentId, StockLine};

use super::{CommandError, found};
use crate::domain::Shipment;
use crate::store::{self, shipments};

/// What happens to a shipment.
#[derive(Clone, Debug)]
pub enum Step {
    /// This step may be skipped.
    Pack,
    /// It is split in two: one shipment with these lines, and one with the rest.
    Split {
        lines: Vec<StockLine>,
    },
    Dispatch {
        carrier: LineText,
        tracking_number: LineText,
    },
    /// Its carrier or tracking number was wrong.
    CorrectTracking {
        carrier: LineText,
        tracking_number: LineText,
    },
    /// It can't leave, although another shipment of the order has. Its stock is restocked.
    CallOff,
    Deliver,
    /// It left, but never arrives.
    Lose,
    /// It comes back, in whole or in part, and is restocked.
    TakeBack {
        lines: Vec<StockLine>,
    },
}

/// Moves a shipment on. It locks the root row of the order, as a cancellation does, so whichever comes first decides.
/// Returns the shipment, followed by those that it was split into. A step that was done before is not repeated. Fails
/// if there is no such shipment, or if the step is not possible in its stage.
pub async fn move_shipment(pool: &Pool, id: ShipmentId, step: Step) -> Result<Vec<(OrderId, Shipment)>, CommandError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| moved(conn, id, step).await).await
}

/// Like [`move_shipment`], in the caller's transaction.
pub(super) async fn moved(
    conn: &mut AsyncPgConnection,
    id: ShipmentId,
    step: Step,
) -> Result<Vec<(OrderId, Shipment)>, CommandError> {
    let order_id = found(shipments::order_of(conn, id).await, "shipment")?;
    let mut loaded = store::load(conn, [order_id], []).await?;
    let (before, at) = (loaded.allocation(order_id)?.clone(), loaded.now);
    let allocation = before.clone();
    let change = match step {
        Step::Pack => allocation.pack(id, at),
        Step::Split { lines } => allocation.split(id, &lines, [loaded.new_parcel(), loaded.new_parcel()], at),
        Step::Dispatch { carrier, tracking_number } => allocation.dispatch(id, carrier, tracking_number, at),
        Step::CorrectTracking { carrier, tracking_number } => allocation.correct_tracking(id, carrier, tracking_number),
        Step::CallOff => allocation.call_off(Some(id), at),
        Step::Deliver => allocation.deliver(id, at),
        Step::Lose => allocation.lose(id, at),
        Step::TakeBack { lines } => allocation.take_back(id, lines, at),
    }?;
    if change.allocation == before {
        let same = before.shipments.into_iter().filter(|shipment| shipment.id == id);
        return Ok(same.map(|shipment| (order_id, shipment)).collect());
    }
    let now = change.allocation.shipments.clone();
    loaded.apply(change, None)?;
    store::save(conn, loaded).await?;
    let moved = now.into_iter().filter(|shipment| !before.shipments.contains(shipment));
    Ok(moved.map(|shipment| (order_id, shipment)).collect())
}
