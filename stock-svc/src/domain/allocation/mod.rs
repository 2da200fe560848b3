use chrono::{DateTime, Utc};
use shared_events::{
    Address, CancelReason, Event, OrderId, OrderPlaced, Rejection, RestockCause, ShipmentCreated, StockCommitted,
    StockExpired, StockLine, StockRejected, StockReleased, StockReserved, StockRestocked,
};

use super::{Levels, NewParcel, Refused, Reservation, Shipment, State, StockMovement};

mod addresses;
mod parcels;
#[cfg(test)]
mod tests;

/// The stock of one order: its reservation and its shipments. Every decision is made under the lock on the order's
/// root row, so cancel and dispatch, or expiry and confirm, can't overlap.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Allocation {
    pub order_id: OrderId,
    /// The reservation; none if nothing but a payment is known of the order.
    pub reservation: Option<Reservation>,
    /// Whether the payment was captured. This never becomes false again.
    pub captured: bool,
    /// The address for the order's shipments, until these exist and have their own.
    pub address: Option<Address>,
    /// The `ce_sequence` of the last change of address. The same change again, or an older one, is ignored.
    pub address_rank: i64,
    /// The shipments, oldest first. The first is created once the stock is committed and paid.
    pub shipments: Vec<Shipment>,
}

/// The result of a decision: the new allocation, the stock that moves, and the events to publish.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    pub allocation: Allocation,
    pub movement: Option<(StockMovement, Vec<StockLine>)>,
    pub events: Vec<Event>,
}

/// The lines of an order, as stock-svc counts them.
pub fn lines_of(placed: &OrderPlaced) -> Vec<StockLine> {
    placed.lines.iter().map(|line| StockLine { sku: line.sku.clone(), quantity: line.quantity }).collect()
}

impl Allocation {
    /// The allocation of an order of which nothing is known.
    pub const fn unheard(order_id: OrderId) -> Allocation {
        Allocation {
            order_id,
            reservation: None,
            captured: false,
            address: None,
            address_rank: 0,
            shipments: Vec::new(),
        }
    }

    #[must_use]
    pub fn to(self, address: Address) -> Allocation {
        Allocation { address: Some(address), ..self }
    }

    /// Holds all lines, or none. Fails if the order is known: the event came twice, or the order was cancelled before
    /// it was known.
    pub fn place(
        mut self,
        lines: Vec<StockLine>,
        levels: &Levels,
        expires_at: DateTime<Utc>,
    ) -> Result<Change, Refused> {
        if self.reservation.is_some() {
            return Err(self.refuses("held"));
        }
        let order_id = self.order_id;
        let short = levels.shortages(&lines);
        if short.is_empty() {
            self.reservation = Some(Reservation { state: State::Held { expires_at }, lines });
            Ok(self.with_movement(StockMovement::Hold, vec![StockReserved { order_id, expires_at }.into()]))
        } else {
            self.address = None;
            self.reservation = Some(Reservation { state: State::RejectedShortages, lines });
            let rejection = Rejection::Shortages { lines: short };
            Ok(self.with_events(vec![StockRejected { order_id, rejection }.into()]))
        }
    }

    /// Whether the reservation expired, in which case [`Allocation::confirm`] needs the levels again.
    pub fn hold_expired(&self) -> bool {
        self.state() == Some(State::Expired)
    }

    /// Commits the reservation, and creates the shipment if the payment is captured already. If the reservation
    /// expired, it holds and commits again at once, or rejects. Fails unless the reservation is held or expired.
    pub fn confirm(self, levels: &Levels, parcel: NewParcel) -> Result<Change, Refused> {
        match self.state() {
            Some(State::Held { .. }) => Ok(self.committed(StockMovement::Commit, parcel)),
            Some(State::Expired) => Ok(self.hold_again(levels, parcel)),
            _ => Err(self.refuses("committed")),
        }
    }

    fn hold_again(mut self, levels: &Levels, parcel: NewParcel) -> Change {
        if levels.shortages(self.lines()).is_empty() {
            return self.committed(StockMovement::HoldAndCommit, parcel);
        }
        let order_id = self.order_id;
        self.becomes(State::RejectedExpired);
        self.with_events(vec![StockRejected { order_id, rejection: Rejection::Expired }.into()])
    }

    /// Releases or restocks everything because the order is cancelled. If a shipment has left, everything stays as it
    /// is, and the customer can only return it. For an unknown order it leaves a tombstone, so that a late `placed`
    /// holds nothing. Fails if there is nothing to release, or if a shipment has left.
    pub fn cancel(self, reason: CancelReason, at: DateTime<Utc>) -> Result<Change, Refused> {
        match self.state() {
            Some(State::RejectedExpired) => Ok(self.released(reason, None)),
            Some(State::Committed) => self.restocked(at),
            _ => self.release(reason),
        }
    }

    /// Releases the stock that is held, or that was held until it expired. Fails if the reservation is committed,
    /// rejected or released.
    pub fn release(self, reason: CancelReason) -> Result<Change, Refused> {
        match self.state() {
            None => Ok(self.tombstoned(reason)),
            Some(State::Held { .. }) => Ok(self.released(reason, Some(StockMovement::Release))),
            Some(State::Expired) => Ok(self.released(reason, None)),
            Some(_) => Err(self.refuses("released")),
        }
    }

    /// Notes that the payment was captured, and creates the shipment if the stock is committed. Fails if that was known
    /// before.
    pub fn capture(mut self, parcel: NewParcel) -> Result<Change, Refused> {
        if self.captured {
            return Err(Refused { what: "payment", wanted: "captured", state: "captured" });
        }
        self.captured = true;
        let mut change = self.with_events(Vec::new());
        change.ship_if_paid(parcel);
        Ok(change)
    }

    /// Ends the reservation because its time is over. Fails unless the reservation is held.
    pub fn expire(mut self) -> Result<Change, Refused> {
        if !matches!(self.state(), Some(State::Held { .. })) {
            return Err(self.refuses("expired"));
        }
        let order_id = self.order_id;
        self.becomes(State::Expired);
        Ok(self.with_movement(StockMovement::Release, vec![StockExpired { order_id }.into()]))
    }

    /// The lines of the reservation, if there is one.
    pub fn lines(&self) -> &[StockLine] {
        self.reservation.as_ref().map_or(&[], |reservation| &reservation.lines)
    }

    /// When the reservation expires, while it is held.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.state().and_then(State::expires_at)
    }

    fn state(&self) -> Option<State> {
        self.reservation.as_ref().map(|reservation| reservation.state)
    }

    fn becomes(&mut self, state: State) {
        if let Some(reservation) = &mut self.reservation {
            reservation.state = state;
        }
        if !state.may_move_stock() {
            self.address = None; // personal data that nothing needs any more
        }
    }

    fn refuses(&self, wanted: &'static str) -> Refused {
        Refused { what: "reservation", wanted, state: self.state().map_or("unheard of", State::name) }
    }

    fn committed(mut self, movement: StockMovement, parcel: NewParcel) -> Change {
        let order_id = self.order_id;
        self.becomes(State::Committed);
        let mut change = self.with_movement(movement, vec![StockCommitted { order_id }.into()]);
        change.ship_if_paid(parcel);
        change
    }

    fn released(mut self, reason: CancelReason, movement: Option<StockMovement>) -> Change {
        let order_id = self.order_id;
        self.becomes(State::Released { reason });
        let movement = movement.map(|movement| (movement, self.lines().to_vec()));
        Change { allocation: self, movement, events: vec![StockReleased { order_id, reason }.into()] }
    }

    fn tombstoned(mut self, reason: CancelReason) -> Change {
        let order_id = self.order_id;
        self.reservation = Some(Reservation { state: State::Tombstone { reason }, lines: Vec::new() });
        self.with_events(vec![StockReleased { order_id, reason }.into()])
    }

    fn restocked(self, at: DateTime<Utc>) -> Result<Change, Refused> {
        let order_id = self.order_id;
        let (mut allocation, mut events) = self.parcels_called_off(at)?;
        let lines = allocation.lines().to_vec();
        events.push(StockRestocked { order_id, cause: RestockCause::Cancelled, lines }.into());
        allocation.becomes(State::Restocked);
        Ok(allocation.with_movement(StockMovement::Restock, events))
    }

    fn with_events(self, events: Vec<Event>) -> Change {
        Change { allocation: self, movement: None, events }
    }

    fn with_movement(self, movement: StockMovement, events: Vec<Event>) -> Change {
        let movement = Some((movement, self.lines().to_vec()));
        Change { allocation: self, movement, events }
    }
}

impl Change {
    /// Creates the shipment once the stock is committed and paid, not before.
    fn ship_if_paid(&mut self, parcel: NewParcel) {
        let allocation = &mut self.allocation;
        if allocation.captured && allocation.state() == Some(State::Committed) && allocation.shipments.is_empty() {
            let address = allocation.address.take();
            let shipment = Shipment { address, ..Shipment::create(parcel, allocation.lines().to_vec()) };
            let (order_id, shipment_id, lines) = (allocation.order_id, shipment.id, shipment.lines.clone());
            allocation.shipments.push(shipment);
            self.events.push(ShipmentCreated { order_id, shipment_id, lines }.into());
        }
    }
}
