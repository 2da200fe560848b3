use chrono::{DateTime, Utc};
use shared_events::{
    CancelReason, Event, LineText, OrderId, OrderPlaced, Rejection, RestockCause, ShipmentCancelled, ShipmentCreated,
    ShipmentDelivered, ShipmentDispatched, ShipmentId, ShipmentLost, ShipmentReturned, StockCommitted, StockExpired,
    StockLine, StockRejected, StockReleased, StockReserved, StockRestocked,
};

use super::{Levels, NewParcel, Refused, Reservation, Shift, Shipment, State};

#[cfg(test)]
mod tests;

/// The goods of one order: what is put aside for it, and its parcel. Decided under the order's root row, which is what
/// makes cancel and dispatch, or expiry and confirm, come one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Goods {
    /// The order.
    pub order_id: OrderId,
    /// What is put aside; none while nothing but a payment was heard of.
    pub reservation: Option<Reservation>,
    /// Whether the money is ours. Once heard it stays true.
    pub captured: bool,
    /// Its parcel, once the goods are firm and paid.
    pub shipment: Option<Shipment>,
}

/// What a decision does: the goods as they are after it, the pieces that move, and what is said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// After it.
    pub goods: Goods,
    /// How pieces move, and which.
    pub shift: Option<(Shift, Vec<StockLine>)>,
    /// To be announced, in this order.
    pub events: Vec<Event>,
}

/// What was ordered, as stock counts it.
pub fn lines_of(placed: &OrderPlaced) -> Vec<StockLine> {
    placed.lines.iter().map(|line| StockLine { sku: line.sku.clone(), quantity: line.quantity }).collect()
}

impl Goods {
    /// The goods of an order of which nothing was heard yet.
    pub const fn unheard(order_id: OrderId) -> Goods {
        Goods { order_id, reservation: None, captured: false, shipment: None }
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
            Ok(self.shifting(Shift::Hold, vec![StockReserved { order_id, expires_at }.into()]))
        } else {
            self.reservation = Some(Reservation { state: State::RejectedShortages, lines });
            let rejection = Rejection::Shortages { lines: short };
            Ok(self.saying(vec![StockRejected { order_id, rejection }.into()]))
        }
    }

    /// Whether the hold ended by time, so that [`Goods::confirm`] looks at the levels again.
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
            Some(State::Held { .. }) => Ok(self.committed(Shift::Commit, parcel)),
            Some(State::Expired) => Ok(self.hold_again(levels, parcel)),
            _ => Err(self.refuses("committed")),
        }
    }

    fn hold_again(mut self, levels: &Levels, parcel: NewParcel) -> Change {
        if levels.shortages(self.lines()).is_empty() {
            return self.committed(Shift::HoldAndCommit, parcel);
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
            Some(State::Held { .. }) => Ok(self.released(reason, Some(Shift::Release))),
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
        Ok(self.shifting(Shift::Release, vec![StockExpired { order_id }.into()]))
    }

    /// Packs the parcel.
    ///
    /// # Errors
    /// As [`Shipment::pack`].
    pub fn pack(self, at: DateTime<Utc>) -> Result<Change, Refused> {
        self.move_shipment("packed", |shipment| shipment.pack(at), |_, _| None)
    }

    /// Hands the parcel to the carrier.
    ///
    /// # Errors
    /// As [`Shipment::dispatch`].
    pub fn dispatch(self, carrier: LineText, tracking: LineText, at: DateTime<Utc>) -> Result<Change, Refused> {
        let said = (carrier.clone(), tracking.clone());
        self.move_shipment(
            "dispatched",
            |shipment| shipment.dispatch(carrier, tracking, at),
            |order_id, shipment_id| {
                let (carrier, tracking_number) = said;
                Some(ShipmentDispatched { order_id, shipment_id, carrier, tracking_number }.into())
            },
        )
    }

    /// Notes that the parcel has arrived.
    ///
    /// # Errors
    /// As [`Shipment::deliver`].
    pub fn deliver(self, at: DateTime<Utc>) -> Result<Change, Refused> {
        self.move_shipment(
            "delivered",
            |shipment| shipment.deliver(at),
            |order_id, shipment_id| Some(ShipmentDelivered { order_id, shipment_id }.into()),
        )
    }

    /// Takes lines of the parcel back onto the shelf; the money for them follows.
    ///
    /// # Errors
    /// As [`Shipment::take_back`].
    pub fn take_back(self, lines: Vec<StockLine>, at: DateTime<Utc>) -> Result<Change, Refused> {
        let order_id = self.order_id;
        let change = self.move_shipment(
            "returned",
            |shipment| shipment.take_back(&lines, at),
            |order_id, shipment_id| Some(ShipmentReturned { order_id, shipment_id, lines: lines.clone() }.into()),
        )?;
        let restocked = StockRestocked { order_id, cause: RestockCause::Returned, lines: lines.clone() };
        let events = [change.events, vec![restocked.into()]].concat();
        Ok(Change { shift: Some((Shift::Restock, lines)), events, ..change })
    }

    /// Gives the parcel up for lost; the money for its lines follows. The pieces have long left what is on hand.
    ///
    /// # Errors
    /// As [`Shipment::lose`].
    pub fn lose(self, at: DateTime<Utc>) -> Result<Change, Refused> {
        let lines = self.shipment.as_ref().map_or(Vec::new(), |shipment| shipment.lines.clone());
        self.move_shipment(
            "lost",
            |shipment| shipment.lose(at),
            |order_id, shipment_id| Some(ShipmentLost { order_id, shipment_id, lines }.into()),
        )
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
    }

    fn refuses(&self, wanted: &'static str) -> Refused {
        Refused { what: "reservation", wanted, state: self.state().map_or("unheard of", State::name) }
    }

    fn committed(mut self, shift: Shift, parcel: NewParcel) -> Change {
        let order_id = self.order_id;
        self.becomes(State::Committed);
        let mut change = self.shifting(shift, vec![StockCommitted { order_id }.into()]);
        change.ship_if_paid(parcel);
        change
    }

    fn released(mut self, reason: CancelReason, shift: Option<Shift>) -> Change {
        let order_id = self.order_id;
        self.becomes(State::Released { reason });
        let shift = shift.map(|shift| (shift, self.lines().to_vec()));
        Change { goods: self, shift, events: vec![StockReleased { order_id, reason }.into()] }
    }

    fn buried(mut self, reason: CancelReason) -> Change {
        let order_id = self.order_id;
        self.reservation = Some(Reservation { state: State::Tombstone { reason }, lines: Vec::new() });
        self.saying(vec![StockReleased { order_id, reason }.into()])
    }

    fn restocked(mut self, at: DateTime<Utc>) -> Result<Change, Refused> {
        let order_id = self.order_id;
        let mut events = Vec::new();
        if let Some(shipment) = self.shipment.take() {
            let shipment = shipment.cancel(at)?;
            events.push(ShipmentCancelled { order_id, shipment_id: shipment.id }.into());
            self.shipment = Some(shipment);
        }
        let lines = self.lines().to_vec();
        events.push(StockRestocked { order_id, cause: RestockCause::Cancelled, lines }.into());
        self.becomes(State::Restocked);
        Ok(self.shifting(Shift::Restock, events))
    }

    fn move_shipment(
        mut self,
        wanted: &'static str,
        moved: impl FnOnce(Shipment) -> Result<Shipment, Refused>,
        said: impl FnOnce(OrderId, ShipmentId) -> Option<Event>,
    ) -> Result<Change, Refused> {
        let missing = Refused { what: "shipment", wanted, state: "not created" };
        let shipment = moved(self.shipment.take().ok_or(missing)?)?;
        let events = said(self.order_id, shipment.id).into_iter().collect();
        self.shipment = Some(shipment);
        Ok(self.saying(events))
    }

    fn saying(self, events: Vec<Event>) -> Change {
        Change { goods: self, shift: None, events }
    }

    fn shifting(self, shift: Shift, events: Vec<Event>) -> Change {
        let shift = Some((shift, self.lines().to_vec()));
        Change { goods: self, shift, events }
    }
}

impl Change {
    /// Nothing leaves that isn't paid, and nothing is packed that isn't firm.
    fn ship_if_paid(&mut self, parcel: NewParcel) {
        let goods = &mut self.goods;
        if goods.captured && goods.state() == Some(State::Committed) && goods.shipment.is_none() {
            let shipment = Shipment::create(parcel, goods.lines().to_vec());
            let (order_id, shipment_id, lines) = (goods.order_id, shipment.id, shipment.lines.clone());
            goods.shipment = Some(shipment);
            self.events.push(ShipmentCreated { order_id, shipment_id, lines }.into());
        }
    }
}
