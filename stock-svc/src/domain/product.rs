use shared_events::{
    Event, LineText, Money, ProductChanged, ProductListed, ProductState, ProductStatus, ProductStockLow,
    ProductWithdrawn, Sku,
};
use uuid::Uuid;

use super::{Description, LowStockMark, Refused};

/// What the catalogue says of a SKU.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// What.
    pub sku: Sku,
    /// Everything that a change replaces.
    pub details: Details,
    /// Whether it can be ordered.
    pub status: ProductStatus,
}

/// The part of a product that `PUT` replaces as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Details {
    /// What it is called.
    pub name: LineText,
    /// Who makes it.
    pub brand: Option<LineText>,
    /// What to know about it; may be empty.
    pub description: Description,
    /// Where it stands in the catalogue: id and name.
    pub category: Option<(Uuid, LineText)>,
    /// For one piece, more than 0.
    pub price: Money,
    /// With fewer pieces available than this, its stock is low, and that is announced; none to watch nothing.
    pub low_stock_mark: Option<LowStockMark>,
}

impl Product {
    /// Takes a SKU into the catalogue.
    pub fn list(sku: Sku, details: Details) -> (Product, Event) {
        let product = Product { sku, details, status: ProductStatus::Active };
        let event = ProductListed(product.told()).into();
        (product, event)
    }

    /// Replaces its details. What stays the same is not announced again.
    ///
    /// # Errors
    /// Once it is withdrawn.
    pub fn change(self, details: Details) -> Result<(Product, Option<Event>), Refused> {
        if self.status == ProductStatus::Withdrawn {
            return Err(Refused { what: "product", wanted: "changed", state: "withdrawn" });
        }
        let before = self.told();
        let product = Product { details, ..self };
        let event = (product.told() != before).then(|| ProductChanged(product.told()).into());
        Ok((product, event))
    }

    /// Takes it out of the catalogue; again is nothing new.
    pub fn withdraw(self) -> (Product, Option<Event>) {
        if self.status == ProductStatus::Withdrawn {
            return (self, None);
        }
        let product = Product { status: ProductStatus::Withdrawn, ..self };
        let event = ProductWithdrawn(product.told()).into();
        (product, Some(event))
    }

    /// Takes it into the catalogue again; again is nothing new.
    pub fn relist(self) -> (Product, Option<Event>) {
        if self.status == ProductStatus::Active {
            return (self, None);
        }
        let product = Product { status: ProductStatus::Active, ..self };
        let event = ProductChanged(product.told()).into();
        (product, Some(event))
    }

    /// What is announced of it as it is, to whoever may have missed it.
    pub fn as_it_is(&self) -> Event {
        match self.status {
            ProductStatus::Active => ProductChanged(self.told()).into(),
            ProductStatus::Withdrawn => ProductWithdrawn(self.told()).into(),
        }
    }

    /// What is announced when its stock has fallen below its mark; nothing when it isn't watched, or no longer sold.
    pub fn stock_low(&self, available: i64) -> Option<Event> {
        let watched = self.status == ProductStatus::Active && self.is_low(available);
        watched.then(|| ProductStockLow { state: self.told(), available }.into())
    }

    /// What is announced when so many pieces are available after a change, and that many were before it.
    pub fn fell_low(&self, before: i64, after: i64) -> Option<Event> {
        self.stock_low(after).filter(|_| !self.is_low(before))
    }

    /// Whether so few pieces are below its mark.
    pub fn is_low(&self, available: i64) -> bool {
        self.details.low_stock_mark.is_some_and(|mark| available < i64::from(mark.pieces()))
    }

    /// What others are told of it: the whole state, since the topic is compacted.
    fn told(&self) -> ProductState {
        ProductState {
            sku: self.sku.clone(),
            name: self.details.name.clone(),
            category: self.details.category.as_ref().map(|(_, name)| name.clone()),
            price: self.details.price,
            status: self.status,
            low_stock_mark: self.details.low_stock_mark.map(LowStockMark::pieces),
        }
    }
}

#[cfg(test)]
mod tests {
    use shared_events::Currency;

    use super::*;

    fn details(cents: i64) -> Details {
        Details {
            name: "Earl Grey".parse().unwrap(),
            brand: None,
            description: Description::default(),
            category: None,
            price: Money::new(cents, Currency::EUR).unwrap(),
            low_stock_mark: None,
        }
    }

    fn listed() -> Product {
        Product::list("TEA".parse().unwrap(), details(1299)).0
    }

    #[test]
    fn a_new_price_is_announced_with_the_whole_state() {
        let (product, event) = listed().change(details(1399)).unwrap();
        assert_eq!(event, Some(ProductChanged(product.told()).into()));
        assert_eq!(product.told().price.amount(), 1399);
    }

    #[test]
    fn what_stays_the_same_is_not_announced_again() {
        assert_eq!(listed().change(details(1299)).unwrap().1, None);
    }

    #[test]
    fn a_new_description_is_kept_and_concerns_nobody_else() {
        let described = Details { description: "Bergamot".to_owned().try_into().unwrap(), ..details(1299) };
        let (product, event) = listed().change(described.clone()).unwrap();
        assert_eq!((product.details, event), (described, None));
    }

    #[test]
    fn withdrawing_is_announced_once() {
        let (withdrawn, event) = listed().withdraw();
        assert_eq!(event, Some(ProductWithdrawn(withdrawn.told()).into()));
        assert_eq!(withdrawn.withdraw().1, None);
    }

    #[test]
    fn what_was_withdrawn_is_sold_again_as_it_was_and_that_is_announced_once() {
        let (sold, event) = listed().withdraw().0.relist();
        assert_eq!((event, &sold), (Some(ProductChanged(listed().told()).into()), &listed()));
        assert_eq!(sold.relist().1, None);
    }

    #[test]
    fn stock_is_low_below_the_mark_and_only_of_what_is_watched_and_sold() {
        let mark = LowStockMark::try_from(5).unwrap();
        let watched = listed().change(Details { low_stock_mark: Some(mark), ..details(1299) }).unwrap().0;
        let state = watched.told();
        assert_eq!(state.low_stock_mark, Some(5));
        assert_eq!(watched.stock_low(4), Some(ProductStockLow { state, available: 4 }.into()));
        assert_eq!((watched.stock_low(5), listed().stock_low(0)), (None, None));
        assert_eq!(watched.withdraw().0.stock_low(0), None);
    }

    #[test]
    fn a_withdrawn_product_is_not_changed() {
        let refused = listed().withdraw().0.change(details(1)).unwrap_err();
        assert_eq!(refused.to_string(), "a product that is withdrawn can't be changed");
    }
}
