//! The bodies of requests. The value types check themselves while they are read.

use serde::{Deserialize, Serialize};
use shared_events::{Address, CountryCode, Currency, CustomerId, EmailAddress, LineText, PaymentMethod, Quantity, Sku};
use utoipa::ToSchema;

use super::guests::is_guest;
use crate::domain::{CustomerDraft, OrderDraft};

/// The body of `POST /api/v1/orders`.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "customer": {"id": "c-1001", "name": "Ann Lee", "email": "ann@example.com"},
    "delivery_address": {"line1": "1 Quay St", "line2": null, "city": "Cork", "postal_code": "T12", "country": "IE"},
    "currency": "EUR",
    "lines": [{"sku": "TEA-EARL-GREY-250", "quantity": 2}],
    "payment_method": "pm_card_visa"
}))]
pub struct PlaceOrderRequest {
    /// You, by your profile, if it is left out.
    customer: Option<CustomerRequest>,
    /// That of the customer's profile, if it is left out.
    delivery_address: Option<AddressRequest>,
    currency: Currency,
    /// Each SKU in one line only.
    #[schema(min_items = 1, max_items = 100)]
    lines: Vec<LineRequest>,
    payment_method: PaymentMethod,
}

/// Who orders. What is left out is in their profile.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CustomerRequest {
    /// You, if it is left out.
    id: Option<CustomerId>,
    name: Option<LineText>,
    #[schema(value_type = Option<EmailAddress>)]
    email: Option<DeliverableAddress>,
}

/// An e-mail address that mail can be sent to from here.
#[derive(Clone, Deserialize, Serialize)]
#[serde(try_from = "EmailAddress", into = "EmailAddress")]
pub struct DeliverableAddress(EmailAddress);

impl TryFrom<EmailAddress> for DeliverableAddress {
    type Error = &'static str;

    fn try_from(address: EmailAddress) -> Result<Self, &'static str> {
        let refused = "expected an e-mail address whose domain has a dot, such as ann@example.com";
        if address.is_deliverable() { Ok(Self(address)) } else { Err(refused) }
    }
}

impl From<DeliverableAddress> for EmailAddress {
    fn from(address: DeliverableAddress) -> Self {
        address.0
    }
}

/// The body of `PUT /api/v1/orders/{id}/delivery-address`, and a part of a new order.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "line1": "2 Mill Rd", "line2": "Flat 3", "city": "Galway", "postal_code": "H91", "country": "IE"
}))]
pub struct AddressRequest {
    line1: LineText,
    line2: Option<LineText>,
    city: LineText,
    postal_code: LineText,
    country: CountryCode,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LineRequest {
    sku: Sku,
    quantity: Quantity,
}

impl From<AddressRequest> for Address {
    fn from(request: AddressRequest) -> Self {
        let AddressRequest { line1, line2, city, postal_code, country } = request;
        Self { line1, line2, city, postal_code, country }
    }
}

impl PlaceOrderRequest {
    /// The customer that it names.
    pub fn customer_id(&self) -> Option<CustomerId> {
        self.customer.as_ref()?.id.clone()
    }

    /// The draft of an order of this customer.
    pub fn into_draft(self, id: CustomerId) -> OrderDraft {
        let Self { customer, delivery_address, currency, lines, payment_method } = self;
        let CustomerRequest { name, email, .. } = customer.unwrap_or_default();
        let is_guest = is_guest(&id);
        OrderDraft {
            customer: CustomerDraft { id, name, email: email.map(EmailAddress::from), is_guest },
            delivery_address: delivery_address.map(Address::from),
            currency,
            lines: lines.into_iter().map(|line| (line.sku, line.quantity)).collect(),
            payment_method,
        }
    }
}
