use shared_events::{
    Event, LineText, Money, ProductChanged, ProductListed, ProductState, ProductStatus, ProductStockLow,
    ProductWithdrawn, Sku,
};
use uuid::Uuid;

use super::{Description, LowStockMark, Refused};

#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    pub sku: Sku,
    pub details: Details,
    pub status: ProductStatus,
}

/// The part of a product that `PUT` replaces.
#[derive(Clone, Debug, PartialEq)]
pub struct Details {
    pub name: LineText,
    /// The manufacturer.
    pub brand: Option<LineText>,
    /// May be empty.
    pub description: Description,
    /// The id and the name of its category.
    pub category: Option<(Uuid, LineText)>,
    /// The price of one piece, more than 0.
    pub price: Money,
    /// Stock is low when fewer pieces than this are available, which is announced. None if it isn't watched.
    pub low_stock_mark: Option<LowStockMark>,
}

impl Product {
    pub fn list(sku: Sku, details: Details) -> (Product, Event) {
        let product = Product { sku, details, status: ProductStatus::Active };
        let event = ProductListed(product.told()).into();
        (product, event)
    }

    /// Replaces its details. An event is published only if something that others need has changed. Fails if the
    /// product is withdrawn.
    pub fn change(self, details: Details) -> Result<(Product, Option<Event>), Refused> {
        if self.status == ProductStatus::Withdrawn {
            return Err(Refused { what: "product", wanted: "changed", state: "withdrawn" });
        }
        let before = self.told();
        let product = Product { details, ..self };
        let event = (product.told() != before).then(|| ProductChanged(product.told()).into());
        Ok((product, event))
    }

    /// Withdraws it. Repeating it changes nothing.
    pub fn withdraw(self) -> (Product, Option<Event>) {
        if self.status == ProductStatus::Withdrawn {
            return (self, None);
        }
        let product = Product { status: ProductStatus::Withdrawn, ..self };
        let event = ProductWithdrawn(product.told()).into();
        (product, Some(event))
    }

    /// Puts it back into the catalogue. Repeating it changes nothing.
    pub fn relist(self) -> (Product, Option<Event>) {
        if self.status == ProductStatus::Active {
            return (self, None);
        }
        let product = Product { status: ProductStatus::Active, ..self };
        let event = ProductChanged(product.told()).into();
        (product, Some(event))
    }

    /// The event that announces its current state again, for consumers that may have missed it.
    pub fn as_it_is(&self) -> Event {
        match self.status {
            ProductStatus::Active => ProductChanged(self.told()).into(),
            ProductStatus::Withdrawn => ProductWithdrawn(self.told()).into(),
        }
    }

    /// The event for stock below its mark; none if the product isn't watched or isn't sold.
    pub fn stock_low(&self, available: i64) -> Option<Event> {
        let watched = self.status == ProductStatus::Active && self.is_low(available);
        watched.then(|| ProductStockLow { state: self.told(), available }.into())
    }

    /// The same event, if the stock was not below the mark before.
    pub fn fell_low(&self, before: i64, after: i64) -> Option<Event> {
        self.stock_low(after).filter(|_| !self.is_low(before))
    }

    /// Whether this stock is below the mark.
    pub fn is_low(&self, available: i64) -> bool {
        self.details.low_stock_mark.is_some_and(|mark| available < i64::from(mark.pieces()))
    }

    /// The state for other services. It is the whole state, because the topic is compacted.
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
