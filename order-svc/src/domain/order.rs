use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use shared_events::{
    Address, CountryCode, Currency, Customer, LineText, Money, NotChargeable, OrderId, OrderLine, OrderPlaced,
    PaymentMethod, ProductStatus, Quantity, Sku,
};

use super::{Destination, Progress};

/// The most lines that one order can have.
pub const MAX_LINES: usize = 100;

/// What a customer wants. Prices are not among it: they are the service's own.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderDraft {
    /// Who orders.
    pub customer: Customer,
    /// Where it goes.
    pub delivery_address: Address,
    /// What it is to be paid in.
    pub currency: Currency,
    /// What, and how many.
    pub lines: Vec<(Sku, Quantity)>,
    /// How it is to be paid.
    pub payment_method: PaymentMethod,
}

/// A product as `products.v1` last told it.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// What it is called.
    pub name: LineText,
    /// For one piece.
    pub price: Money,
    /// Whether it can be ordered.
    pub status: ProductStatus,
}

/// Why a wish can't become an order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftRefused {
    /// Nothing is wanted.
    #[error("an order has at least one line")]
    NoLines,
    /// More than [`MAX_LINES`].
    #[error("an order has at most {MAX_LINES} lines, not {0}")]
    TooManyLines(usize),
    /// A SKU stands twice; the place is the second one's.
    #[error("{sku} stands in the order already; a SKU stands once")]
    Twice {
        /// Which line.
        line: usize,
        /// Which SKU.
        sku: Sku,
    },
    /// Never listed, as far as is known.
    #[error("no product has the SKU {sku}")]
    Unknown {
        /// Which line.
        line: usize,
        /// Which SKU.
        sku: Sku,
    },
    /// No longer sold.
    #[error("{sku} is no longer sold")]
    Withdrawn {
        /// Which line.
        line: usize,
        /// Which SKU.
        sku: Sku,
    },
    /// Sold in another currency.
    #[error("{sku} is sold in {sold_in}, not in the order's currency")]
    OtherCurrency {
        /// Which line.
        line: usize,
        /// Which SKU.
        sku: Sku,
        /// What it is sold in.
        sold_in: Currency,
    },
    /// The line's total is beyond what an amount can hold.
    #[error("the line costs more than an order can")]
    LineTooDear {
        /// Which line.
        line: usize,
    },
    /// The sum is more than an amount can hold.
    #[error("the lines together cost more than one payment can be")]
    TotalTooDear,
    /// It could be ordered and never be paid.
    #[error("the order can't be paid: {0}")]
    NotChargeable(#[from] NotChargeable),
    /// Nothing can be sent there.
    #[error("{:?} is not the code of a country, such as IE", .0.as_str())]
    NoCountry(CountryCode),
}

impl DraftRefused {
    /// The field of the request that is to blame.
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

/// An order: what was placed, which stays, and how far it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// What was placed.
    pub placed: OrderPlaced,
    /// Where it goes: as it was placed, unless that was changed.
    pub destination: Destination,
    /// How far it is.
    pub progress: Progress,
    /// Counts the changes, from 1.
    pub version: i64,
    /// Since when it waits for what it waits for.
    pub waiting_since: DateTime<Utc>,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl OrderDraft {
    /// Checks what can be checked without knowing a price.
    ///
    /// # Errors
    /// All that is wrong.
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

    /// Makes an order of that id of it, at today's prices.
    ///
    /// # Errors
    /// Every line that can't be had; a total that is too large, where all can be.
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
            // A line may be refunded by itself, so it must be an amount that the gateway takes.
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
