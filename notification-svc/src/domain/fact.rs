use std::{collections::BTreeMap, fmt};

use super::declined;
use serde::{Deserialize, Serialize};
use shared_events::{
    Address, CancelReason, LineText, Money, OrderAddressChanged, OrderCancelled, OrderPlaced, PaymentActionRequired,
    PaymentRefunded, Quantity, ShipmentDispatched, ShipmentTrackingCorrected, Sku, StockRestocked,
};

/// Which text tells a fact. Two files in `templates/` each: as plain text, which begins with the subject, and as HTML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Template {
    /// The order was accepted.
    OrderPlaced,
    /// The bank wants its customer to confirm the payment.
    PaymentActionRequired,
    /// Goods and money are arranged.
    OrderConfirmed,
    /// It goes elsewhere.
    OrderAddressChanged,
    /// What had left does not go where it was asked to.
    OrderAddressChangeRefused,
    /// The order has ended, and why.
    OrderCancelled,
    /// It was to be cancelled, and a parcel had left.
    OrderCancelRefused,
    /// A part of it will not be sent, although another has left.
    OrderCalledOff,
    /// The rest had left when it was to be called off.
    OrderCallOffRefused,
    /// A parcel left, with carrier and tracking number.
    ShipmentDispatched,
    /// A parcel is to be followed elsewhere than was said.
    ShipmentTrackingCorrected,
    /// A parcel arrived.
    ShipmentDelivered,
    /// A parcel was lost on its way.
    ShipmentLost,
    /// Money went back.
    PaymentRefunded,
}

impl Template {
    /// All of them.
    pub const ALL: [Template; 14] = [
        Template::OrderPlaced,
        Template::PaymentActionRequired,
        Template::OrderConfirmed,
        Template::OrderAddressChanged,
        Template::OrderAddressChangeRefused,
        Template::OrderCancelled,
        Template::OrderCancelRefused,
        Template::OrderCalledOff,
        Template::OrderCallOffRefused,
        Template::ShipmentDispatched,
        Template::ShipmentTrackingCorrected,
        Template::ShipmentDelivered,
        Template::ShipmentLost,
        Template::PaymentRefunded,
    ];

    /// Those that tell of a parcel, or of what none will bring: nobody reads of one before the confirmation.
    pub const OF_PARCELS: [Template; 6] = [
        Template::ShipmentDispatched,
        Template::ShipmentTrackingCorrected,
        Template::ShipmentDelivered,
        Template::ShipmentLost,
        Template::OrderCalledOff,
        Template::OrderAddressChangeRefused,
    ];

    /// As it stands in the table, in events and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Template::OrderPlaced => "order_placed",
            Template::PaymentActionRequired => "payment_action_required",
            Template::OrderConfirmed => "order_confirmed",
            Template::OrderAddressChanged => "order_address_changed",
            Template::OrderAddressChangeRefused => "order_address_change_refused",
            Template::OrderCancelled => "order_cancelled",
            Template::OrderCancelRefused => "order_cancel_refused",
            Template::OrderCalledOff => "order_called_off",
            Template::OrderCallOffRefused => "order_call_off_refused",
            Template::ShipmentDispatched => "shipment_dispatched",
            Template::ShipmentTrackingCorrected => "shipment_tracking_corrected",
            Template::ShipmentDelivered => "shipment_delivered",
            Template::ShipmentLost => "shipment_lost",
            Template::PaymentRefunded => "payment_refunded",
        }
    }

    pub(super) const fn text(self) -> &'static str {
        match self {
            Template::OrderPlaced => include_str!("../../templates/order_placed.txt"),
            Template::PaymentActionRequired => include_str!("../../templates/payment_action_required.txt"),
            Template::OrderConfirmed => include_str!("../../templates/order_confirmed.txt"),
            Template::OrderAddressChanged => include_str!("../../templates/order_address_changed.txt"),
            Template::OrderAddressChangeRefused => {
                include_str!("../../templates/order_address_change_refused.txt")
            }
            Template::OrderCancelled => include_str!("../../templates/order_cancelled.txt"),
            Template::OrderCancelRefused => include_str!("../../templates/order_cancel_refused.txt"),
            Template::OrderCalledOff => include_str!("../../templates/order_called_off.txt"),
            Template::OrderCallOffRefused => include_str!("../../templates/order_call_off_refused.txt"),
            Template::ShipmentDispatched => include_str!("../../templates/shipment_dispatched.txt"),
            Template::ShipmentTrackingCorrected => {
                include_str!("../../templates/shipment_tracking_corrected.txt")
            }
            Template::ShipmentDelivered => include_str!("../../templates/shipment_delivered.txt"),
            Template::ShipmentLost => include_str!("../../templates/shipment_lost.txt"),
            Template::PaymentRefunded => include_str!("../../templates/payment_refunded.txt"),
        }
    }

    pub(super) const fn html(self) -> &'static str {
        match self {
            Template::OrderPlaced => include_str!("../../templates/order_placed.html"),
            Template::PaymentActionRequired => include_str!("../../templates/payment_action_required.html"),
            Template::OrderConfirmed => include_str!("../../templates/order_confirmed.html"),
            Template::OrderAddressChanged => include_str!("../../templates/order_address_changed.html"),
            Template::OrderAddressChangeRefused => {
                include_str!("../../templates/order_address_change_refused.html")
            }
            Template::OrderCancelled => include_str!("../../templates/order_cancelled.html"),
            Template::OrderCancelRefused => include_str!("../../templates/order_cancel_refused.html"),
            Template::OrderCalledOff => include_str!("../../templates/order_called_off.html"),
            Template::OrderCallOffRefused => include_str!("../../templates/order_call_off_refused.html"),
            Template::ShipmentDispatched => include_str!("../../templates/shipment_dispatched.html"),
            Template::ShipmentTrackingCorrected => {
                include_str!("../../templates/shipment_tracking_corrected.html")
            }
            Template::ShipmentDelivered => include_str!("../../templates/shipment_delivered.html"),
            Template::ShipmentLost => include_str!("../../templates/shipment_lost.html"),
            Template::PaymentRefunded => include_str!("../../templates/payment_refunded.html"),
        }
    }

    /// Those that promise that the order goes on, which is untrue once it is to end. What tells of parcels and money is
    /// true whatever follows.
    pub const PROGRESS: [Template; 4] = [
        Template::OrderPlaced,
        Template::PaymentActionRequired,
        Template::OrderConfirmed,
        Template::OrderAddressChanged,
    ];
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What happened, with what its text needs and no more. Kept as JSON until the customer is known.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The order was accepted.
    Placed {
        /// What was ordered.
        lines: Vec<Line>,
        /// The sum, for people.
        total: String,
        /// Where it goes, line by line.
        address: Vec<String>,
    },
    /// The bank wants its customer to confirm the payment.
    ActionRequired {
        /// Until when, for people.
        until: Option<String>,
        /// Where, if that is known.
        url: Option<String>,
    },
    /// Goods and money are arranged.
    Confirmed,
    /// It goes elsewhere.
    AddressChanged {
        /// Where to, line by line.
        address: Vec<String>,
    },
    /// What had left does not go where it was asked to.
    AddressChangeRefused {
        /// How many parcels had left; none when nothing of the order is sent any more.
        left: usize,
    },
    /// The order has ended.
    Cancelled {
        /// Why.
        reason: CancelReason,
        /// The lines that were short.
        #[serde(default)]
        short: Vec<ShortLine>,
        /// Why the payment came to nothing, in words that the customer may read.
        #[serde(default)]
        payment: Option<String>,
    },
    /// It was to be cancelled, and a parcel had left.
    CancelRefused,
    /// A part of the order will not be sent.
    CalledOff {
        /// What of it.
        lines: Vec<CalledOffLine>,
    },
    /// The rest had left when it was to be called off.
    CallOffRefused,
    /// A parcel left.
    Dispatched {
        /// Who carries it.
        carrier: LineText,
        /// Where to follow it.
        tracking_number: LineText,
    },
    /// A parcel is to be followed elsewhere than was said.
    TrackingCorrected {
        /// Who carries it.
        carrier: LineText,
        /// Where to follow it.
        tracking_number: LineText,
        /// The number that the customer was told before, if that is another.
        instead_of: Option<LineText>,
    },
    /// A parcel arrived.
    Delivered,
    /// A parcel was lost on its way.
    Lost,
    /// Money went back.
    Refunded {
        /// How much, for people.
        amount: String,
    },
}

/// A line that was short, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShortLine {
    /// Of what.
    pub name: String,
    /// How many were wanted.
    pub wanted: u32,
    /// How many there were.
    pub left: u32,
}

/// A line that will not be sent, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalledOffLine {
    /// Of what, as programs call it.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
    /// Of what, as the customer ordered it, once `order.placed` is heard.
    #[serde(default)]
    pub name: Option<String>,
}

/// One line of an order, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// How many.
    pub quantity: u32,
    /// Of what.
    pub name: LineText,
    /// For one piece.
    pub unit_price: String,
}

impl Fact {
    /// The text that tells it.
    pub const fn template(&self) -> Template {
        match self {
            Fact::Placed { .. } => Template::OrderPlaced,
            Fact::ActionRequired { .. } => Template::PaymentActionRequired,
            Fact::Confirmed => Template::OrderConfirmed,
            Fact::AddressChanged { .. } => Template::OrderAddressChanged,
            Fact::AddressChangeRefused { .. } => Template::OrderAddressChangeRefused,
            Fact::Cancelled { .. } => Template::OrderCancelled,
            Fact::CancelRefused => Template::OrderCancelRefused,
            Fact::CalledOff { .. } => Template::OrderCalledOff,
            Fact::CallOffRefused => Template::OrderCallOffRefused,
            Fact::Dispatched { .. } => Template::ShipmentDispatched,
            Fact::TrackingCorrected { .. } => Template::ShipmentTrackingCorrected,
            Fact::Delivered => Template::ShipmentDelivered,
            Fact::Lost => Template::ShipmentLost,
            Fact::Refunded { .. } => Template::PaymentRefunded,
        }
    }
}

/// Shows which fact, not what is in it: an address must not reach a log.
impl fmt::Debug for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fact({})", self.template())
    }
}

impl From<&OrderPlaced> for Fact {
    fn from(placed: &OrderPlaced) -> Self {
        let line = |line: &shared_events::OrderLine| Line {
            quantity: line.quantity.get(),
            name: line.name.clone(),
            unit_price: line.unit_price.to_string(),
        };
        Fact::Placed {
            lines: placed.lines.iter().map(line).collect(),
            total: placed.total.to_string(),
            address: address_lines(&placed.delivery_address),
        }
    }
}

impl From<&OrderAddressChanged> for Fact {
    fn from(changed: &OrderAddressChanged) -> Self {
        Fact::AddressChanged { address: address_lines(&changed.delivery_address) }
    }
}

impl From<&StockRestocked> for Fact {
    fn from(restocked: &StockRestocked) -> Self {
        let lines = restocked.lines.iter();
        let line = |line: &shared_events::StockLine| CalledOffLine {
            sku: line.sku.clone(),
            quantity: line.quantity,
            name: None,
        };
        Fact::CalledOff { lines: lines.map(line).collect() }
    }
}

impl Fact {
    /// The same with the order's lines called as the customer ordered them: a fact may be heard before that is known.
    #[must_use]
    pub fn named(mut self, names: &BTreeMap<String, String>) -> Self {
        if let Fact::CalledOff { lines } = &mut self {
            for line in lines {
                line.name = names.get(line.sku.as_str()).cloned().or(line.name.take());
            }
        }
        self
    }

    /// The order has ended; its lines are called so, as far as is known.
    pub fn cancelled(cancelled: &OrderCancelled, names: &BTreeMap<String, String>) -> Self {
        let short = cancelled.shortages.iter().map(|short| ShortLine {
            name: names.get(short.sku.as_str()).cloned().unwrap_or_else(|| short.sku.to_string()),
            wanted: short.requested.get(),
            left: short.available,
        });
        let payment = cancelled.payment_code.as_deref().and_then(declined::in_words).map(str::to_owned);
        Fact::Cancelled { reason: cancelled.reason, short: short.collect(), payment }
    }
}

impl From<&PaymentActionRequired> for Fact {
    fn from(required: &PaymentActionRequired) -> Self {
        let is_link = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        Fact::ActionRequired {
            until: required.deadline.map(|deadline| deadline.format("%H:%M UTC on %-d %B %Y").to_string()),
            url: required.url.clone().filter(is_link),
        }
    }
}

impl From<&ShipmentDispatched> for Fact {
    fn from(dispatched: &ShipmentDispatched) -> Self {
        Fact::Dispatched { carrier: dispatched.carrier.clone(), tracking_number: dispatched.tracking_number.clone() }
    }
}

impl From<&ShipmentTrackingCorrected> for Fact {
    fn from(corrected: &ShipmentTrackingCorrected) -> Self {
        let ShipmentTrackingCorrected { carrier, tracking_number, previous_tracking_number, .. } = corrected;
        Fact::TrackingCorrected {
            carrier: carrier.clone(),
            tracking_number: tracking_number.clone(),
            instead_of: previous_tracking_number.clone().filter(|previous| previous != tracking_number),
        }
    }
}

impl From<&PaymentRefunded> for Fact {
    fn from(refunded: &PaymentRefunded) -> Self {
        let amount: Money = refunded.amount;
        Fact::Refunded { amount: amount.to_string() }
    }
}

fn address_lines(address: &Address) -> Vec<String> {
    let place = format!("{} {}", address.postal_code, address.city);
    let lines = [Some(address.line1.to_string()), address.line2.as_ref().map(ToString::to_string), Some(place)];
    lines.into_iter().flatten().chain([address.country.as_str().to_owned()]).collect()
}
