use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use shared_events::{
    Address, CountryCode, Currency, Customer, CustomerId, EmailAddress, LineText, Money, NotChargeable, OrderId,
    OrderLine, OrderPlaced, PaymentMethod, ProductStatus, Quantity, Sku,
};

use super::{Destination, Profile, Progress};

pub const MAX_LINES: usize = 100;

/// An order as it is requested. It has no prices, since these are the service's own. What it leaves out of the customer is in
/// their profile.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderDraft {
    pub customer: CustomerDraft,
    pub delivery_address: Option<Address>,
    pub currency: Currency,
    pub lines: Vec<(Sku, Quantity)>,
    pub payment_method: PaymentMethod,
}

/// Who orders, as far as a request says it. `Debug` shows only the id.
#[derive(Clone, PartialEq)]
pub struct CustomerDraft {
    pub id: CustomerId,
    pub name: Option<LineText>,
    pub email: Option<EmailAddress>,
    /// A guest has no account, and so no profile.
    pub is_guest: bool,
}

impl fmt::Debug for CustomerDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomerDraft").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An order as it is requested, which says all of the customer that an order needs.
#[derive(Clone, Debug, PartialEq)]
pub struct CompleteDraft {
    pub customer: Customer,
    pub delivery_address: Address,
    pub currency: Currency,
    pub lines: Vec<(Sku, Quantity)>,
    pub payment_method: PaymentMethod,
}

/// A product, as `products.v1` last described it.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    pub name: LineText,
    /// The price of one piece.
    pub price: Money,
    pub status: ProductStatus,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftRefused {
    #[error("an order has at least one line")]
    NoLines,
    #[error("an order has at most {MAX_LINES} lines, not {0}")]
    TooManyLines(usize),
    /// A SKU occurs in two lines; `line` is the second.
    #[error("{sku} is in another line already; each SKU may be in one line only")]
    Twice { line: usize, sku: Sku },
    #[error("no product has the SKU {sku}")]
    Unknown { line: usize, sku: Sku },
    #[error("{sku} is no longer sold")]
    Withdrawn { line: usize, sku: Sku },
    #[error("{sku} is sold in {sold_in}, not in the order's currency")]
    OtherCurrency { line: usize, sku: Sku, sold_in: Currency },
    #[error("the line costs more than one payment can be")]
    LineTooDear { line: usize },
    #[error("the lines together cost more than one payment can be")]
    TotalTooDear,
    /// No payment can be made of the order's total, or of one of its prices.
    #[error("the order can't be paid: {0}")]
    NotChargeable(#[from] NotChargeable),
    #[error("{:?} is not the code of a country, such as IE", .0.as_str())]
    NoCountry(CountryCode),
    /// Neither the order nor the customer's profile has this field.
    #[error("is missing, and so it is in the profile of {id}: name it here, or set it by PUT /api/v1/customers/{id}")]
    NotInProfile { field: &'static str, id: CustomerId },
    #[error("is missing: a guest has no profile to take it from")]
    GuestWithout { field: &'static str },
}

impl DraftRefused {
    /// The field of the request that is wrong.
    pub fn field(&self) -> String {
        match self {
            Self::NotChargeable(NotChargeable::Currency(_)) => "currency".to_owned(),
            Self::NoCountry(_) => "delivery_address.country".to_owned(),
            Self::NotInProfile { field, .. } | Self::GuestWithout { field } => (*field).to_owned(),
            Self::NoLines | Self::TooManyLines(_) | Self::TotalTooDear | Self::NotChargeable(_) => "lines".to_owned(),
            Self::Twice { line, .. }
            | Self::Unknown { line, .. }
            | Self::Withdrawn { line, .. }
            | Self::OtherCurrency { line, .. } => format!("lines[{line}].sku"),
            Self::LineTooDear { line } => format!("lines[{line}].quantity"),
        }
    }
}

/// An order: what was placed, which never changes, and its progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub placed: OrderPlaced,
    /// The delivery address: the original one, unless it was changed.
    pub destination: Destination,
    pub progress: Progress,
    /// Counts the changes, from 1.
    pub version: i64,
    /// Since when the order waits for [`Progress::waiting_for`].
    pub waiting_since: DateTime<Utc>,
    pub placed_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// When its customer was forgotten. Since then nobody's name and address stand in `placed` and `destination`, so that
    /// the order is read like any other: whoever shows a person asks [`Order::person`].
    pub forgotten_at: Option<DateTime<Utc>>,
}

impl Order {
    /// Who placed it and where it goes; none once they are forgotten.
    pub fn person(&self) -> Option<(&Customer, &Destination)> {
        self.forgotten_at.is_none().then_some((&self.placed.customer, &self.destination))
    }
}

impl OrderDraft {
    /// Checks everything that needs no prices, and returns all problems.
    pub fn checked(self) -> Result<Self, Vec<DraftRefused>> {
        let mut refused = Vec::new();
        if !self.currency.is_chargeable() {
            refused.push(NotChargeable::Currency(self.currency).into());
        }
        let country = self.delivery_address.as_ref().map(|address| &address.country);
        refused.extend(country.filter(|country| !country.is_a_country()).cloned().map(DraftRefused::NoCountry));
        match self.lines.len() {
            0 => refused.push(DraftRefused::NoLines),
            1..=MAX_LINES => {}
            many => refused.push(DraftRefused::TooManyLines(many)),
        }
        let mut seen = std::collections::BTreeSet::new();
        let repeated = self.lines.iter().enumerate().filter(|(_, (sku, _))| !seen.insert(sku));
        refused.extend(repeated.map(|(line, (sku, _))| DraftRefused::Twice { line, sku: sku.clone() }));
        if refused.is_empty() { Ok(self) } else { Err(refused) }
    }

    /// Whose profile has what it leaves out; none if it says everything, or a guest orders.
    pub const fn profile_of(&self) -> Option<&CustomerId> {
        let CustomerDraft { id, name, email, is_guest } = &self.customer;
        let says_all = name.is_some() && email.is_some() && self.delivery_address.is_some();
        if says_all || *is_guest { None } else { Some(id) }
    }

    /// Takes what it leaves out from the customer's profile, and returns every field that neither has.
    pub fn complete(self, profile: Option<Profile>) -> Result<CompleteDraft, Vec<DraftRefused>> {
        let Self { customer, delivery_address, currency, lines, payment_method } = self;
        let CustomerDraft { id, name, email, is_guest } = customer;
        let (known_name, known_email, known_address) = match profile {
            Some(known) => (Some(known.name), Some(known.email), known.delivery_address),
            None => (None, None, None),
        };
        match (name.or(known_name), email.or(known_email), delivery_address.or(known_address)) {
            (Some(name), Some(email), Some(delivery_address)) => {
                let customer = Customer { id, name, email };
                Ok(CompleteDraft { customer, delivery_address, currency, lines, payment_method })
            }
            (name, email, address) => {
                let fields = [
                    (name.is_none(), "customer.name"),
                    (email.is_none(), "customer.email"),
                    (address.is_none(), "delivery_address"),
                ];
                let refused = |field| match is_guest {
                    true => DraftRefused::GuestWithout { field },
                    false => DraftRefused::NotInProfile { field, id: id.clone() },
                };
                Err(fields.into_iter().filter(|(is_missing, _)| *is_missing).map(|(_, field)| refused(field)).collect())
            }
        }
    }
}

impl CompleteDraft {
    /// Makes the draft an order with this id, at today's prices. Returns every line that can't be ordered, or, if all
    /// can, the problem with the total.
    pub fn place(
        self,
        order_id: OrderId,
        products: &BTreeMap<Sku, Product>,
        now: DateTime<Utc>,
        deadline: DateTime<Utc>,
    ) -> Result<Order, Vec<DraftRefused>> {
        let mut total = Some(Money::zero(self.currency));
        let (mut lines, mut refused) = (Vec::with_capacity(self.lines.len()), Vec::new());
        for (line, (sku, quantity)) in self.lines.into_iter().enumerate() {
            // The unit price must be an amount that the gateway takes, because a line may be refunded alone.
            let priced = priced(line, sku, quantity, self.currency, products).and_then(|(priced, cost)| {
                priced.unit_price.to_gateway()?;
                Ok((priced, cost))
            });
            match priced {
                Ok((priced, cost)) => {
                    total = total.and_then(|sum| sum.checked_add(cost));
                    lines.push(priced);
                }
                Err(why) => refused.push(why),
            }
        }
        let total = match total {
            Some(total) if refused.is_empty() => total,
            None if refused.is_empty() => return Err(vec![DraftRefused::TotalTooDear]),
            _ => return Err(refused),
        };
        total.check_charge().map_err(|why| vec![why.into()])?;
        let pieces = lines.iter().map(|line| i64::from(line.quantity)).sum();
        Ok(Order {
            destination: Destination { address: self.delivery_address.clone(), asked: None },
            placed: OrderPlaced {
                order_id,
                customer: self.customer,
                delivery_address: self.delivery_address,
                lines,
                total,
                payment_method: self.payment_method,
                deadline,
            },
            progress: Progress::new(order_id, pieces),
            version: 1,
            waiting_since: now,
            placed_at: now,
            updated_at: now,
            forgotten_at: None,
        })
    }
}

fn priced(
    line: usize,
    sku: Sku,
    quantity: Quantity,
    currency: Currency,
    products: &BTreeMap<Sku, Product>,
) -> Result<(OrderLine, Money), DraftRefused> {
    match products.get(&sku) {
        None => Err(DraftRefused::Unknown { line, sku }),
        Some(product) if product.status == ProductStatus::Withdrawn => Err(DraftRefused::Withdrawn { line, sku }),
        Some(product) if product.price.currency() != currency => {
            Err(DraftRefused::OtherCurrency { line, sku, sold_in: product.price.currency() })
        }
        Some(product) => {
            let cost = product.price.checked_times(quantity).ok_or(DraftRefused::LineTooDear { line })?;
            Ok((OrderLine { sku, name: product.name.clone(), quantity, unit_price: product.price }, cost))
        }
    }
}
