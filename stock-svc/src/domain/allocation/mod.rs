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

/// The goods of one order: what is put aside for it, and its parcels. Decided under the order's root row, which is what
/// makes cancel and dispatch, or expiry and confirm, come one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Allocation {
    /// The order.
    pub order_id: OrderId,
    /// What is put aside; none while nothing but a payment was heard of.
    pub reservation: Option<Reservation>,
    /// Whether the money is ours. Once heard it stays true.
    pub captured: bool,
    /// Where its parcels will go, until there are some: then each has its own.
    pub address: Option<Address>,
    /// The `ce_sequence` of the last change of address that was heard: an older one, or the same again, changes nothing.
    pub address_rank: i64,
    /// Its parcels, once the goods are firm and paid, the oldest first: one, until that is split.
    pub shipments: Vec<Shipment>,
}

/// What a decision does: the goods as they are after it, the pieces that move, and what is said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// After it.
    pub allocation: Allocation,
    /// How pieces move, and which.
    pub movement: Option<(StockMovement, Vec<StockLine>)>,
    /// To be announced, in this order.
    pub events: Vec<Event>,
}

/// What was ordered, as stock counts it.
pub fn lines_of(placed: &OrderPlaced) -> Vec<StockLine> {
    placed.lines.iter().map(|line| StockLine { sku: line.sku.clone(), quantity: line.quantity }).collect()
}

impl Allocation {
    /// The goods of an order of which nothing was heard yet.
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

    /// With the address to which its parcels are to go.
    #[must_use]
    pub fn to(self, address: Address) -> Allocation {
        Allocation { address: Some(address), ..self }
    }

    /// Holds all lines or none.
    ///
    /// # Errors
    /// When the order is known: heard again, or undone before it was heard of.
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
            Ok(self.shifting(StockMovement::Hold, vec![StockReserved { order_id, expires_at }.into()]))
        } else {
            self.address = None;
            self.reservation = Some(Reservation { state: State::RejectedShortages, lines });
            let rejection = Rejection::Shortages { lines: short };
            Ok(self.saying(vec![StockRejected { order_id, rejection }.into()]))
        }
    }

    /// Whether the hold ended by time, so that [`Allocation::confirm`] looks at the levels again.
    pub fn hold_expired(&self) -> bool {
        self.state() == Some(State::Expired)
    }

    /// Makes the hold firm, and creates the shipment if the money was heard of before. If the hold ended by time, holds
    /// again and makes that firm at once, or rejects.
    ///
    /// # Errors
    /// Unless it is held or expired.
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
        self.saying(vec![StockRejected { order_id, rejection: Rejection::Expired }.into()])
    }

    /// Gives the goods back because the order is to be cancelled. What has left the warehouse stays as it is; the way
    /// back is a return. An order never heard of leaves a tombstone, so that a late `placed` holds nothing.
    ///
    /// # Errors
    /// When there is nothing to give back, or it has left.
    pub fn cancel(self, reason: CancelReason, at: DateTime<Utc>) -> Result<Change, Refused> {
        match self.state() {
            Some(State::RejectedExpired) => Ok(self.released(reason, None)),
            Some(State::Committed) => self.restocked(at),
            _ => self.release(reason),
        }
    }

    /// Gives back what is held or was held until it expired.
    ///
    /// # Errors
    /// When it is firm, rejected, or given back already.
    pub fn release(self, reason: CancelReason) -> Result<Change, Refused> {
        match self.state() {
            None => Ok(self.buried(reason)),
            Some(State::Held { .. }) => Ok(self.released(reason, Some(StockMovement::Release))),
            Some(State::Expired) => Ok(self.released(reason, None)),
            Some(_) => Err(self.refuses("released")),
        }
    }

    /// Notes that the money is ours, and creates the shipment if the goods are firm.
    ///
    /// # Errors
    /// When it was heard before.
    pub fn capture(mut self, parcel: NewParcel) -> Result<Change, Refused> {
        if self.captured {
            return Err(Refused { what: "payment", wanted: "captured", state: "captured" });
        }
        self.captured = true;
        let mut change = self.saying(Vec::new());
        change.ship_if_paid(parcel);
        Ok(change)
    }

    /// Ends the hold by time.
    ///
    /// # Errors
    /// Unless it is held.
    pub fn expire(mut self) -> Result<Change, Refused> {
        if !matches!(self.state(), Some(State::Held { .. })) {
            return Err(self.refuses("expired"));
        }
        let order_id = self.order_id;
        self.becomes(State::Expired);
        Ok(self.shifting(StockMovement::Release, vec![StockExpired { order_id }.into()]))
    }

    /// The lines of the reservation; none when there is no reservation.
    pub fn lines(&self) -> &[StockLine] {
        self.reservation.as_ref().map_or(&[], |reservation| &reservation.lines)
    }

    /// When the hold ends by itself, while it is held.
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
            self.address = None; // nothing is going to leave
        }
    }

    fn refuses(&self, wanted: &'static str) -> Refused {
        Refused { what: "reservation", wanted, state: self.state().map_or("unheard of", State::name) }
    }

    fn committed(mut self, movement: StockMovement, parcel: NewParcel) -> Change {
        let order_id = self.order_id;
        self.becomes(State::Committed);
        let mut change = self.shifting(movement, vec![StockCommitted { order_id }.into()]);
        change.ship_if_paid(parcel);
        change
    }

    fn released(mut self, reason: CancelReason, movement: Option<StockMovement>) -> Change {
        let order_id = self.order_id;
        self.becomes(State::Released { reason });
        let movement = movement.map(|movement| (movement, self.lines().to_vec()));
        Change { allocation: self, movement, events: vec![StockReleased { order_id, reason }.into()] }
    }

    fn buried(mut self, reason: CancelReason) -> Change {
        let order_id = self.order_id;
        self.reservation = Some(Reservation { state: State::Tombstone { reason }, lines: Vec::new() });
        self.saying(vec![StockReleased { order_id, reason }.into()])
    }

    fn restocked(self, at: DateTime<Utc>) -> Result<Change, Refused> {
        let order_id = self.order_id;
        let (mut allocation, mut events) = self.parcels_called_off(at)?;
        let lines = allocation.lines().to_vec();
        events.push(StockRestocked { order_id, cause: RestockCause::Cancelled, lines }.into());
        allocation.becomes(State::Restocked);
        Ok(allocation.shifting(StockMovement::Restock, events))
    }

    fn saying(self, events: Vec<Event>) -> Change {
        Change { allocation: self, movement: None, events }
    }

    fn shifting(self, movement: StockMovement, events: Vec<Event>) -> Change {
        let movement = Some((movement, self.lines().to_vec()));
        Change { allocation: self, movement, events }
    }
}

impl Change {
    /// Nothing leaves that isn't paid, and nothing is packed that isn't firm.
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
