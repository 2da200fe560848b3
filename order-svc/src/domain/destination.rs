use shared_events::{
    Address, AddressRefusedReason, Event, OrderAddressChangeRefused, OrderAddressChangeRequested, OrderAddressChanged,
    OrderId, StockAddressDecided,
};

use super::{Refused, Status};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Where everything goes that has not left, as far as order-svc knows.
    pub address: Address,
    /// The address that the customer wants, until stock-svc has decided about it.
    pub asked: Option<Address>,
}

impl Destination {
    /// The customer wants another address. A pending order has no shipment, so it takes the address at once. Later one
    /// may have left without order-svc knowing, so stock-svc is asked. Repeating the request changes nothing.
    /// Refused as [`Refused::TooLateToRedirect`] once everything has left or the order is ending, and as
    /// [`Refused::AddressUndecided`] while stock-svc decides about another address.
    pub fn redirect(mut self, id: OrderId, status: Status, address: Address) -> Result<(Self, Vec<Event>), Refused> {
        let (order_id, delivery_address) = (id, address.clone());
        match (status, &self.asked) {
            (Status::Pending, _) if address == self.address => Ok((self, vec![])),
            (Status::Pending, _) => {
                self.address = address;
                Ok((self, vec![OrderAddressChanged { order_id, delivery_address }.into()]))
            }
            (Status::Confirmed | Status::PartiallyShipped, Some(asked)) if address == *asked => Ok((self, vec![])),
            (Status::Confirmed | Status::PartiallyShipped, Some(_)) => Err(Refused::AddressUndecided),
            (Status::Confirmed | Status::PartiallyShipped, None) if address == self.address => Ok((self, vec![])),
            (Status::Confirmed | Status::PartiallyShipped, None) => {
                self.asked = Some(address);
                Ok((self, vec![OrderAddressChangeRequested { order_id, delivery_address }.into()]))
            }
            _ => Err(Refused::TooLateToRedirect(status)),
        }
    }

    /// Whether [`Self::redirect`] would take another address now.
    pub const fn may_be_redirected(&self, status: Status) -> bool {
        match status {
            Status::Pending => true,
            Status::Confirmed | Status::PartiallyShipped => self.asked.is_none(),
            Status::Shipped | Status::Completed | Status::Cancelling(_) | Status::Cancelled(_) => false,
        }
    }

    /// stock-svc has decided: what has not left goes to the new address, what has left does not. If the order has been
    /// cancelled meanwhile, nothing is published. Refused as [`Refused::NoAddressAsked`] if none is being decided.
    pub fn decided(mut self, status: Status, decided: &StockAddressDecided) -> Result<(Self, Vec<Event>), Refused> {
        let StockAddressDecided { order_id, taken, kept } = decided.clone();
        let delivery_address = self.asked.take().ok_or(Refused::NoAddressAsked)?;
        let mut events: Vec<Event> = vec![];
        if taken {
            self.address = delivery_address.clone();
            events.push(OrderAddressChanged { order_id, delivery_address }.into());
        }
        if !taken || !kept.is_empty() {
            let reason = if kept.is_empty() { AddressRefusedReason::Ended } else { AddressRefusedReason::Dispatched };
            events.push(OrderAddressChangeRefused { order_id, reason, shipments: kept }.into());
        }
        if matches!(status, Status::Cancelled(_)) {
            events.clear();
        }
        Ok((self, events))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_events::CancelReason;

    fn quay_street(number: u32) -> Address {
        Address {
            line1: format!("{number} Quay St").try_into().unwrap(),
            line2: None,
            city: "Cork".to_owned().try_into().unwrap(),
            postal_code: "T12".to_owned().try_into().unwrap(),
            country: "IE".to_owned().try_into().unwrap(),
        }
    }

    #[test]
    fn another_address_is_offered_exactly_where_it_would_be_taken() {
        let statuses = [
            Status::Pending,
            Status::Confirmed,
            Status::PartiallyShipped,
            Status::Shipped,
            Status::Completed,
            Status::Cancelling(CancelReason::Customer),
            Status::Cancelled(CancelReason::Customer),
        ];
        for (status, asked) in statuses.into_iter().flat_map(|status| [(status, None), (status, Some(quay_street(2)))])
        {
            let destination = Destination { address: quay_street(1), asked };
            let offered = destination.may_be_redirected(status);
            let taken = destination.clone().redirect(OrderId::new(), status, quay_street(3)).is_ok();
            assert_eq!(offered, taken, "{status:?}, {destination:?}");
        }
    }
}
