use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use shared_events::{
    Address, CountryCode, Currency, Customer, LineText, Money, NotChargeable, OrderId, OrderLine, OrderPlaced,
    PaymentMethod, ProductStatus, Quantity, Sku,
};

use super::{Destination, Progress};

pub const MAX_LINES: usize = 100;

/// An order as a customer requests it. It has no prices, since these are the service's own.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderDraft {
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
}

impl DraftRefused {
    /// The field of the request that is wrong.
    pub fn field(&self) -> String {
        match self {
            Self::NotChargeable(NotChargeable::Currency(_)) => "currency".to_owned(),
            Self::NoCountry(_) => "delivery_address.country".to_owned(),
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
}

impl OrderDraft {
    /// Checks everything that needs no prices, and returns all problems.
    pub fn checked(self) -> Result<Self, Vec<DraftRefused>> {
        let mut refused = Vec::new();
        if !self.currency.is_chargeable() {
            refused.push(NotChargeable::Currency(self.currency).into());
        }
        let country = &self.delivery_address.country;
        if !country.is_a_country() {
            refused.push(DraftRefused::NoCountry(country.clone()));
        }
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
