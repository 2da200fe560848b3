use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared_events::{
    Address, CancelReason, Language, LineText, Money, OrderAddressChanged, OrderCancelled, OrderPlaced,
    PaymentActionRequired, PaymentRefunded, Quantity, ShipmentDispatched, ShipmentTrackingCorrected, Sku,
    StockRestocked, decline_for_customer,
};

use super::{Template, declined};

/// What a letter says: what its template needs and no more. Stored as JSON until the customer is known.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum LetterContent {
    Placed {
        lines: Vec<Line>,
        /// The sum, for people.
        total: String,
        /// Where the order goes, line by line.
        address: Vec<String>,
    },
    ActionRequired {
        /// Until when, for people. [`LetterContent::said_in`] has the words.
        until: Option<String>,
        /// The same for us.
        #[serde(default)]
        deadline: Option<DateTime<Utc>>,
        /// Where, if that is known.
        url: Option<String>,
    },
    Confirmed,
    AddressChanged {
        /// Where the order goes, line by line.
        address: Vec<String>,
    },
    AddressChangeRefused {
        /// How many parcels had left; none when nothing of the order is sent any more.
        left: usize,
    },
    Cancelled {
        reason: CancelReason,
        #[serde(default)]
        short: Vec<ShortLine>,
        /// Why the payment was declined, in words that the customer may read. [`LetterContent::said_in`] has them.
        #[serde(default)]
        payment: Option<String>,
        /// The same as a code.
        #[serde(default)]
        payment_code: Option<String>,
    },
    CancelRefused,
    CalledOff {
        lines: Vec<CalledOffLine>,
    },
    CallOffRefused,
    Dispatched {
        carrier: LineText,
        tracking_number: LineText,
    },
    TrackingCorrected {
        carrier: LineText,
        tracking_number: LineText,
        /// The number that the customer was told before, if that is another.
        instead_of: Option<LineText>,
    },
    Delivered,
    Lost,
    Refunded {
        /// How much, for people.
        amount: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShortLine {
    pub name: String,
    pub wanted: u32,
    pub left: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalledOffLine {
    pub sku: Sku,
    pub quantity: Quantity,
    /// The product's name when it was ordered, once `order.placed` is read.
    #[serde(default)]
    pub name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub quantity: u32,
    pub name: LineText,
    pub unit_price: String,
}

impl LetterContent {
    pub const fn template(&self) -> Template {
        match self {
            LetterContent::Placed { .. } => Template::OrderPlaced,
            LetterContent::ActionRequired { .. } => Template::PaymentActionRequired,
            LetterContent::Confirmed => Template::OrderConfirmed,
            LetterContent::AddressChanged { .. } => Template::OrderAddressChanged,
            LetterContent::AddressChangeRefused { .. } => Template::OrderAddressChangeRefused,
            LetterContent::Cancelled { .. } => Template::OrderCancelled,
            LetterContent::CancelRefused => Template::OrderCancelRefused,
            LetterContent::CalledOff { .. } => Template::OrderCalledOff,
            LetterContent::CallOffRefused => Template::OrderCallOffRefused,
            LetterContent::Dispatched { .. } => Template::ShipmentDispatched,
            LetterContent::TrackingCorrected { .. } => Template::ShipmentTrackingCorrected,
            LetterContent::Delivered => Template::ShipmentDelivered,
            LetterContent::Lost => Template::ShipmentLost,
            LetterContent::Refunded { .. } => Template::PaymentRefunded,
        }
    }
}

/// Shows the template alone: an address must not reach a log.
impl fmt::Debug for LetterContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LetterContent({})", self.template())
    }
}

impl From<&OrderPlaced> for LetterContent {
    fn from(placed: &OrderPlaced) -> Self {
        let line = |line: &shared_events::OrderLine| Line {
            quantity: line.quantity.get(),
            name: line.name.clone(),
            unit_price: line.unit_price.to_string(),
        };
        LetterContent::Placed {
            lines: placed.lines.iter().map(line).collect(),
            total: placed.total.to_string(),
            address: address_lines(&placed.delivery_address),
        }
    }
}

impl From<&OrderAddressChanged> for LetterContent {
    fn from(changed: &OrderAddressChanged) -> Self {
        LetterContent::AddressChanged { address: address_lines(&changed.delivery_address) }
    }
}

impl From<&StockRestocked> for LetterContent {
    fn from(restocked: &StockRestocked) -> Self {
        let lines = restocked.lines.iter();
        let line = |line: &shared_events::StockLine| CalledOffLine {
            sku: line.sku.clone(),
            quantity: line.quantity,
            name: None,
        };
        LetterContent::CalledOff { lines: lines.map(line).collect() }
    }
}

impl LetterContent {
    /// Calls lines by the names that they had when they were ordered. An event may be read before those are known.
    #[must_use]
    pub fn named(mut self, names: &BTreeMap<String, String>) -> Self {
        if let LetterContent::CalledOff { lines } = &mut self {
            for line in lines {
                line.name = names.get(line.sku.as_str()).cloned().or(line.name.take());
            }
        }
        self
    }

    /// `names` has the name that each SKU was ordered under, as far as it is known.
    pub fn cancelled(cancelled: &OrderCancelled, names: &BTreeMap<String, String>) -> Self {
        let short = cancelled.shortages.iter().map(|short| ShortLine {
            name: names.get(short.sku.as_str()).cloned().unwrap_or_else(|| short.sku.to_string()),
            wanted: short.requested.get(),
            left: short.available,
        });
        let payment_code = cancelled.payment_code.as_deref().map(decline_for_customer).map(str::to_owned);
        LetterContent::Cancelled { reason: cancelled.reason, short: short.collect(), payment: None, payment_code }
    }

    /// The same with what depends on the language in its words. Content that an older build stored has English ones.
    #[must_use]
    pub(super) fn said_in(&self, language: Language) -> Self {
        let mut said = self.clone();
        match &mut said {
            LetterContent::ActionRequired { until, deadline: Some(deadline), .. } => {
                let form = match language {
                    Language::En => "%H:%M UTC on %-d %B %Y",
                    Language::De => "%-d.%-m.%Y, %H:%M UTC",
                };
                *until = Some(deadline.format(form).to_string());
            }
            LetterContent::Cancelled { payment, payment_code: Some(code), .. } => {
                *payment = declined::in_words(code, language).map(str::to_owned);
            }
            _ => {}
        }
        said
    }
}

impl From<&PaymentActionRequired> for LetterContent {
    fn from(required: &PaymentActionRequired) -> Self {
        let is_link = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        LetterContent::ActionRequired {
            until: None,
            deadline: required.deadline,
            url: required.url.clone().filter(is_link),
        }
    }
}

impl From<&ShipmentDispatched> for LetterContent {
    fn from(dispatched: &ShipmentDispatched) -> Self {
        LetterContent::Dispatched {
            carrier: dispatched.carrier.clone(),
            tracking_number: dispatched.tracking_number.clone(),
        }
    }
}

impl From<&ShipmentTrackingCorrected> for LetterContent {
    fn from(corrected: &ShipmentTrackingCorrected) -> Self {
        let ShipmentTrackingCorrected { carrier, tracking_number, previous_tracking_number, .. } = corrected;
        LetterContent::TrackingCorrected {
            carrier: carrier.clone(),
            tracking_number: tracking_number.clone(),
            instead_of: previous_tracking_number.clone().filter(|previous| previous != tracking_number),
        }
    }
}

impl From<&PaymentRefunded> for LetterContent {
    fn from(refunded: &PaymentRefunded) -> Self {
        let amount: Money = refunded.amount;
        LetterContent::Refunded { amount: amount.to_string() }
    }
}

fn address_lines(address: &Address) -> Vec<String> {
    let place = format!("{} {}", address.postal_code, address.city);
    let lines = [Some(address.line1.to_string()), address.line2.as_ref().map(ToString::to_string), Some(place)];
    lines.into_iter().flatten().chain([address.country.as_str().to_owned()]).collect()
}
