use chrono::{DateTime, Utc};
use serde::Serialize;
use service_kit::auth::{Caller, Sees};
use shared_events::{
    Address, CancelReason, Currency, CustomerId, EmailAddress, LineText, Money, OrderId, OrderLine, OrderNumber,
    Quantity, ShipmentId, Shortage, Sku, decline_for_customer,
};

use utoipa::ToSchema;

use super::names::StatusName;
use crate::domain::{Order, Parcel, PaymentFact, Progress, Review, ShipmentFact, StaffReason, StockFact};

/// An order.
#[derive(Serialize, ToSchema)]
#[schema(as = Order, example = json!(super::examples::placed()))]
pub struct OrderView<'a> {
    id: OrderId,
    /// What people call it. Numbers have gaps.
    number: Option<&'a OrderNumber>,
    #[schema(value_type = StatusName, inline)]
    status: &'static str,
    /// Why it was cancelled, or is being cancelled.
    reason: Option<CancelReason>,
    /// Details of the reason, if there are any.
    failure: Option<FailureView<'a>>,
    customer: CustomerView<'a>,
    /// None once the customer was forgotten.
    delivery_address: Option<&'a Address>,
    /// The address that the customer wants, while the warehouse decides about it.
    requested_address: Option<&'a Address>,
    currency: Currency,
    lines: Vec<LineView<'a>>,
    total: Money,
    /// The last event about its stock.
    stock: Option<&'static str>,
    /// The last event about its payment.
    payment: Option<&'static str>,
    /// The last event about its parcels.
    shipment: Option<&'static str>,
    /// Its parcels, the oldest first.
    shipments: Vec<ParcelView<'a>>,
    /// The event that it waits for, from whom, and since when.
    waiting_for: Option<WaitingView>,
    /// Counts its changes.
    version: i64,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// When its customer was forgotten. Name and addresses are gone since then; the order and its amounts stay.
    forgotten_at: Option<DateTime<Utc>>,
    /// What only staff and operators are shown, if there is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    staff: Option<StaffView<'a>>,
    links: Links,
}

/// What staff did with an order; its notes have more.
#[derive(Serialize, ToSchema)]
#[schema(as = ForStaff)]
struct StaffView<'a> {
    /// Why they have cancelled it, if they have.
    cancel_reason: Option<StaffReason>,
    /// Why they hold it for review, and since when, if they do.
    hold: Option<HoldView<'a>>,
}

#[derive(Serialize, ToSchema)]
struct HoldView<'a> {
    reason: &'a LineText,
    since: DateTime<Utc>,
}

impl<'a> StaffView<'a> {
    fn of(progress: &'a Progress) -> Option<Self> {
        let was_staff = progress.status.reason() == Some(CancelReason::Staff);
        let cancel_reason = progress.facts.staff_reason.filter(|_| was_staff);
        let hold = match &progress.facts.review {
            Some(Review::Held { reason, since }) => Some(HoldView { reason, since: *since }),
            Some(Review::Released) | None => None,
        };
        (cancel_reason.is_some() || hold.is_some()).then_some(Self { cancel_reason, hold })
    }
}

/// Who placed the order.
#[derive(Serialize, ToSchema)]
#[schema(as = OrderCustomer)]
struct CustomerView<'a> {
    id: &'a CustomerId,
    /// None once the customer was forgotten.
    name: Option<&'a LineText>,
    /// None once the customer was forgotten.
    email: Option<&'a EmailAddress>,
}

/// Details of a cancellation that is due to stock or payment.
#[derive(Serialize, ToSchema)]
struct FailureView<'a> {
    /// The lines that were short, and how many there were of each.
    shortages: &'a [Shortage],
    /// The gateway's code, such as `stolen_card`. The banks' rules forbid that a customer sees it: only staff, operators and
    /// machines are shown it.
    payment_code: Option<&'a str>,
    /// The code that a customer may see. The banks' rules forbid showing some codes; these are `generic_decline`
    /// here.
    payment_code_for_customer: Option<&'a str>,
}

impl<'a> FailureView<'a> {
    /// As its customer may see them.
    fn of(progress: &'a Progress) -> Option<Self> {
        let reason = progress.status.reason()?;
        let (shortages, code) = (progress.facts.shortages_of(reason), progress.facts.payment_code_of(reason));
        (!shortages.is_empty() || code.is_some()).then(|| Self {
            shortages,
            payment_code: None,
            payment_code_for_customer: code.map(decline_for_customer),
        })
    }

    fn gateways_code(progress: &'a Progress) -> Option<&'a str> {
        progress.facts.payment_code_of(progress.status.reason()?)
    }
}

#[derive(Serialize, ToSchema)]
struct LineView<'a> {
    sku: &'a Sku,
    name: &'a LineText,
    quantity: Quantity,
    unit_price: Money,
    line_total: Option<Money>,
    /// How many of them were called off after a part of the order had left. They will not be sent, and are refunded.
    called_off: i64,
}

/// A parcel, as far as order-svc knows it; stock-svc has the details.
#[derive(Serialize, ToSchema)]
struct ParcelView<'a> {
    id: ShipmentId,
    /// The last event about it.
    status: &'static str,
    /// The carrier, once it has left.
    carrier: Option<&'a LineText>,
    /// The tracking number, once it has left; the corrected one, if it was wrong at first.
    tracking_number: Option<&'a LineText>,
}

impl<'a> From<&'a Parcel> for ParcelView<'a> {
    fn from(parcel: &'a Parcel) -> Self {
        let tracking = parcel.tracking.as_ref();
        Self {
            id: parcel.shipment_id,
            status: parcel.fact.shown(),
            carrier: tracking.map(|tracking| &tracking.carrier),
            tracking_number: tracking.map(|tracking| &tracking.number),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct WaitingView {
    fact: &'static str,
    from: &'static str,
    since: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
struct Links {
    #[serde(rename = "self")]
    this: String,
    history: String,
    events: String,
    /// Present while the address can change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    delivery_address: Option<String>,
    /// Present while the order can be cancelled, or is being cancelled by its customer. Repeating it changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    cancel: Option<String>,
    /// In the answer to a guest who has placed it: shows and cancels this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    guest: Option<String>,
    /// Present while a part has left and another has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    call_off: Option<String>,
}

pub fn path(id: OrderId) -> String {
    path_of(id)
}

pub(super) fn path_of(id: impl std::fmt::Display) -> String {
    format!("/api/v1/orders/{id}")
}

impl<'a> OrderView<'a> {
    /// As whoever asks may see it: staff and operators see more than a machine, and that sees more than the customer.
    pub fn for_eyes_of(caller: &Caller, order: &'a Order) -> Self {
        let mut view = Self::of(order);
        view.staff = if caller.is_staff() { StaffView::of(&order.progress) } else { None };
        if let (Sees::Everything, Some(failure)) = (caller.sees(), &mut view.failure) {
            failure.payment_code = FailureView::gateways_code(&order.progress);
        }
        view
    }

    /// As its customer may see it.
    pub fn of(order: &'a Order) -> Self {
        let Order { placed, progress, .. } = order;
        let (this, person) = (path(placed.order_id), order.person());
        Self {
            id: placed.order_id,
            number: order.number.as_ref(),
            status: progress.status.name(),
            reason: progress.status.reason(),
            failure: FailureView::of(progress),
            customer: CustomerView {
                id: &placed.customer.id,
                name: person.map(|(customer, _)| &customer.name),
                email: person.map(|(customer, _)| &customer.email),
            },
            delivery_address: person.map(|(_, destination)| &destination.address),
            requested_address: person.and_then(|(_, destination)| destination.asked.as_ref()),
            currency: placed.total.currency(),
            lines: placed.lines.iter().map(|line| LineView::of(line, progress)).collect(),
            total: placed.total,
            stock: progress.facts.stock.map(StockFact::shown),
            payment: progress.facts.payment.map(PaymentFact::shown),
            shipment: progress.facts.shipment.map(ShipmentFact::shown),
            shipments: progress.facts.parcels.iter().map(ParcelView::from).collect(),
            waiting_for: progress.waiting_for().map(|waiting| WaitingView {
                fact: waiting.fact,
                from: waiting.from,
                since: order.waiting_since,
            }),
            version: order.version,
            placed_at: order.placed_at,
            updated_at: order.updated_at,
            forgotten_at: order.forgotten_at,
            staff: None,
            links: Links::of(order, this),
        }
    }
}

impl OrderView<'_> {
    /// With the link by which whoever has it sees and cancels this order.
    #[must_use]
    pub fn with_guest_link(mut self, token: Option<&str>) -> Self {
        self.links.guest = token.map(|token| format!("{}?token={token}", self.links.this));
        self
    }
}

impl Links {
    /// The links that are possible now: those that the order would refuse are left out.
    fn of(order: &Order, this: String) -> Self {
        let Order { progress, destination, .. } = order;
        let link = |follows: bool, to: &str| follows.then(|| format!("{this}/{to}"));
        Self {
            history: format!("{this}/history"),
            events: format!("{this}/events"),
            delivery_address: link(destination.may_be_redirected(progress.status), "delivery-address"),
            cancel: link(progress.clone().cancel().is_ok(), "cancel"),
            call_off: link(progress.clone().call_off().is_ok(), "call-off"),
            guest: None,
            this,
        }
    }
}

impl<'a> LineView<'a> {
    fn of(line: &'a OrderLine, progress: &Progress) -> Self {
        Self {
            sku: &line.sku,
            name: &line.name,
            quantity: line.quantity,
            unit_price: line.unit_price,
            line_total: line.unit_price.checked_times(line.quantity),
            called_off: progress.facts.called_off_of(&line.sku),
        }
    }
}
