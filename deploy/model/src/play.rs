//! The setting of an exploration: an order, and what the people and systems around it may do.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use order_svc::domain::{CompleteDraft, LastSequences, Order, Product};
use payment_svc::domain::Payment;
use shared_events::{
    Address, Currency, Customer, LineText, Money, OrderId, PaymentId, ProductStatus, Quantity, RefundId, Sku,
};
use stock_svc::domain::Allocation;
use uuid::Uuid;

use crate::hear::now;
use crate::sabotage::Sabotage;
use crate::shelf::Shelf;
use crate::steps;
use crate::world::{OrderRow, World};

/// Which things may happen around an order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Play {
    pub name: &'static str,
    /// The number of lines, each of one piece.
    pub lines: usize,
    /// Others may buy the last pieces just before this order needs them.
    pub crowded: bool,
    /// The bank may decline temporarily.
    pub retries: bool,
    /// The bank may ask for 3-D Secure.
    pub three_ds: bool,
    /// The webhook that tells what the customer did at their bank may get lost.
    pub lost_webhooks: bool,
    /// The customer may return delivered lines.
    pub returns: bool,
    /// The customer may refuse a shipment at the door.
    pub refused_at_the_door: bool,
    /// The warehouse may split a line off the shipment into one of its own.
    pub splits: bool,
    /// The customer and the staff may call off what has not left, once a part has.
    pub calls_off: bool,
    /// The customer may change the delivery address, once.
    pub moves: bool,
    /// An operator may forget the customer once the order has ended.
    pub forgets: bool,
    /// The order starts out paid, with a shipment waiting to be sent.
    pub paid: bool,
    /// The last of the order's shipments can never be dispatched.
    pub rest_stays: bool,
    /// The carrier may lose a shipment.
    pub losses: bool,
    /// The payment deadline may pass.
    pub deadline: bool,
    /// Staff may refund the price of a line, once.
    pub staff: bool,
    /// The gateway may refuse a refund permanently, once. Staff then look at it and may refund it themselves.
    pub refusals: bool,
    /// Somebody may refund a line at the gateway itself, once, or a dispute may take it. The webhook may get lost.
    pub elsewhere: bool,
    /// Somebody may capture or cancel at the gateway itself. The webhook may get lost.
    pub by_hand: bool,
    /// The warehouse may pack a shipment before it dispatches it.
    pub packing: bool,
    /// The gateway's answers may reach payment-svc later.
    pub in_flight: bool,
    /// The gateway may not answer, whether or not it did what it was asked.
    pub silent: bool,
    /// The inboxes have forgotten everything, so redelivered events are reacted to again.
    pub forgetful: bool,
    /// The rule to leave out.
    pub sabotage: Option<Sabotage>,
}

pub const BY_STAFF: RefundId = RefundId(Uuid::from_u128(0x57AFF));
/// The gateway's id of a refund that somebody makes there.
pub const ELSEWHERE: &str = "re_elsewhere";
/// The id of the refund by which staff make up for one that the gateway refused.
pub const MADE_UP: RefundId = RefundId(Uuid::from_u128(0x57AFE));

/// The id of the refund of money that was to be voided but had been captured.
pub const UNDONE: RefundId = RefundId(Uuid::from_u128(0x0D0));

impl Play {
    pub fn staff_refund(&self) -> Money {
        let (_, price) = CATALOGUE[self.lines - 1];
        Money::new(price, Currency::EUR).unwrap()
    }
}

/// The steps until an order is paid and its shipment waits, if all goes well.
const UNTIL_PAID: &[&str] = &[
    "stock-svc hears order.placed.v1",
    "order-svc hears stock.reserved.v1",
    "payment-svc hears order.placed.v1",
    "payment-svc hears stock.reserved.v1",
    "the gateway authorises",
    "order-svc hears payment.authorized.v1",
    "stock-svc hears payment.authorized.v1",
    "stock-svc hears order.confirmed.v1",
    "order-svc hears stock.committed.v1",
    "payment-svc hears order.confirmed.v1",
    "payment-svc hears stock.committed.v1",
    "the gateway captures",
    "order-svc hears payment.captured.v1",
    "stock-svc hears payment.captured.v1",
    "order-svc hears shipment.created.v1",
];

/// The address to which the customer may move the order.
pub fn elsewhere() -> Address {
    address("2 Mill Rd")
}

/// What stands in an order where the customer's address stood.
pub fn nowhere() -> Address {
    address("forgotten")
}

fn address(line1: &str) -> Address {
    Address {
        line1: line1.parse().unwrap(),
        line2: None,
        city: "Cork".parse().unwrap(),
        postal_code: "T12".parse().unwrap(),
        country: "IE".to_owned().try_into().unwrap(),
    }
}

/// The SKU and the price of each possible line.
const CATALOGUE: [(&str, i64); 2] = [("TEA", 12_98), ("POT", 5_00)];

impl Play {
    /// The world in which the order was just placed, or just paid if [`Self::paid`] says so.
    pub fn start(&self) -> World {
        let placed = self.order(1, stocked(3));
        if self.paid { steps::taken(placed, &Play { sabotage: None, ..*self }, UNTIL_PAID) } else { placed }
    }

    pub fn placed(&self, number: u128) -> Order {
        let id = OrderId(Uuid::from_u128(number));
        self.draft().place(id, &catalogue(), now(), now() + TimeDelta::minutes(20)).unwrap()
    }

    /// The world in which the order with this number was just placed.
    pub fn order(&self, number: u128, shelf: Shelf) -> World {
        let Order { placed, progress, destination, .. } = self.placed(number);
        let id = placed.order_id;
        let row = OrderRow { progress, last_sequences: LastSequences::default(), destination, forgotten: false };
        let payment = Payment::new(PaymentId(Uuid::from_u128(number)), id);
        World::new(row, Allocation::unheard(id), payment, shelf, placed.into())
    }

    fn draft(&self) -> CompleteDraft {
        let text = |text: &str| -> LineText { text.parse().unwrap() };
        CompleteDraft {
            customer: Customer {
                id: "c-1".parse().unwrap(),
                name: text("Ann Lee"),
                email: "ann@example.com".parse().unwrap(),
            },
            delivery_address: address("1 Quay St"),
            currency: Currency::EUR,
            lines: skus().take(self.lines).map(|sku| (sku, Quantity::try_from(1_i64).unwrap())).collect(),
            payment_method: "pm_card_visa".parse().unwrap(),
        }
    }
}

pub fn stocked(on_hand: i64) -> Shelf {
    Shelf::stocked(skus().map(|sku| (sku, on_hand)))
}

fn skus() -> impl Iterator<Item = Sku> {
    CATALOGUE.iter().map(|(sku, _)| sku.parse().unwrap())
}

fn catalogue() -> BTreeMap<Sku, Product> {
    let product = |price| Product {
        name: "Something".parse().unwrap(),
        price: Money::new(price, Currency::EUR).unwrap(),
        status: ProductStatus::Active,
    };
    skus().zip(CATALOGUE).map(|(sku, (_, price))| (sku, product(price))).collect()
}
