//! The schemas of the value types for OpenAPI documents. They state the same rules that the types check.

use iso_currency::IntoEnumIterator;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::{
    Channel, Channels, CountryCode, Currency, CustomerId, EmailAddress, EventId, LineText, MAX_AMOUNT, NotificationId,
    OrderId, PaymentId, PaymentMethod, PhoneNumber, PushToken, Quantity, RefundId, ShipmentId, Sku,
};

/// At least one visible character and no control character, as `char::is_control` and `char::is_whitespace` define
/// them.
const LINE: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn of_pattern(description: &str, pattern: &str, example: &str) -> ObjectBuilder {
    text(description).pattern(Some(pattern)).examples([example])
}

macro_rules! schemas {
    ($($name:ident: $schema:expr;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }
        impl ToSchema for $name {}
    )*};
}

schemas! {
    Sku: of_pattern("A stock keeping unit.", "^[A-Z0-9._-]{1,64}$", "TEA-EARL-GREY-250");
    CustomerId: of_pattern("A customer's id in the system that places orders.", "^[A-Za-z0-9._:@|-]{1,255}$", "c-1001");
    PaymentMethod: of_pattern("A payment method as the gateway names it.", "^[A-Za-z0-9_]{1,100}$", "pm_card_visa");
    LineText: of_pattern("One line of text.", LINE, "Ann Lee").min_length(Some(1)).max_length(Some(200));
    CountryCode: of_pattern("A country, as ISO 3166-1 alpha-2 writes it.", "^[A-Z]{2}$", "IE");
    EmailAddress: text("Where mails go.").format(Some(SchemaFormat::KnownFormat(KnownFormat::Email)))
        .max_length(Some(254)).examples(["ann@example.com"]);
    PhoneNumber: of_pattern("A phone number, as E.164 writes it.", r"^\+[1-9][0-9]{6,14}$", "+353861234567");
    PushToken: of_pattern("What a push provider knows a device by.", "^[!-~]{1,4096}$", "fcm-device-token");
    Currency: text("An ISO 4217 currency.").enum_values(Some(iso_currency::Currency::iter().map(|one| one.code())))
        .examples(["EUR"]);
    Quantity: ObjectBuilder::new().schema_type(Type::Integer).description(Some("A number of pieces."))
        .minimum(Some(1)).maximum(Some(Quantity::MAX)).examples([2]);
}

macro_rules! ids {
    ($($name:ident: $description:literal, $example:literal;)*) => { schemas! {$(
        $name: text($description).format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))).examples([$example]);
    )*}};
}

ids! {
    OrderId: "Names an order.", "01980a10-7c00-7000-8000-0000000000a1";
    PaymentId: "Names the payment of an order.", "01980a10-7c00-7000-8000-0000000000b1";
    RefundId: "Names one refund.", "01980a10-7c00-7000-8000-0000000000c1";
    ShipmentId: "Names a parcel.", "01980a10-7c00-7000-8000-0000000000d1";
    NotificationId: "Names one message to a customer.", "01980a10-7c00-7000-8000-0000000000e1";
    EventId: "Names an event.", "01980a10-7c00-7000-8000-0000000000f1";
}

impl PartialSchema for crate::Money {
    fn schema() -> RefOr<Schema> {
        let amount = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(MAX_AMOUNT));
        ObjectBuilder::new()
            .description(Some("An amount in minor units (cents) and its currency."))
            .property("amount", amount)
            .property("currency", utoipa::openapi::Ref::from_schema_name("Currency"))
            .required("amount")
            .required("currency")
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
            .examples([serde_json::json!({"amount": 1299, "currency": "EUR"})])
            .into()
    }
}

impl ToSchema for crate::Money {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Currency::name().into_owned(), Currency::schema()));
    }
}

impl PartialSchema for Channels {
    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new()
            .description(Some("Ways by which messages go, each once; mail alone if it is left out."))
            .items(utoipa::openapi::Ref::from_schema_name("Channel"))
            .unique_items(true)
            .max_items(Some(Channel::ALL.len()))
            .into()
    }
}

impl ToSchema for Channels {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Channel::name().into_owned(), Channel::schema()));
    }
}
