//! What a transaction works on: it is loaded once, decided about in memory, and saved once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::result::Error;
use outbox_relay::NewRow;
use shared_events::{Event, EventId, OrderId, ShipmentId, Sku};

use super::movements::NewMovement;
use super::{products, roots};
use crate::domain::{Allocation, Change, Level, Levels, NewParcel, Product, Unadjustable};
use crate::outbox;

/// The roots that a transaction has locked and what hangs on them, as decisions have left them in memory; and what is to be
/// written of them. What one event of a batch decides, the next one finds here.
#[derive(Debug)]
pub struct Loaded {
    /// The time of this transaction by the database's clock, which timers go by too.
    pub now: DateTime<Utc>,
    pub(super) orders: BTreeMap<OrderId, roots::Root>,
    pub(super) levels: Levels,
    pub(super) products: BTreeMap<Sku, products::Root>,
    pub(super) changed: Changed,
    pub(super) movements: Vec<NewMovement>,
    pub(super) announcements: Vec<NewRow>,
}

/// What differs from its row.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub orders: BTreeSet<OrderId>,
    pub shipments: BTreeSet<(OrderId, ShipmentId)>,
    pub levels: BTreeSet<Sku>,
    pub products: BTreeSet<Sku>,
}

impl Loaded {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self {
            now,
            orders: BTreeMap::new(),
            levels: Levels::default(),
            products: BTreeMap::new(),
            changed: Changed::default(),
            movements: Vec::new(),
            announcements: Vec::new(),
        }
    }

    /// The goods of an order.
    ///
    /// # Errors
    /// `NotFound` when the order was not loaded.
    pub fn allocation(&self, order_id: OrderId) -> QueryResult<&Allocation> {
        self.orders.get(&order_id).map(|root| &root.allocation).ok_or(Error::NotFound)
    }

    /// The levels that were loaded.
    pub const fn levels(&self) -> &Levels {
        &self.levels
    }

    /// A product and the level of its stock.
    ///
    /// # Errors
    /// `NotFound` when it isn't listed.
    pub fn product(&self, sku: &Sku) -> QueryResult<(&products::Root, Level)> {
        self.products.get(sku).zip(self.levels.get(sku)).ok_or(Error::NotFound)
    }

    /// The parcel that a decision of this transaction would make.
    pub fn new_parcel(&self) -> NewParcel {
        NewParcel { id: ShipmentId::new(), at: self.now }
    }

    /// Keeps what was decided about an order's goods, moves the pieces, and announces it, and which stock is low by that.
    ///
    /// # Errors
    /// A line that can't move, which the decision on the same levels has excluded. Nothing is changed then.
    pub fn apply(&mut self, change: Change, causation: Option<EventId>) -> QueryResult<()> {
        let Change { allocation, movement, events } = change;
        let order_id = allocation.order_id;
        let mut root = self.orders.get(&order_id).cloned().ok_or(Error::NotFound)?;
        let moved = match &movement {
            Some((movement, lines)) => self.levels.shifted(*movement, lines).ok_or_else(|| immovable(order_id))?,
            None => Levels::default(),
        };
        let (mut announced, low) = self.low_stock(&moved, causation)?;
        announced.extend(outbox::rows(&mut root.counters, self.now, &events, causation)?);

        // nothing fails from here on
        if let Some((movement, lines)) = &movement {
            self.movements.extend(lines.iter().filter_map(|line| NewMovement::of_order(order_id, *movement, line)));
        }
        let changed = allocation.shipments.iter().filter(|shipment| !root.allocation.shipments.contains(shipment));
        self.changed.shipments.extend(changed.map(|shipment| (order_id, shipment.id)));
        root.allocation = allocation;
        self.orders.insert(order_id, root);
        self.changed.orders.insert(order_id);
        self.keep_levels(moved);
        self.keep_products(low);
        self.announcements.extend(announced);
        Ok(())
    }

    /// Adds pieces to a product's stock by hand, or takes them away, and announces it when that leaves few.
    ///
    /// # Errors
    /// The level can't change by so much, which is the inner one; it isn't listed. Nothing is changed then.
    pub fn adjust(&mut self, sku: &Sku, delta: i64, reason: &str) -> QueryResult<Result<(), Unadjustable>> {
        let level = match self.product(sku)?.1.adjusted(delta) {
            Ok(level) => level,
            Err(why) => return Ok(Err(why)),
        };
        let moved = Levels::from_iter([(sku.clone(), level)]);
        let (announced, low) = self.low_stock(&moved, None)?;
        self.movements.push(NewMovement::by_hand(sku, "adjusted", delta, Some(reason)));
        self.keep_levels(moved);
        self.keep_products(low);
        self.announcements.extend(announced);
        Ok(Ok(()))
    }

    /// Keeps what was decided about a product as its next version, and announces it.
    ///
    /// # Errors
    /// It isn't listed. Nothing is changed then.
    pub fn keep_product(&mut self, product: Product, events: &[Event]) -> QueryResult<()> {
        let mut root = self.product(&product.sku)?.0.clone();
        let announced = outbox::rows(&mut root, self.now, events, None)?;
        let root = products::Root { product, version: root.version + 1, updated_at: self.now, ..root };
        self.keep_products(vec![root]);
        self.announcements.extend(announced);
        Ok(())
    }

    /// Announces every product as it is.
    ///
    /// # Errors
    /// An event that can't be written, which none here is.
    pub fn announce_products(&mut self) -> QueryResult<()> {
        for root in self.products.values_mut() {
            let event = root.product.as_it_is();
            self.announcements.extend(outbox::rows(root, self.now, &[event], None)?);
        }
        self.changed.products.extend(self.products.keys().cloned());
        Ok(())
    }

    /// A product that was just inserted, with what is on hand of it.
    pub(super) fn list(&mut self, root: products::Root, on_hand: i64) {
        let sku = root.product.sku.clone();
        self.movements.push(NewMovement::by_hand(&sku, "listed", on_hand, None));
        self.levels.extend(Levels::from_iter([(sku.clone(), Level { on_hand, held: 0 })]));
        self.products.insert(sku, root);
    }

    /// Announces of which watched products few pieces are left by this, and returns their roots, which have counted it.
    fn low_stock(&self, moved: &Levels, causation: Option<EventId>) -> QueryResult<(Vec<NewRow>, Vec<products::Root>)> {
        let (mut announced, mut low) = (Vec::new(), Vec::new());
        for (sku, level) in moved.iter() {
            let Ok((root, before)) = self.product(sku) else { continue };
            if let Some(event) = root.product.fell_low(before.available(), level.available()) {
                let mut root = root.clone();
                announced.extend(outbox::rows(&mut root, self.now, &[event], causation)?);
                low.push(root);
            }
        }
        Ok((announced, low))
    }

    fn keep_levels(&mut self, moved: Levels) {
        self.changed.levels.extend(moved.iter().map(|(sku, _)| sku.clone()));
        self.levels.extend(moved);
    }

    fn keep_products(&mut self, roots: Vec<products::Root>) {
        for root in roots {
            self.changed.products.insert(root.product.sku.clone());
            self.products.insert(root.product.sku.clone(), root);
        }
    }
}

fn immovable(order_id: OrderId) -> Error {
    Error::QueryBuilderError(format!("pieces of order {order_id} were to move that aren't there").into())
}
