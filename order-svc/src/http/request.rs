//! The bodies of requests. The value types check themselves while they are read.

use serde::{Deserialize, Serialize};
use shared_events::{
    Address, CountryCode, Currency, Customer, CustomerId, EmailAddress, LineText, PaymentMethod, Quantity, Sku,
};

use utoipa::ToSchema;

use crate::domain::OrderDraft;

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
    customer: CustomerRequest,
    delivery_address: AddressRequest,
    currency: Currency,
    /// Each SKU in one line only.
    #[schema(min_items = 1, max_items = 100)]
    lines: Vec<LineRequest>,
    payment_method: PaymentMethod,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CustomerRequest {
    id: CustomerId,
    name: LineText,
    #[schema(value_type = EmailAddress)]
    email: DeliverableAddress,
}

/// An e-mail address that mail can be sent to from here.
#[derive(Clone, Deserialize, Serialize)]
#[serde(try_from = "EmailAddress", into = "EmailAddress")]
struct DeliverableAddress(EmailAddress);

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
    pub fn into_draft(self) -> OrderDraft {
        let Self { customer, delivery_address: address, currency, lines, payment_method } = self;
        OrderDraft {
            customer: Customer { id: customer.id, name: customer.name, email: customer.email.0 },
            delivery_address: address.into(),
            currency,
            lines: lines.into_iter().map(|line| (line.sku, line.quantity)).collect(),
            payment_method,
        }
    }
}
