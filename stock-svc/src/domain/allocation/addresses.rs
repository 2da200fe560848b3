//! The addresses of shipments. They are decided under the lock on the order's root row, as is everything that races
//! with a dispatch.

use shared_events::{Address, Event, ShipmentReaddressed, StockAddressDecided};

use super::{Allocation, Change};
use crate::domain::{Refused, State};

impl Allocation {
    /// order-svc reports the new address of an order. Either nothing can have left, or order-svc repeats a decision
    /// that was made here. Everything that is still here takes the address. Fails if this change, or a later one, was
    /// read before.
    pub fn readdress(mut self, address: &Address, sequence: i64) -> Result<Change, Refused> {
        self.note_address(sequence)?;
        let events = self.take_address(address);
        Ok(self.with_events(events))
    }

    /// The customer wants another address. What has not left takes it; what has left keeps its own. The decision is
    /// announced. Fails if this change, or a later one, was read before.
    pub fn decide_address(mut self, address: &Address, sequence: i64) -> Result<Change, Refused> {
        self.note_address(sequence)?;
        let taken = self.has_something_to_send();
        let mut events = self.take_address(address);
        let elsewhere = self.shipments.iter().filter(|parcel| parcel.stage.has_left());
        let kept = elsewhere.filter(|parcel| parcel.address.as_ref() != Some(address)).map(|parcel| parcel.id);
        let decided = StockAddressDecided { order_id: self.order_id, taken, kept: kept.collect() };
        events.push(decided.into());
        Ok(self.with_events(events))
    }

    /// The order's customer is forgotten, so no address of theirs is kept.
    pub fn forget(mut self) -> Change {
        self.address = None;
        for shipment in &mut self.shipments {
            shipment.address = None;
        }
        self.with_events(Vec::new())
    }

    fn note_address(&mut self, sequence: i64) -> Result<(), Refused> {
        if sequence <= self.address_rank {
            return Err(Refused { what: "change of address", wanted: "decided", state: "known" });
        }
        self.address_rank = sequence;
        Ok(())
    }

    /// Whether a shipment is still here, or may be created later.
    fn has_something_to_send(&self) -> bool {
        let may_be_sent = matches!(self.state(), Some(State::Held { .. } | State::Expired | State::Committed));
        let is_there = self.shipments.iter().any(|parcel| parcel.stage.in_the_warehouse());
        may_be_sent && (self.shipments.is_empty() || is_there)
    }

    fn take_address(&mut self, address: &Address) -> Vec<Event> {
        if !self.has_something_to_send() {
            return Vec::new();
        }
        if self.shipments.is_empty() {
            self.address = Some(address.clone());
        }
        let order_id = self.order_id;
        let mut events = Vec::new();
        for parcel in self.shipments.iter_mut().filter(|parcel| parcel.stage.in_the_warehouse()) {
            if parcel.address.as_ref() != Some(address) {
                parcel.address = Some(address.clone());
                events.push(ShipmentReaddressed { order_id, shipment_id: parcel.id }.into());
            }
        }
        events
    }
}
