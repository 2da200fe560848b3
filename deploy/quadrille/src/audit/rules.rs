//! What must hold after anything, as docs/ARCHITECTURE.md lists it.

use super::evidence::Evidence;
use super::evidence::Part::{self, Gateway, Mails, Orders, Payments, Stock, Topics};
use super::findings::Broken;
use super::{events, goods, hearing, mails, money, orders};

/// A rule by its number, and who looks whether it holds.
pub(super) struct Rule {
    pub number: u8,
    pub text: &'static str,
    /// Without these nothing can be said.
    pub needs: &'static [Part],
    /// What looks, each at its part of the shop.
    pub checks: &'static [(Pass, Check)],
}

type Check = fn(&Evidence, &mut Broken);

/// The shop is looked at in passes, each part by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// Range by range of orders, with all that is theirs.
    Orders,
    /// What is announced of products and customers.
    Present,
    /// Stock levels, movements and holds by SKU.
    Levels,
    /// The gateway's journal by idempotency key.
    Keys,
}

use Pass::{Keys, Levels, Orders as OfOrders, Present};

const EVERY_DATABASE: &[Part] = &[Orders, Stock, Payments, Mails];
const EVERYTHING: &[Part] = &[Orders, Stock, Payments, Mails, Topics];

pub(super) const RULES: [Rule; 13] = [
    Rule {
        number: 1,
        text: "captured is 0 or the order's total, refunds never exceed it",
        needs: &[Orders, Payments],
        checks: &[(OfOrders, money::amounts)],
    },
    Rule {
        number: 2,
        text: "the gateway's journal equals the ledger; one effect a key",
        needs: &[Payments, Gateway],
        checks: &[(OfOrders, money::journal), (Keys, money::one_effect_a_key)],
    },
    Rule {
        number: 3,
        text: "a cancelled order's net money is 0",
        needs: &[Orders, Payments, Gateway],
        checks: &[(OfOrders, money::cancelled)],
    },
    Rule {
        number: 4,
        text: "movements add up to what is on hand, live holds to what is held",
        needs: &[Orders, Stock],
        checks: &[(OfOrders, goods::of_orders), (Levels, goods::levels)],
    },
    Rule {
        number: 5,
        text: "no hold past its expiry, none of an ended order",
        needs: &[Orders, Stock],
        checks: &[(OfOrders, goods::holds)],
    },
    Rule {
        number: 6,
        text: "every accepted order is there, and every order ends",
        needs: EVERY_DATABASE,
        checks: &[(OfOrders, orders::ends)],
    },
    Rule {
        number: 7,
        text: "every committed event is in its topic, and no other",
        needs: EVERYTHING,
        checks: &[(OfOrders, events::published), (Present, events::present_published)],
    },
    Rule {
        number: 8,
        text: "sequences of a key are contiguous and rise",
        needs: &[Topics],
        checks: &[(OfOrders, events::contiguous)],
    },
    Rule {
        number: 9,
        text: "each event was heard, and had its effect once",
        needs: EVERYTHING,
        checks: &[(OfOrders, hearing::once)],
    },
    Rule {
        number: 10,
        text: "only legal transitions",
        needs: &[Orders, Topics],
        checks: &[(OfOrders, orders::transitions)],
    },
    Rule {
        number: 11,
        text: "one mail a fact and template, none untrue",
        needs: EVERYTHING,
        checks: &[(OfOrders, mails::mails)],
    },
    Rule {
        number: 12,
        text: "no dead letters, no parked keys",
        needs: EVERY_DATABASE,
        checks: &[(OfOrders, events::nothing_lies)],
    },
    Rule {
        number: 13,
        text: "what is shipped is paid, what is back is refunded, no more",
        needs: &[Orders, Stock, Payments],
        checks: &[(OfOrders, goods::shipped)],
    },
];
