//! A basket with what its products cost now.

use serde::Serialize;

use super::Basket;
use crate::services::{Failure, Services};
use crate::shop::product::{self, Money, Product, Shown};

/// A line on a page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PricedLine {
    pub sku: String,
    pub quantity: u32,
    /// None if it is not sold any more.
    pub product: Option<Shown>,
    pub total: Option<Money>,
    /// What keeps it from being ordered as it is, in words.
    pub trouble: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Priced {
    pub lines: Vec<PricedLine>,
    /// None if there is nothing to buy, or in more than one currency.
    pub total: Option<Money>,
    /// Whether all of it can be ordered, as far as stock-svc knows now.
    pub is_fine: bool,
    /// Whether its prices are in more than one currency.
    pub is_mixed: bool,
}

impl Priced {
    /// The same where its whole was told to cost this: lines that don't add up to that tell no prices of theirs.
    pub fn told_to_cost(mut self, total: &Money) -> Self {
        if self.total.as_ref() != Some(total) {
            self.lines.iter_mut().for_each(|line| line.total = None);
            self.total = Some(total.clone());
        }
        self
    }
}

/// Asks what is in the basket, anew.
pub async fn ask(services: &Services, basket: &Basket) -> Result<Priced, Failure> {
    let skus: Vec<_> = basket.lines().iter().map(|line| &line.sku).collect();
    let products = product::all(services, &skus).await?;
    Ok(priced(basket, products))
}

fn priced(basket: &Basket, products: Vec<Option<Product>>) -> Priced {
    let lines: Vec<_> = basket.lines().iter().zip(products).map(|(line, found)| priced_line(line, found)).collect();
    let mut totals = lines.iter().filter_map(|line| line.total.as_ref());
    let first = totals.next().cloned();
    let is_mixed = first.as_ref().is_some_and(|first| totals.clone().any(|total| total.currency != first.currency));
    let total = first.filter(|_| !is_mixed).and_then(|first| {
        let amount = totals.try_fold(first.amount, |sum, total| sum.checked_add(total.amount))?;
        Some(Money { amount, ..first })
    });
    let is_fine = total.is_some() && lines.iter().all(|line| line.trouble.is_none());
    Priced { lines, total, is_fine, is_mixed }
}

fn priced_line(line: &super::Line, product: Option<Product>) -> PricedLine {
    let sold = product.filter(Product::is_sold);
    let trouble = match &sold {
        None => Some("This is not sold any more: please take it out.".to_owned()),
        Some(product) if product.available <= 0 => Some("This is sold out.".to_owned()),
        Some(product) if product.available < i64::from(line.quantity) => {
            Some(format!("Only {} left.", product.available))
        }
        Some(_) => None,
    };
    let total = sold.as_ref().and_then(|product| {
        let amount = product.price.amount.checked_mul(i64::from(line.quantity))?;
        Some(Money { amount, currency: product.price.currency.clone() })
    });
    PricedLine { sku: line.sku.to_string(), quantity: line.quantity, product: sold.map(Product::shown), total, trouble }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn product(sku: &str, currency: &str, available: i64) -> Option<Product> {
        let price = json!({"amount": 500, "currency": currency});
        let answer = json!({"sku": sku, "name": sku, "price": price, "status": "active", "available": available});
        Some(product::read(answer).unwrap())
    }

    fn of(basket: &str, products: Vec<Option<Product>>) -> Priced {
        priced(&Basket::parse(basket).unwrap(), products)
    }

    #[test]
    fn a_basket_costs_what_its_products_cost_now() {
        let priced = of("TEA*2.MUG*1", vec![product("TEA", "EUR", 9), product("MUG", "EUR", 9)]);
        assert_eq!(priced.total, Some(Money { amount: 1500, currency: "EUR".to_owned() }));
        assert!(priced.is_fine && !priced.is_mixed);
    }

    #[test]
    fn what_can_t_be_had_is_told_at_its_line() {
        let priced = of("TEA*2.MUG*1.OLD*1", vec![product("TEA", "EUR", 1), product("MUG", "EUR", 0), None]);
        let told: Vec<_> = priced.lines.iter().filter_map(|line| line.trouble.as_deref()).collect();
        let gone = "This is not sold any more: please take it out.";
        assert_eq!(told, ["Only 1 left.", "This is sold out.", gone]);
        assert!(!priced.is_fine);
    }

    #[test]
    fn lines_that_do_not_add_up_to_what_the_whole_costs_are_shown_without_prices() {
        let priced = of("TEA*2", vec![product("TEA", "EUR", 9)]);
        let (same, other) = (priced.total.clone().unwrap(), Money { amount: 1100, currency: "EUR".to_owned() });
        assert_eq!(priced.clone().told_to_cost(&same), priced);
        let told = priced.told_to_cost(&other);
        assert_eq!((told.total, &told.lines[0].total), (Some(other), &None));
    }

    #[test]
    fn two_currencies_make_no_total() {
        let priced = of("TEA*2.MUG*1", vec![product("TEA", "EUR", 9), product("MUG", "USD", 9)]);
        assert!(priced.total.is_none() && priced.is_mixed && !priced.is_fine);
        assert_eq!(of("", vec![]).total, None);
    }
}
