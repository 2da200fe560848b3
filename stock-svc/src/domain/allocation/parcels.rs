use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use shared_events::{
    Event, LineText, OrderId, Quantity, RestockCause, ShipmentCancelled, ShipmentCreated, ShipmentDelivered,
    ShipmentDispatched, ShipmentId, ShipmentLost, ShipmentReturned, ShipmentTrackingCorrected, Sku, StockLine,
    StockRestocked,
};

use super::{Allocation, Change};
use crate::domain::{NewParcel, Refused, Shipment, Stage, StockMovement};

impl Allocation {
    /// Packs a shipment. Fails as [`Shipment::pack`] does.
    pub fn pack(self, id: ShipmentId, at: DateTime<Utc>) -> Result<Change, Refused> {
        self.move_shipment(id, "packed", |shipment| shipment.pack(at), |_, _| None)
    }

    /// Splits these lines off a shipment. The shipment is cancelled and replaced by two independent ones: first the
    /// one with these lines, then the one with the rest. Fails as [`Shipment::split`] does.
    pub fn split(
        mut self,
        id: ShipmentId,
        lines: &[StockLine],
        parts: [NewParcel; 2],
        at: DateTime<Utc>,
    ) -> Result<Change, Refused> {
        let order_id = self.order_id;
        let whole = self.shipment(id, "split")?;
        let (called_off, parts) = whole.clone().split(lines, parts, at)?;
        let split_into = called_off.split_into.clone();
        *whole = called_off;
        let mut events = vec![ShipmentCancelled { order_id, shipment_id: id, split_into }.into()];
        for part in parts {
            events.push(ShipmentCreated { order_id, shipment_id: part.id, lines: part.lines.clone() }.into());
            self.shipments.push(part);
        }
        Ok(self.with_events(events))
    }

    /// Hands a shipment to the carrier. Repeating it changes nothing. Fails as [`Shipment::dispatch`] does, or if the
    /// shipment left with another carrier or tracking number.
    pub fn dispatch(
        mut self,
        id: ShipmentId,
        carrier: LineText,
        tracking: LineText,
        at: DateTime<Utc>,
    ) -> Result<Change, Refused> {
        if self.shipment(id, "dispatched")?.has_left_as(&carrier, &tracking) {
            return Ok(self.with_events(Vec::new()));
        }
        let said = (carrier.clone(), tracking.clone());
        self.move_shipment(
            id,
            "dispatched",
            |shipment| shipment.dispatch(carrier, tracking, at),
            |order_id, shipment_id| {
                let (carrier, tracking_number) = said;
                Some(ShipmentDispatched { order_id, shipment_id, carrier, tracking_number }.into())
            },
        )
    }

    /// Corrects the carrier and the tracking number of a shipment that is on its way. If they are right already,
    /// nothing is published. Fails as [`Shipment::correct_tracking`] does.
    pub fn correct_tracking(
        mut self,
        id: ShipmentId,
        carrier: LineText,
        tracking_number: LineText,
    ) -> Result<Change, Refused> {
        let order_id = self.order_id;
        let shipment = self.shipment(id, "given another tracking number")?;
        if shipment.has_left_as(&carrier, &tracking_number) {
            return Ok(self.with_events(Vec::new()));
        }
        let previous_tracking_number = shipment.tracking_number.clone();
        *shipment = shipment.clone().correct_tracking(carrier.clone(), tracking_number.clone())?;
        let corrected =
            ShipmentTrackingCorrected { order_id, shipment_id: id, carrier, tracking_number, previous_tracking_number };
        Ok(self.with_events(vec![corrected.into()]))
    }

    /// Notes that a shipment has arrived. Fails as [`Shipment::deliver`] does.
    pub fn deliver(self, id: ShipmentId, at: DateTime<Utc>) -> Result<Change, Refused> {
        self.move_shipment(
            id,
            "delivered",
            |shipment| shipment.deliver(at),
            |order_id, shipment_id| Some(ShipmentDelivered { order_id, shipment_id }.into()),
        )
    }

    /// Restocks lines of a shipment that come back; their refund follows. Fails as [`Shipment::take_back`] does.
    pub fn take_back(self, id: ShipmentId, lines: Vec<StockLine>, at: DateTime<Utc>) -> Result<Change, Refused> {
        let order_id = self.order_id;
        let change = self.move_shipment(
            id,
            "returned",
            |shipment| shipment.take_back(&lines, at),
            |order_id, shipment_id| Some(ShipmentReturned { order_id, shipment_id, lines: lines.clone() }.into()),
        )?;
        let restocked = StockRestocked { order_id, cause: RestockCause::Returned, lines: lines.clone() };
        let events = [change.events, vec![restocked.into()]].concat();
        Ok(Change { movement: Some((StockMovement::Restock, lines)), events, ..change })
    }

    /// Gives a shipment up for lost; its refund follows. No stock moves, since it is no longer on hand. Fails as
    /// [`Shipment::lose`] does.
    pub fn lose(mut self, id: ShipmentId, at: DateTime<Utc>) -> Result<Change, Refused> {
        let lines = self.shipment(id, "lost")?.lines.clone();
        self.move_shipment(
            id,
            "lost",
            |shipment| shipment.lose(at),
            |order_id, shipment_id| Some(ShipmentLost { order_id, shipment_id, lines }.into()),
        )
    }

    /// Calls off what can't leave after a part of the order has: one shipment, or all that are still here. Their stock
    /// is restocked, and their refund follows. Shipments that have left are not touched. Repeating it for a shipment
    /// changes nothing and publishes nothing. Fails if nothing of the order has left, because then the whole order can
    /// be cancelled. Fails if the shipment, or all of them, have left, or if the shipment was split.
    pub fn call_off(mut self, only: Option<ShipmentId>, at: DateTime<Utc>) -> Result<Change, Refused> {
        let wanted = "called off";
        if let Some(id) = only {
            let shipment = self.shipment(id, wanted)?;
            if !shipment.stage.in_the_warehouse() && !shipment.was_called_off() {
                return Err(shipment.refuses(wanted));
            }
        }
        if !self.shipments.iter().any(|shipment| shipment.stage.has_left()) {
            return Err(Refused { what: "parcel", wanted, state: "of an order of which nothing has left" });
        }
        let (order_id, mut lines, mut events) = (self.order_id, BTreeMap::<Sku, i64>::new(), Vec::new());
        let is_meant =
            |shipment: &Shipment| only.is_none_or(|id| shipment.id == id) && shipment.stage.in_the_warehouse();
        for shipment in self.shipments.iter_mut().filter(|shipment| is_meant(shipment)) {
            *shipment = shipment.clone().cancel(at)?;
            events.push(ShipmentCancelled { order_id, shipment_id: shipment.id, split_into: Vec::new() }.into());
            for line in &shipment.lines {
                *lines.entry(line.sku.clone()).or_default() += i64::from(line.quantity);
            }
        }
        if events.is_empty() {
            let nothing_is_there = Refused { what: "parcel", wanted, state: "no longer in the warehouse" };
            return if only.is_some() { Ok(self.with_events(events)) } else { Err(nothing_is_there) };
        }
        // No sum exceeds the ordered quantity, so the conversion can't fail.
        let line = |(sku, pieces)| Some(StockLine { sku, quantity: Quantity::try_from(pieces).ok()? });
        let lines: Vec<_> = lines.into_iter().filter_map(line).collect();
        events.push(StockRestocked { order_id, cause: RestockCause::CalledOff, lines: lines.clone() }.into());
        Ok(Change { allocation: self, movement: Some((StockMovement::Restock, lines)), events })
    }

    /// Cancels all shipments that are still here, unless one has left: then it fails and changes nothing.
    pub(super) fn parcels_called_off(mut self, at: DateTime<Utc>) -> Result<(Self, Vec<Event>), Refused> {
        let order_id = self.order_id;
        let mut events = Vec::new();
        for shipment in self.shipments.iter_mut().filter(|shipment| shipment.stage != Stage::Cancelled) {
            *shipment = shipment.clone().cancel(at)?;
            events.push(ShipmentCancelled { order_id, shipment_id: shipment.id, split_into: Vec::new() }.into());
        }
        Ok((self, events))
    }

    fn shipment(&mut self, id: ShipmentId, wanted: &'static str) -> Result<&mut Shipment, Refused> {
        let missing = Refused { what: "shipment", wanted, state: "not created" };
        self.shipments.iter_mut().find(|shipment| shipment.id == id).ok_or(missing)
    }

    fn move_shipment(
        mut self,
        id: ShipmentId,
        wanted: &'static str,
        moved: impl FnOnce(Shipment) -> Result<Shipment, Refused>,
        said: impl FnOnce(OrderId, ShipmentId) -> Option<Event>,
    ) -> Result<Change, Refused> {
        let shipment = self.shipment(id, wanted)?;
        *shipment = moved(shipment.clone())?;
        let events = said(self.order_id, id).into_iter().collect();
        Ok(self.with_events(events))
    }
}
