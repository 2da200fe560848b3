use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared_events::{
    Address, CancelReason, Currency, CustomerId, EmailAddress, LineText, Money, OrderId, OrderLine, Quantity,
    ShipmentId, Shortage, Sku, decline_for_customer,
};

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::{Order, Parcel, PaymentFact, Progress, ShipmentFact, Status, StockFact};

/// An order.
#[derive(Serialize, ToSchema)]
#[schema(as = Order, example = json!(super::examples::placed()))]
pub struct OrderView<'a> {
    id: OrderId,
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
    links: Links,
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
    /// The gateway's code, such as `stolen_card`; for staff.
    payment_code: Option<&'a str>,
    /// The code that a customer may see. The banks' rules forbid showing some codes; these are `generic_decline`
    /// here.
    payment_code_for_customer: Option<&'a str>,
}

impl<'a> FailureView<'a> {
    fn of(progress: &'a Progress) -> Option<Self> {
        let reason = progress.status.reason()?;
        let (shortages, code) = (progress.facts.shortages_of(reason), progress.facts.payment_code_of(reason));
        (!shortages.is_empty() || code.is_some()).then(|| Self {
            shortages,
            payment_code: code,
            payment_code_for_customer: code.map(decline_for_customer),
        })
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

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct StatusName(pub String);

impl TryFrom<String> for StatusName {
    type Error = String;

    fn try_from(given: String) -> Result<Self, String> {
        match Status::NAMES.contains(&&*given) {
            true => Ok(Self(given)),
            false => Err(format!("{given:?} is not one of {}", Status::NAMES.join(", "))),
        }
    }
}

impl PartialSchema for StatusName {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Status::NAMES)).into()
    }
}

impl ToSchema for StatusName {}

pub fn path(id: OrderId) -> String {
    path_of(id)
}

pub(super) fn path_of(id: impl std::fmt::Display) -> String {
    format!("/api/v1/orders/{id}")
}

impl<'a> OrderView<'a> {
    pub fn of(order: &'a Order) -> Self {
        let Order { placed, progress, .. } = order;
        let (this, person) = (path(placed.order_id), order.person());
        Self {
            id: placed.order_id,
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
