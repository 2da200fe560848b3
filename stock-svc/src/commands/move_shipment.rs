use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::Pool;
use shared_events::{LineText, OrderId, ShipmentId, StockLine};

use super::{CommandError, found};
use crate::domain::Shipment;
use crate::store::{self, shipments};

/// What happens to a parcel.
#[derive(Clone, Debug)]
pub enum Step {
    /// It is put in its box; may be skipped.
    Pack,
    /// Lines of it leave in a parcel of their own, the rest in another.
    Split {
        /// What is taken out.
        lines: Vec<StockLine>,
    },
    /// It leaves.
    Dispatch {
        /// Who carries it.
        carrier: LineText,
        /// Where to follow it.
        tracking_number: LineText,
    },
    /// It is on its way with another carrier or under another number than was said.
    CorrectTracking {
        /// Who carries it.
        carrier: LineText,
        /// Where to follow it.
        tracking_number: LineText,
    },
    /// It can't leave although another parcel of the order has: its goods go back to the shelf.
    CallOff,
    /// It arrives.
    Deliver,
    /// It left and never arrives.
    Lose,
    /// Some or all of it comes back, onto the shelf.
    TakeBack {
        /// What comes back.
        lines: Vec<StockLine>,
    },
}

/// Moves a parcel on, under its order's root row, which a cancellation locks too: whoever comes first decides. Answers the
/// parcel as it is then, and after it those that were made of it. What was done before is not done again.
///
/// # Errors
/// There is no such parcel; it isn't where this step begins.
pub async fn move_shipment(pool: &Pool, id: ShipmentId, step: Step) -> Result<Vec<(OrderId, Shipment)>, CommandError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| moved(conn, id, step).await).await
}

/// The same in a transaction that does more.
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
