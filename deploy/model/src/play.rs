//! What is played: an order, and what the people and machines around it may do.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use order_svc::domain::{LastSequences, Order, OrderDraft, Product};
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

/// What may happen around an order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Play {
    /// What it is called.
    pub name: &'static str,
    /// How many lines the order has, of one piece each.
    pub lines: usize,
    /// Others may buy the last pieces just before they are wanted.
    pub crowded: bool,
    /// The bank may decline for now.
    pub retries: bool,
    /// The bank may ask for 3-D Secure.
    pub three_ds: bool,
    /// What the customer did at their bank may be heard of by no webhook.
    pub lost_webhooks: bool,
    /// The customer may send delivered lines back.
    pub returns: bool,
    /// The customer may refuse the parcel at the door.
    pub refused_at_the_door: bool,
    /// The warehouse may take a line out of the parcel, to leave in one of its own.
    pub splits: bool,
    /// Customer and staff may call off what has not left, once a part has.
    pub calls_off: bool,
    /// The customer may want the order to go elsewhere, once.
    pub moves: bool,
    /// It begins when the order is paid and its parcel waits to be sent.
    pub paid: bool,
    /// The last of an order's parcels can never be handed over.
    pub rest_stays: bool,
    /// The carrier may lose a parcel.
    pub losses: bool,
    /// The payment deadline may pass.
    pub deadline: bool,
    /// Staff may give back the price of a line, once.
    pub staff: bool,
    /// The gateway may refuse a refund for good, once; staff then look, and may give it back themselves.
    pub refusals: bool,
    /// Somebody may refund a line at the gateway itself, once, or a dispute may take its price; the webhook may be lost.
    pub elsewhere: bool,
    /// Somebody may capture or cancel at the gateway itself; the webhook may be lost.
    pub by_hand: bool,
    /// The warehouse packs before it dispatches, or doesn't.
    pub packing: bool,
    /// What the gateway did is known to payment-svc only later.
    pub in_flight: bool,
    /// The gateway may fall silent, with or without having done what it was asked.
    pub silent: bool,
    /// The inboxes have forgotten what they knew: what is heard again is reacted to again.
    pub forgetful: bool,
    /// The rule that is left out.
    pub sabotage: Option<Sabotage>,
}

/// The id of the refund by staff.
pub const BY_STAFF: RefundId = RefundId(Uuid::from_u128(0x57AFF));
/// The gateway's name for the refund that somebody else makes there.
pub const ELSEWHERE: &str = "re_elsewhere";
/// The id of that by which staff give back what the gateway has refused.
pub const MADE_UP: RefundId = RefundId(Uuid::from_u128(0x57AFE));

/// The id of the refund of what was captured where it was to be let go of.
pub const UNDONE: RefundId = RefundId(Uuid::from_u128(0x0D0));

impl Play {
    /// The amount of the refund by staff.
    pub fn staff_refund(&self) -> Money {
        let (_, price) = CATALOGUE[self.lines - 1];
        Money::new(price, Currency::EUR).unwrap()
    }
}

/// What happens until an order is paid and its parcel waits, where all goes well.
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

/// Where the customer wants the order to go later.
pub fn elsewhere() -> Address {
    address("2 Mill Rd")
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

/// SKU and price of each possible line.
const CATALOGUE: [(&str, i64); 2] = [("TEA", 12_98), ("POT", 5_00)];

impl Play {
    /// The world in which the order was just placed.
    pub fn start(&self) -> World {
        let placed = self.order(1, stocked(3));
        if self.paid { steps::taken(placed, &Play { sabotage: None, ..*self }, UNTIL_PAID) } else { placed }
    }

    /// The order of that number.
    pub fn placed(&self, number: u128) -> Order {
        let id = OrderId(Uuid::from_u128(number));
        self.wish().place(id, &catalogue(), now(), now() + TimeDelta::minutes(20)).unwrap()
    }

    /// The world in which it was just placed, with what is on the shelf.
    pub fn order(&self, number: u128, shelf: Shelf) -> World {
        let Order { placed, progress, destination, .. } = self.placed(number);
        let id = placed.order_id;
        let row = OrderRow { progress, ranks: LastSequences::default(), destination };
        let payment = Payment::new(PaymentId(Uuid::from_u128(number)), id);
        World::new(row, Allocation::unheard(id), payment, shelf, placed.into())
    }

    fn wish(&self) -> OrderDraft {
        let text = |text: &str| -> LineText { text.parse().unwrap() };
        OrderDraft {
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

/// Shelves with so many pieces of each.
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
