//! The course of one order: facts in, status and events out. The rules are those of docs/RACES.md.

use shared_events::{
    CancelReason, CancelRefusedReason, Event, EventId, LineText, OrderCallOffRefused, OrderCallOffRequested,
    OrderCancelRefused, OrderCancelRequested, OrderCancelled, OrderCompleted, OrderConfirmed, OrderId, PaymentEvent,
    RefundId, RestockCause, ShipmentEvent, ShipmentId, StockEvent, StockLine,
};

use super::{CalledOff, Destination, Facts, Parcel, PaymentFact, ShipmentFact, Status, StockFact, Tracking};

/// How far an order is: what was heard of it and what follows from that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Progress {
    /// The order.
    pub order_id: OrderId,
    /// How many pieces were ordered, over all lines.
    pub pieces: i64,
    /// What follows.
    pub status: Status,
    /// What was heard.
    pub facts: Facts,
}

/// What a fact or a wish led to: the order as it is now, and what is to be said.
pub type Transition = (Progress, Vec<Event>);

/// What was decided about an order, whatever it was decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// How far the order is now.
    pub progress: Progress,
    /// Where it goes now, where that was decided.
    pub destination: Option<Destination>,
    /// What is to be said.
    pub says: Vec<Event>,
}

impl From<Transition> for Decided {
    fn from((progress, says): Transition) -> Self {
        Self { progress, destination: None, says }
    }
}

/// Why nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A delivered parcel came back: amounts change, the order doesn't.
    #[error("a return moves no order")]
    Return,
    /// payment-svc had said its last word.
    #[error("the payment has ended as {}", .0.shown())]
    PaymentEnded(PaymentFact),
    /// The deadline matters only while the order is pending.
    #[error("an order that is {} has no deadline", .0.name())]
    NotPending(Status),
    /// The goods have left, or the order has ended.
    #[error("an order that is {} can't be cancelled", .0.name())]
    TooLateToCancel(Status),
    /// Before anything has left the order is cancelled as a whole; once everything has, nothing is there to call off.
    #[error("of an order that is {} nothing can be called off", .0.name())]
    NothingToCallOff(Status),
    /// The customer's last change of address is still before stock-svc.
    #[error("another change of its address is being decided: ask again in a moment")]
    AddressUndecided,
    /// No change of address is waited for: it was answered before.
    #[error("no change of its address was asked for")]
    NoAddressAsked,
    /// What has left goes where it went, and what is given back goes nowhere.
    #[error("an order that is {} goes to the address that it has", .0.name())]
    TooLateToRedirect(Status),
}

impl Progress {
    /// An order that was just placed.
    pub fn new(order_id: OrderId, pieces: i64) -> Self {
        Self { order_id, pieces, status: Status::Pending, facts: Facts::default() }
    }

    /// What stock-svc said of the goods, by the event of that id: what was called off causes the refund that is named
    /// after it.
    ///
    /// # Errors
    /// [`Refused::Return`].
    pub fn hear_stock(mut self, event: &StockEvent, id: EventId) -> Result<Transition, Refused> {
        if let StockEvent::Restocked(restocked) = event
            && restocked.cause == RestockCause::CalledOff
        {
            return Ok(self.hear_called_off(restocked.lines.clone(), RefundId::because_of(id)));
        }
        let fact = StockFact::of(event).ok_or(Refused::Return)?;
        self.facts.stock = Some(fact);
        self.facts.note_shortages(event);
        if fact == StockFact::Expired && self.status == Status::Pending {
            self.facts.note_timeout();
        }
        let says = match (fact, self.status) {
            (StockFact::Rejected, Status::Pending) => self.cancelling(CancelReason::OutOfStock),
            (StockFact::RejectedExpired, Status::Confirmed) => self.ask_back(CancelReason::OutOfStock),
            (StockFact::Expired, Status::Pending) => self.ask_back(CancelReason::Timeout),
            _ => vec![],
        };
        Ok(self.settle(says))
    }

    /// What payment-svc said of the money. `authorized` confirms even before `reserved` is heard: topics are not
    /// ordered among each other, and payment-svc authorises only on `reserved`. A refund of all that comes back opens what
    /// it had ended, as long as the order goes on.
    ///
    /// # Errors
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
        let says = match (fact, self.status) {
            (PaymentFact::Authorized, Status::Pending) if self.goods_may_be_held() => self.confirm(),
            (PaymentFact::Declined, Status::Pending) => self.cancelling(CancelReason::PaymentDeclined),
            (PaymentFact::CaptureFailed, Status::Confirmed) => self.ask_back(CancelReason::PaymentExpired),
            _ => vec![],
        };
        Ok(self.settle(says))
    }

    /// What stock-svc said of a parcel, by the event of that id: a loss causes the refund that is named after it.
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
            // where a parcel goes is stock-svc's to know
            ShipmentEvent::Readdressed(_) => return (self, vec![]),
            ShipmentEvent::TrackingCorrected(corrected) => {
                self.note_tracking(corrected.shipment_id, &corrected.carrier, &corrected.tracking_number);
                return (self, vec![]);
            }
        };
        let refund_id = (fact == ShipmentFact::Lost).then(|| RefundId::because_of(id));
        self.note_parcel(event.shipment_id(), fact, pieces, refund_id);
        if let ShipmentEvent::Dispatched(gone) = event {
            self.note_tracking(gone.shipment_id, &gone.carrier, &gone.tracking_number);
        }
        let says = if fact == ShipmentFact::Dispatched { self.ship() } else { vec![] };
        self.settle(says)
    }

    /// The customer wants it cancelled. Asked again, nothing new happens.
    ///
    /// # Errors
    /// [`Refused::TooLateToCancel`] once something has left or the order has ended otherwise.
    pub fn cancel(mut self) -> Result<Transition, Refused> {
        match self.status {
            Status::Pending | Status::Confirmed => {
                let says = self.ask_back(CancelReason::Customer);
                Ok((self, says))
            }
            Status::Cancelling(_) | Status::Cancelled(CancelReason::Customer) => Ok((self, vec![])),
            status => Err(Refused::TooLateToCancel(status)),
        }
    }

    /// The customer does not want what has not left. Asked again, nothing new happens.
    ///
    /// # Errors
    /// [`Refused::NothingToCallOff`] unless a part has left and a part has not.
    pub fn call_off(mut self) -> Result<Transition, Refused> {
        match self.status {
            Status::PartiallyShipped if self.facts.call_off_asked => Ok((self, vec![])),
            Status::PartiallyShipped => {
                self.facts.call_off_asked = true;
                let says = OrderCallOffRequested { order_id: self.order_id };
                Ok((self, vec![says.into()]))
            }
            Status::Shipped | Status::Completed if !self.facts.called_off.is_empty() => Ok((self, vec![])),
            status => Err(Refused::NothingToCallOff(status)),
        }
    }

    /// The deadline has passed.
    ///
    /// # Errors
    /// [`Refused::NotPending`].
    pub fn time_out(mut self) -> Result<Transition, Refused> {
        if self.status != Status::Pending {
            return Err(Refused::NotPending(self.status));
        }
        self.facts.note_timeout();
        let says = self.ask_back(CancelReason::Timeout);
        Ok((self, says))
    }

    fn goods_may_be_held(&self) -> bool {
        matches!(self.facts.stock, None | Some(StockFact::Reserved))
    }

    fn confirm(&mut self) -> Vec<Event> {
        self.status = Status::Confirmed;
        vec![OrderConfirmed { order_id: self.order_id }.into()]
    }

    /// The order is to end, and what must be undone is undone without being asked for.
    fn cancelling(&mut self, reason: CancelReason) -> Vec<Event> {
        self.status = Status::Cancelling(reason);
        vec![]
    }

    /// The order is to end, and stock-svc is asked to give the goods back; it decides.
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

    /// Something has left: a cancellation that is under way came too late, and so did what was to be called off, if nothing
    /// is there any more; the way back is a return.
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

    /// Whether all that is to leave has left.
    fn shipped_so_far(&self) -> Status {
        let settled = self.facts.pieces_gone() + self.facts.pieces_called_off();
        if settled >= self.pieces { Status::Shipped } else { Status::PartiallyShipped }
    }

    /// Lines went back to the shelf although a part has left: they are awaited no more, their money is. It may be heard
    /// before the dispatch of what has left, which then ships the order.
    fn hear_called_off(mut self, lines: Vec<StockLine>, refund_id: RefundId) -> Transition {
        self.facts.called_off.push(CalledOff { lines, refund_id });
        self.facts.call_off_asked = false;
        if self.status == Status::PartiallyShipped {
            self.status = self.shipped_so_far();
        }
        self.settle(vec![])
    }

    /// Whether every line is delivered, back, or lost or called off and refunded, and the payment was captured.
    fn has_ended(&self) -> bool {
        self.facts.captured && !self.awaits_parcels() && self.facts.awaited_refunds_are_made()
    }

    /// Whether a piece that is not called off has yet to arrive, to come back or to be lost.
    pub(super) fn awaits_parcels(&self) -> bool {
        self.facts.pieces_ended() + self.facts.pieces_called_off() < self.pieces
    }

    /// Ends the order if all that its end waits for has been heard.
    fn settle(mut self, mut says: Vec<Event>) -> Transition {
        let order_id = self.order_id;
        match self.status {
            Status::Cancelling(reason) if self.facts.goods_are_back() && self.facts.money_is_back() => {
                self.status = Status::Cancelled(reason);
                let shortages = self.facts.shortages_of(reason).to_vec();
                let payment_code = self.facts.payment_code_of(reason).map(str::to_owned);
                says.push(OrderCancelled { order_id, reason, shortages, payment_code }.into());
            }
            Status::Shipped if self.has_ended() => {
                self.status = Status::Completed;
                says.push(OrderCompleted { order_id }.into());
            }
            _ => {}
        }
        (self, says)
    }
}
