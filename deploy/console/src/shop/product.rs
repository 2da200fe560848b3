//! A product, as stock-svc tells of it and as customers read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared_events::Sku;

use super::art;
use crate::services::{Failure, Service, Services, query};

/// Fewer than this are counted for customers.
const FEW: i64 = 10;
/// The most pieces of a product in one order.
pub const MOST: i64 = 10_000;

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Money {
    pub amount: i64,
    pub currency: String,
}

/// A product of stock-svc.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Product {
    pub sku: Sku,
    pub name: String,
    #[serde(default)]
    pub brand: Option<String>,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub category: Option<String>,
    #[serde(default)]
    pub category_name: Option<String>,
    pub price: Money,
    pub status: String,
    pub available: i64,
}

/// A product on a page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    pub sku: String,
    pub name: String,
    pub brand: Option<String>,
    pub description: String,
    pub category: Option<String>,
    pub category_name: Option<String>,
    pub price: Money,
    pub stock: Availability,
    pub art: String,
    pub can_buy: bool,
    /// The most that somebody can put into their basket at once.
    pub most: i64,
}

/// What is available, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Availability {
    pub words: String,
    /// Good, warn or bad: the colour of a tag.
    pub kind: &'static str,
}

impl Product {
    pub fn is_sold(&self) -> bool {
        self.status == "active"
    }

    pub fn availability(&self) -> Availability {
        let (words, kind) = match self.available {
            _ if !self.is_sold() => ("not sold any more".to_owned(), "bad"),
            ..=0 => ("sold out".to_owned(), "bad"),
            1..FEW => (format!("only {} left", self.available), "warn"),
            _ => ("in stock".to_owned(), "good"),
        };
        Availability { words, kind }
    }

    pub fn shown(self) -> Shown {
        let (stock, can_buy) = (self.availability(), self.is_sold() && self.available > 0);
        let (art, most) = (art::of(self.sku.as_str()), self.available.clamp(1, MOST));
        let Self { sku, name, brand, description, category, category_name, price, .. } = self;
        let sku = sku.into();
        Shown { sku, name, brand, description, category, category_name, price, stock, art, can_buy, most }
    }
}

/// A product as it is now; none if there is none.
pub async fn find(services: &Services, sku: &Sku) -> Result<Option<Product>, Failure> {
    match services.get(Service::Stock, &format!("/api/v1/products/{sku}"), None).await {
        Ok(found) => read(found).map(Some),
        Err(Failure::Refused { status: 404 | 410, .. }) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Products as they are now, in this order, by one request. There are at most as many as an order has lines.
pub async fn all(services: &Services, skus: &[&Sku]) -> Result<Vec<Option<Product>>, Failure> {
    if skus.is_empty() {
        return Ok(Vec::new());
    }
    let (named, limit) = (skus.iter().map(|sku| sku.as_str()).collect::<Vec<_>>().join(","), skus.len().to_string());
    let asked = query([("sku", named.as_str()), ("limit", &limit)]);
    let mut page = services.get(Service::Stock, &format!("/api/v1/products?{asked}"), None).await?;
    let items = page.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
    let listed = items.into_iter().map(|item| read(item).map(|product| (product.sku.clone(), product)));
    let mut listed = listed.collect::<Result<BTreeMap<Sku, Product>, _>>()?;
    Ok(skus.iter().map(|sku| listed.remove(*sku)).collect())
}

/// A product of an answer.
pub fn read(answer: serde_json::Value) -> Result<Product, Failure> {
    let not_one = |error: serde_json::Error| Failure::Away { service: Service::Stock.name(), why: error.to_string() };
    serde_json::from_value(answer).map_err(not_one)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn product(available: i64, status: &str) -> Product {
        let price = json!({"amount": 1299, "currency": "EUR"});
        read(json!({"sku": "TEA", "name": "Tea", "price": price, "status": status, "available": available})).unwrap()
    }

    #[test]
    fn what_is_available_is_told_in_words() {
        let words = |available, status: &str| product(available, status).availability().words;
        assert_eq!(words(43, "active"), "in stock");
        assert_eq!(words(3, "active"), "only 3 left");
        assert_eq!(words(0, "active"), "sold out");
        assert_eq!(words(43, "withdrawn"), "not sold any more");
    }

    #[test]
    fn what_can_t_be_had_can_t_be_put_into_the_basket() {
        assert!(product(1, "active").shown().can_buy);
        assert!(!product(0, "active").shown().can_buy && !product(5, "withdrawn").shown().can_buy);
    }

    #[test]
    fn an_answer_that_is_no_product_is_none() {
        assert!(matches!(read(json!({"sku": "<b>"})), Err(Failure::Away { .. })));
    }
}
