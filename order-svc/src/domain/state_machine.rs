//! The state machine of one order: events in, status and events out. docs/RACES.md has its rules.

use shared_events::{
    CancelReason, CancelRefusedReason, CustomerId, Event, EventId, LineText, OrderCallOffRefused,
    OrderCallOffRequested, OrderCancelRefused, OrderCancelRequested, OrderCancelled, OrderCompleted, OrderConfirmed,
    OrderForgotten, OrderId, PaymentEvent, RefundId, RestockCause, ShipmentEvent, ShipmentId, StockEvent, StockLine,
};

use super::{CalledOff, Destination, Facts, Parcel, PaymentFact, ShipmentFact, Status, StockFact, Tracking};

/// The progress of an order: what is known from events, and the status that follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Progress {
    pub order_id: OrderId,
    /// The number of pieces that were ordered, over all lines.
    pub pieces: i64,
    pub status: Status,
    pub facts: Facts,
}

/// The result of an event or a request: the order's new state, and the events to publish.
pub type Transition = (Progress, Vec<Event>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    pub progress: Progress,
    /// The new destination, if that was decided.
    pub destination: Option<Destination>,
    pub events: Vec<Event>,
}

impl From<Transition> for Decided {
    fn from((progress, events): Transition) -> Self {
        Self { progress, destination: None, events }
    }
}

/// Why an event or a request changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A delivered shipment came back. That changes amounts, but not the order.
    #[error("a return doesn't change the order")]
    Return,
    #[error("the payment has ended as {}", .0.shown())]
    PaymentEnded(PaymentFact),
    #[error("an order that is {} has no deadline", .0.name())]
    NotPending(Status),
    /// A shipment has left, or the order has ended.
    #[error("an order that is {} can't be cancelled", .0.name())]
    TooLateToCancel(Status),
    /// Before anything has left, the order can only be cancelled as a whole; once everything has left, nothing
    /// remains to be called off.
    #[error("nothing of an order that is {} can be called off", .0.name())]
    NothingToCallOff(Status),
    #[error("another change of its address is being decided: ask again in a moment")]
    AddressUndecided,
    /// No change of address is awaited; it was answered before.
    #[error("no change of its address was asked for")]
    NoAddressAsked,
    /// The address can't change once every shipment has left or the order is being cancelled.
    #[error("the address of an order that is {} can't be changed", .0.name())]
    TooLateToRedirect(Status),
    /// A parcel needs an address, and whoever waits for their money is somebody.
    #[error("an order that is {} still needs its customer", .0.name())]
    GoesOn(Status),
}

impl Progress {
    pub fn new(order_id: OrderId, pieces: i64) -> Self {
        Self { order_id, pieces, status: Status::Pending, facts: Facts::default() }
    }

    /// Applies an event about the stock. The id of a call-off's refund is derived from the event's id. A return is
    /// refused as [`Refused::Return`].
    pub fn hear_stock(mut self, event: &StockEvent, id: EventId) -> Result<Transition, Refused> {
        if let StockEvent::Restocked(restocked) = event
            && restocked.cause == RestockCause::CalledOff
        {
            return Ok(self.hear_called_off(restocked.lines.clone(), RefundId::caused_by(id)));
        }
        let fact = StockFact::of(event).ok_or(Refused::Return)?;
        self.facts.stock = Some(fact);
        self.facts.note_shortages(event);
        if fact == StockFact::Expired && self.status == Status::Pending {
            self.facts.note_timeout();
        }
        let events = match (fact, self.status) {
            (StockFact::Rejected, Status::Pending) => self.cancelling(CancelReason::OutOfStock),
            (StockFact::RejectedExpired, Status::Confirmed) => self.ask_back(CancelReason::OutOfStock),
            (StockFact::Expired, Status::Pending) => self.ask_back(CancelReason::Timeout),
            _ => vec![],
        };
        Ok(self.settle(events))
    }

    /// Applies an event about the payment. `authorized` confirms the order even before `reserved` is read: topics are
    /// not ordered among each other, and payment-svc authorises only after `reserved`. If a complete refund is reversed
    /// while the order goes on, the payment is open again. After the payment's final state it is refused as
    /// [`Refused::PaymentEnded`].
    pub fn hear_payment(mut self, event: &PaymentEvent) -> Result<Transition, Refused> {
        let fact = PaymentFact::of(event);
        let is_over = matches!(self.status, Status::Completed | Status::Cancelled(_));
        let reopens = fact == PaymentFact::RefundFailed && !is_over;
        if let Some(end) = self.facts.payment.filter(|known| known.is_end() && !reopens) {
            return Err(Refused::PaymentEnded(end));
        }
        self.facts.payment = Some(fact);
        self.facts.captured |= fact == PaymentFact::Captured;
        self.facts.note_refund(event);
        self.facts.note_payment_code(event);
        let events = match (fact, self.status) {
            (PaymentFact::Authorized, Status::Pending) if self.goods_may_be_held() => self.confirm(),
            (PaymentFact::Declined, Status::Pending) => self.cancelling(CancelReason::PaymentDeclined),
            (PaymentFact::CaptureFailed, Status::Confirmed) => self.ask_back(CancelReason::PaymentExpired),
            _ => vec![],
        };
        Ok(self.settle(events))
    }

    /// Applies an event about a shipment. The id of a loss's refund is derived from the event's id.
    pub fn hear_shipment(mut self, event: &ShipmentEvent, id: EventId) -> Transition {
        let (fact, pieces) = match event {
            ShipmentEvent::Created(created) => {
                (ShipmentFact::Created, created.lines.iter().map(|line| i64::from(line.quantity)).sum())
            }
            ShipmentEvent::Dispatched(_) => (ShipmentFact::Dispatched, 0),
            ShipmentEvent::Delivered(_) => (ShipmentFact::Delivered, 0),
            ShipmentEvent::Cancelled(_) => (ShipmentFact::Cancelled, 0),
            ShipmentEvent::Returned(_) => (ShipmentFact::Returned, 0),
            ShipmentEvent::Lost(_) => (ShipmentFact::Lost, 0),
            // stock-svc keeps the address of each shipment.
            ShipmentEvent::Readdressed(_) => return (self, vec![]),
            ShipmentEvent::TrackingCorrected(corrected) => {
                self.note_tracking(corrected.shipment_id, &corrected.carrier, &corrected.tracking_number);
                return (self, vec![]);
            }
        };
        let refund_id = (fact == ShipmentFact::Lost).then(|| RefundId::caused_by(id));
        self.note_parcel(event.shipment_id(), fact, pieces, refund_id);
        if let ShipmentEvent::Dispatched(gone) = event {
            self.note_tracking(gone.shipment_id, &gone.carrier, &gone.tracking_number);
        }
        let events = if fact == ShipmentFact::Dispatched { self.ship() } else { vec![] };
        self.settle(events)
    }

    /// The customer cancels the order. Repeating the request changes nothing. Refused as [`Refused::TooLateToCancel`]
    /// once something has left, or if the order has ended otherwise.
    pub fn cancel(mut self) -> Result<Transition, Refused> {
        match self.status {
            Status::Pending | Status::Confirmed => {
                let events = self.ask_back(CancelReason::Customer);
                Ok((self, events))
            }
            Status::Cancelling(_) | Status::Cancelled(CancelReason::Customer) => Ok((self, vec![])),
            status => Err(Refused::TooLateToCancel(status)),
        }
    }

    /// The customer calls off what has not left. Repeating the request changes nothing. Refused as
    /// [`Refused::NothingToCallOff`] unless one part has left and another has not.
    pub fn call_off(mut self) -> Result<Transition, Refused> {
        match self.status {
            Status::PartiallyShipped if self.facts.call_off_asked => Ok((self, vec![])),
            Status::PartiallyShipped => {
                self.facts.call_off_asked = true;
                let requested = OrderCallOffRequested { order_id: self.order_id };
                Ok((self, vec![requested.into()]))
            }
            Status::Shipped | Status::Completed if !self.facts.called_off.is_empty() => Ok((self, vec![])),
            status => Err(Refused::NothingToCallOff(status)),
        }
    }

    /// The deadline has passed. Refused as [`Refused::NotPending`] if the order is not pending.
    pub fn time_out(mut self) -> Result<Transition, Refused> {
        if self.status != Status::Pending {
            return Err(Refused::NotPending(self.status));
        }
        self.facts.note_timeout();
        let events = self.ask_back(CancelReason::Timeout);
        Ok((self, events))
    }

    /// Its customer is forgotten, which changes nothing of the order itself. Refused as [`Refused::GoesOn`] until it has
    /// ended.
    pub fn forget(self, customer_id: CustomerId) -> Result<Transition, Refused> {
        match self.status {
            Status::Completed | Status::Cancelled(_) => {
                let forgotten = OrderForgotten { order_id: self.order_id, customer_id };
                Ok((self, vec![forgotten.into()]))
            }
            status => Err(Refused::GoesOn(status)),
        }
    }

    fn goods_may_be_held(&self) -> bool {
        matches!(self.facts.stock, None | Some(StockFact::Reserved))
    }

    fn confirm(&mut self) -> Vec<Event> {
        self.status = Status::Confirmed;
        vec![OrderConfirmed { order_id: self.order_id }.into()]
    }

    /// The order is ending. Everything that must be undone is undone without a request.
    fn cancelling(&mut self, reason: CancelReason) -> Vec<Event> {
        self.status = Status::Cancelling(reason);
        vec![]
    }

    /// The order is ending. stock-svc is asked to release the stock, and decides.
    fn ask_back(&mut self, reason: CancelReason) -> Vec<Event> {
        self.status = Status::Cancelling(reason);
        vec![OrderCancelRequested { order_id: self.order_id, reason }.into()]
    }

    fn note_parcel(&mut self, shipment_id: ShipmentId, fact: ShipmentFact, pieces: i64, refund_id: Option<RefundId>) {
        self.facts.shipment = Some(fact);
        match self.facts.parcels.iter_mut().find(|parcel| parcel.shipment_id == shipment_id) {
            Some(parcel) => (parcel.fact, parcel.refund_id) = (fact, refund_id),
            None => self.facts.parcels.push(Parcel { shipment_id, pieces, fact, refund_id, tracking: None }),
        }
    }

    fn note_tracking(&mut self, shipment_id: ShipmentId, carrier: &LineText, number: &LineText) {
        if let Some(parcel) = self.facts.parcels.iter_mut().find(|parcel| parcel.shipment_id == shipment_id) {
            parcel.tracking = Some(Tracking { carrier: carrier.clone(), number: number.clone() });
        }
    }

    /// A shipment has left. A cancellation in progress came too late. So did a request to call off the rest, if
    /// everything has left now. The customer can only return the goods.
    fn ship(&mut self) -> Vec<Event> {
        let (order_id, reason) = (self.order_id, CancelRefusedReason::Dispatched);
        match self.status {
            Status::Cancelled(_) | Status::Completed => vec![],
            Status::Cancelling(_) => {
                self.status = self.shipped_so_far();
                vec![OrderCancelRefused { order_id, reason }.into()]
            }
            Status::Pending | Status::Confirmed | Status::PartiallyShipped | Status::Shipped => {
                self.status = self.shipped_so_far();
                let all_left = self.status == Status::Shipped && std::mem::take(&mut self.facts.call_off_asked);
                if all_left { vec![OrderCallOffRefused { order_id, reason }.into()] } else { vec![] }
            }
        }
    }

    /// `Shipped` if everything that will be sent has left, else `PartiallyShipped`.
    fn shipped_so_far(&self) -> Status {
        let settled = self.facts.pieces_gone() + self.facts.pieces_called_off();
        if settled >= self.pieces { Status::Shipped } else { Status::PartiallyShipped }
    }

    /// Lines were called off although a part has left: the order no longer waits for them, but for their refund. This
    /// may arrive before the dispatch of the part that has left; that event then ships the order.
    fn hear_called_off(mut self, lines: Vec<StockLine>, refund_id: RefundId) -> Transition {
        self.facts.called_off.push(CalledOff { lines, refund_id });
        self.facts.call_off_asked = false;
        if self.status == Status::PartiallyShipped {
            self.status = self.shipped_so_far();
        }
        self.settle(vec![])
    }

    /// Whether the payment is captured and every line delivered, returned, or refunded after a loss or call-off.
    fn has_ended(&self) -> bool {
        self.facts.captured && !self.awaits_parcels() && self.facts.awaited_refunds_are_made()
    }

    /// Whether a piece that was not called off has yet to be delivered, returned or lost.
    pub(super) fn awaits_parcels(&self) -> bool {
        self.facts.pieces_ended() + self.facts.pieces_called_off() < self.pieces
    }

    /// Ends the order if nothing more is awaited.
    fn settle(mut self, mut events: Vec<Event>) -> Transition {
        let order_id = self.order_id;
        match self.status {
            Status::Cancelling(reason) if self.facts.goods_are_back() && self.facts.money_is_back() => {
                self.status = Status::Cancelled(reason);
                let shortages = self.facts.shortages_of(reason).to_vec();
                let payment_code = self.facts.payment_code_of(reason).map(str::to_owned);
                events.push(OrderCancelled { order_id, reason, shortages, payment_code }.into());
            }
            Status::Shipped if self.has_ended() => {
                self.status = Status::Completed;
                events.push(OrderCompleted { order_id }.into());
            }
            _ => {}
        }
        (self, events)
    }
}
