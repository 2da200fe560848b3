//! given/when/then: the events before, the event now, and what follows.

mod calling_off;
mod cancelling;
mod dance;
mod every_transition;
mod forgetting;
mod interleavings;
mod patience;
mod placing;
mod waiting;
mod why_it_failed;

use chrono::Utc;
use shared_events::*;

use super::{Progress, Refused, Status, Transition};

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a few of them, in tests")]
pub enum Happens {
    Heard(Event),
    CustomerCancels,
    CustomerCallsOff,
    DeadlinePasses,
}

pub fn id() -> OrderId {
    OrderId(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001))
}

/// A new order of two pieces.
pub fn placed() -> Progress {
    Progress::new(id(), 2)
}

pub fn happens(progress: Progress, what: &Happens) -> Result<Transition, Refused> {
    match what {
        Happens::Heard(Event::Stock(event)) => progress.hear_stock(event, CALLED_OFF),
        Happens::Heard(Event::Payment(event)) => progress.hear_payment(event),
        Happens::Heard(Event::Shipment(event)) => Ok(progress.hear_shipment(event, loss(event))),
        Happens::Heard(other) => panic!("an order doesn't hear {other:?}"),
        Happens::CustomerCancels => progress.cancel(),
        Happens::CustomerCallsOff => progress.call_off(),
        Happens::DeadlinePasses => progress.time_out(),
    }
}

pub struct Given(Progress);
pub struct When(Result<Transition, Refused>);

/// An order of two pieces after these events and requests.
pub fn given(before: impl IntoIterator<Item = Happens>) -> Given {
    Given(before.into_iter().fold(placed(), |progress, what| happens(progress, &what).unwrap().0))
}

impl Given {
    pub fn when(self, what: Happens) -> When {
        When(happens(self.0, &what))
    }
}

impl When {
    pub fn then<const N: usize>(self, status: Status, events: [Event; N]) -> Progress {
        let (progress, said) = self.0.unwrap();
        assert_eq!(progress.status, status);
        assert_eq!(said, events);
        progress
    }

    pub fn then_refused(self, refused: Refused) {
        assert_eq!(self.0.unwrap_err(), refused);
    }
}

pub fn reserved() -> Happens {
    heard(StockReserved { order_id: id(), expires_at: Utc::now() })
}

pub fn short() -> Happens {
    heard(StockRejected { order_id: id(), rejection: Rejection::Shortages { lines: vec![] } })
}

pub fn rejected_after_expiry() -> Happens {
    heard(StockRejected { order_id: id(), rejection: Rejection::Expired })
}

pub fn committed() -> Happens {
    heard(StockCommitted { order_id: id() })
}

pub fn released() -> Happens {
    heard(StockReleased { order_id: id(), reason: CancelReason::Customer })
}

pub fn expired() -> Happens {
    heard(StockExpired { order_id: id() })
}

pub fn restocked(cause: RestockCause) -> Happens {
    heard(StockRestocked { order_id: id(), cause, lines: vec![] })
}

pub fn authorized() -> Happens {
    heard(PaymentAuthorized { order_id: id(), payment_id: payment(), amount: eur(20_00) })
}

pub fn declined(retryable: bool) -> Happens {
    heard(PaymentDeclined { order_id: id(), payment_id: payment(), code: "card_declined".to_owned(), retryable })
}

pub fn action_required() -> Happens {
    heard(PaymentActionRequired { order_id: id(), payment_id: payment(), deadline: None, url: None })
}

pub fn captured() -> Happens {
    heard(PaymentCaptured { order_id: id(), payment_id: payment(), amount: eur(20_00) })
}

pub fn capture_failed() -> Happens {
    heard(PaymentCaptureFailed { order_id: id(), payment_id: payment(), code: "expired".to_owned() })
}

pub fn voided() -> Happens {
    heard(PaymentVoided { order_id: id(), payment_id: payment(), amount: eur(20_00) })
}

pub fn refunded(remaining: i64) -> Happens {
    refund(RefundId::new(), remaining)
}

fn refund(refund_id: RefundId, remaining: i64) -> Happens {
    let amount = eur(20_00 - remaining);
    heard(PaymentRefunded { order_id: id(), payment_id: payment(), refund_id, amount, remaining: eur(remaining) })
}

/// A refund by staff with a known id, so that it can be reversed.
pub fn staff_refunded(refund_id: RefundId, remaining: i64) -> Happens {
    refund(refund_id, remaining)
}

pub fn refund_failed() -> Happens {
    came_back(RefundId::new())
}

pub fn came_back(refund_id: RefundId) -> Happens {
    let (amount, code) = (eur(20_00), "failed".to_owned());
    heard(PaymentRefundFailed { order_id: id(), payment_id: payment(), refund_id, amount, code })
}

pub fn unknown() -> Happens {
    heard(PaymentUnknown { order_id: id(), payment_id: payment(), operation: GatewayOperation::Capture })
}

pub fn parcel(n: u128) -> ShipmentId {
    ShipmentId(uuid::Uuid::from_u128(n))
}

pub fn created(n: u128, pieces: i64) -> Happens {
    let lines = vec![StockLine { sku: "TEA".parse().unwrap(), quantity: pieces.try_into().unwrap() }];
    heard(ShipmentCreated { order_id: id(), shipment_id: parcel(n), lines })
}

pub fn dispatched(n: u128) -> Happens {
    let (carrier, tracking_number) = ("An Post".parse().unwrap(), "IE1".parse().unwrap());
    heard(ShipmentDispatched { order_id: id(), shipment_id: parcel(n), carrier, tracking_number })
}

pub fn delivered(n: u128) -> Happens {
    heard(ShipmentDelivered { order_id: id(), shipment_id: parcel(n) })
}

pub fn parcel_returned(n: u128) -> Happens {
    heard(ShipmentReturned { order_id: id(), shipment_id: parcel(n), lines: vec![] })
}

pub fn lost(n: u128) -> Happens {
    heard(ShipmentLost { order_id: id(), shipment_id: parcel(n), lines: vec![] })
}

/// The id of every stock event here, from which the id of a call-off's refund is derived.
const CALLED_OFF: EventId = EventId(uuid::Uuid::from_u128(77));

pub fn called_off(pieces: i64) -> Happens {
    let lines = vec![StockLine { sku: "TEA".parse().unwrap(), quantity: pieces.try_into().unwrap() }];
    heard(StockRestocked { order_id: id(), cause: RestockCause::CalledOff, lines })
}

pub fn call_off_refunded(remaining: i64) -> Happens {
    refund(RefundId::caused_by(CALLED_OFF), remaining)
}

/// The gateway refuses that refund, of 5.00.
pub fn call_off_not_refunded() -> Happens {
    let (refund_id, amount) = (RefundId::caused_by(CALLED_OFF), eur(5_00));
    heard(PaymentRefundFailed { order_id: id(), payment_id: payment(), refund_id, amount, code: "failed".to_owned() })
}

fn loss(event: &ShipmentEvent) -> EventId {
    EventId(event.shipment_id().0)
}

pub fn loss_refunded(n: u128, remaining: i64) -> Happens {
    refund(RefundId::caused_by(EventId(parcel(n).0)), remaining)
}

/// The gateway refuses to refund the whole order after its stock came back.
pub fn undo_refused() -> Happens {
    let (refund_id, amount) = (RefundId::caused_by(EventId(parcel(99).0)), eur(20_00));
    heard(PaymentRefundFailed { order_id: id(), payment_id: payment(), refund_id, amount, code: "failed".to_owned() })
}

/// The gateway refuses the refund of a lost shipment, of 5.00.
pub fn loss_refused(n: u128) -> Happens {
    let (refund_id, amount) = (RefundId::caused_by(EventId(parcel(n).0)), eur(5_00));
    heard(PaymentRefundFailed { order_id: id(), payment_id: payment(), refund_id, amount, code: "failed".to_owned() })
}

pub fn parcel_cancelled(n: u128) -> Happens {
    heard(ShipmentCancelled { order_id: id(), shipment_id: parcel(n), split_into: vec![] })
}

pub fn confirmed_event() -> Event {
    OrderConfirmed { order_id: id() }.into()
}

pub fn cancel_requested(reason: CancelReason) -> Event {
    OrderCancelRequested { order_id: id(), reason }.into()
}

pub fn cancel_refused() -> Event {
    OrderCancelRefused { order_id: id(), reason: CancelRefusedReason::Dispatched }.into()
}

pub fn call_off_requested() -> Event {
    OrderCallOffRequested { order_id: id() }.into()
}

pub fn call_off_refused() -> Event {
    OrderCallOffRefused { order_id: id(), reason: CancelRefusedReason::Dispatched }.into()
}

pub fn cancelled(reason: CancelReason) -> Event {
    let payment_code = (reason == CancelReason::PaymentDeclined).then(|| "card_declined".to_owned());
    OrderCancelled { payment_code, ..OrderCancelled::new(id(), reason) }.into()
}

pub fn completed() -> Event {
    OrderCompleted { order_id: id() }.into()
}

pub fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR).unwrap()
}

fn heard(event: impl Into<Event>) -> Happens {
    Happens::Heard(event.into())
}

fn payment() -> PaymentId {
    PaymentId(uuid::Uuid::from_u128(7))
}
