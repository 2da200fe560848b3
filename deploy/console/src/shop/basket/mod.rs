//! What somebody wants to buy: kept by their browser, in a cookie such as `TEA-CHAI-250*2.MUG*1`.

mod page;
pub mod priced;

use std::time::Duration;

use serde::Serialize;
use shared_events::Sku;

use crate::http::visit::Visit;

pub use page::routes;

const COOKIE: &str = "console_basket";
const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// As many as an order may have.
const MOST_LINES: usize = 100;
/// Browsers keep cookies of 4,096 characters, name and attributes included.
const LONGEST: usize = 3_800;
const MOST: u32 = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    pub sku: Sku,
    pub quantity: u32,
}

/// Each product is in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Basket(Vec<Line>);

/// Why something is not in the basket as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BasketRefused {
    #[error("There can be 1 to {MOST} of a product in an order.")]
    Quantity,
    #[error("The basket is full: please order what is in it first.")]
    Full,
}

impl Basket {
    /// The basket of whoever asks. One that can't be read is empty.
    pub fn of(visit: &Visit) -> Self {
        visit.cookie(COOKIE).and_then(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// Reads what [`Basket::text`] writes, and nothing else. A SKU may have a dot in it, and a quantity may not.
    pub fn parse(text: &str) -> Option<Self> {
        let (mut basket, mut rest) = (Self::default(), text);
        if text.len() > LONGEST {
            return None;
        }
        while !rest.is_empty() {
            let (sku, after) = rest.split_once('*')?;
            let (quantity, next) = after.split_once('.').unwrap_or((after, ""));
            if next.is_empty() && after.contains('.') {
                return None;
            }
            let (sku, quantity) = (sku.parse::<Sku>().ok()?, number(quantity)?);
            if basket.0.len() == MOST_LINES || basket.find(&sku).is_some() {
                return None;
            }
            basket.0.push(Line { sku, quantity });
            rest = next;
        }
        Some(basket)
    }

    pub fn text(&self) -> String {
        let lines: Vec<_> = self.0.iter().map(|Line { sku, quantity }| format!("{sku}*{quantity}")).collect();
        lines.join(".")
    }

    pub fn lines(&self) -> &[Line] {
        &self.0
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many pieces are in it.
    pub fn pieces(&self) -> u32 {
        self.0.iter().map(|line| line.quantity).sum()
    }

    /// Adds some to what is there.
    pub fn add(&mut self, sku: Sku, quantity: u32) -> Result<(), BasketRefused> {
        let before = self.find(&sku).map_or(0, |line| line.quantity);
        self.set(sku, before.saturating_add(quantity))
    }

    /// There are to be this many.
    pub fn set(&mut self, sku: Sku, quantity: u32) -> Result<(), BasketRefused> {
        if !(1..=MOST).contains(&quantity) {
            return Err(BasketRefused::Quantity);
        }
        let before = self.clone();
        match self.0.iter_mut().find(|line| line.sku == sku) {
            Some(line) => line.quantity = quantity,
            None => self.0.push(Line { sku, quantity }),
        }
        if self.0.len() > MOST_LINES || self.text().len() > LONGEST {
            *self = before;
            return Err(BasketRefused::Full);
        }
        Ok(())
    }

    pub fn remove(&mut self, sku: &Sku) {
        self.0.retain(|line| line.sku != *sku);
    }

    /// Has the browser of whoever asks keep it.
    pub fn keep(&self, visit: &mut Visit) {
        match self.is_empty() {
            true => visit.drop_cookie(COOKIE, "/"),
            false => visit.keep(COOKIE, &self.text(), "/", LIFE),
        }
    }

    fn find(&self, sku: &Sku) -> Option<&Line> {
        self.0.iter().find(|line| line.sku == *sku)
    }
}

/// A quantity in digits, without any before them that say nothing.
pub fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|number| is_plain && (1..=MOST).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sku(text: &str) -> Sku {
        text.parse().unwrap()
    }

    #[test]
    fn a_basket_is_read_as_it_was_written() {
        let mut basket = Basket::default();
        for (name, quantity) in [("TEA-CHAI-250", 2), ("V1.5", 1), (".", 3), ("5", 10_000)] {
            basket.add(sku(name), quantity).unwrap();
        }
        assert_eq!(basket.text(), "TEA-CHAI-250*2.V1.5*1..*3.5*10000");
        assert_eq!(Basket::parse(&basket.text()), Some(basket.clone()));
        assert_eq!((basket.pieces(), basket.lines().len()), (10_006, 4));
        assert_eq!(Basket::parse(""), Some(Basket::default()));
    }

    #[test]
    fn anything_else_is_no_basket() {
        let bad = [
            "TEA",
            "TEA*",
            "*1",
            "TEA*0",
            "TEA*01",
            "TEA*-1",
            "TEA*+1",
            "TEA*10001",
            "TEA*1.",
            "TEA*1.MUG",
            "TEA*1.TEA*2",
            "tea*1",
            "TEA*1 ",
            "T EA*1",
            "TEA*1,MUG*1",
            "TEA*1*2",
            "<b>*1",
            "TEA*99999999999",
        ];
        for text in bad {
            assert_eq!(Basket::parse(text), None, "{text}");
        }
        let lines = |count: usize| (0..count).map(|number| format!("S{number}*1")).collect::<Vec<_>>().join(".");
        assert!(Basket::parse(&lines(100)).is_some() && Basket::parse(&lines(101)).is_none());
    }

    #[test]
    fn a_basket_takes_no_more_than_an_order_or_a_cookie_does() {
        let mut basket = Basket::default();
        basket.add(sku("TEA"), 9_999).unwrap();
        assert_eq!(basket.add(sku("TEA"), 2), Err(BasketRefused::Quantity));
        assert_eq!(basket.set(sku("TEA"), 0), Err(BasketRefused::Quantity));
        assert_eq!(basket.add(sku("TEA"), u32::MAX), Err(BasketRefused::Quantity));
        assert_eq!(basket.pieces(), 9_999);
        let long = |number: usize| sku(&format!("{}{number}", "X".repeat(60)));
        let taken = (0..100).take_while(|number| basket.add(long(*number), 1).is_ok()).count();
        assert_eq!(basket.lines().len(), taken + 1);
        assert!(basket.text().len() <= LONGEST && Basket::parse(&basket.text()).is_some());
        assert_eq!(basket.add(long(101), 1), Err(BasketRefused::Full));
    }

    #[test]
    fn what_is_taken_out_is_gone() {
        let mut basket = Basket::parse("TEA*1.MUG*2").unwrap();
        basket.remove(&sku("TEA"));
        basket.set(sku("MUG"), 5).unwrap();
        assert_eq!(basket.text(), "MUG*5");
    }
}
