//! The working set of a transaction: it is loaded once, changed in memory, and saved once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::result::Error;
use outbox_relay::NewRow;
use shared_events::{Event, EventId, OrderId, ShipmentId, Sku};
use uuid::Uuid;

use super::movements::NewMovement;
use super::{products, roots};
use crate::domain::{Allocation, Change, Level, Levels, NewParcel, Product, Unadjustable};
use crate::outbox;

/// The locked roots and what belongs to them, as decisions have changed it in memory, and what must be written. The
/// decision about one event of a batch sees the decisions about earlier ones.
#[derive(Debug)]
pub struct Loaded {
    /// The database's time of this transaction, which timers use too.
    pub now: DateTime<Utc>,
    pub(super) orders: BTreeMap<OrderId, roots::Root>,
    pub(super) levels: Levels,
    pub(super) products: BTreeMap<Sku, products::Root>,
    pub(super) changed: Changed,
    pub(super) movements: Vec<NewMovement>,
    pub(super) announcements: Vec<NewRow>,
    /// Orders whose customers are forgotten, so that no stored response may name an address.
    pub(super) forgotten: Vec<Uuid>,
}

/// What differs from the database.
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
            forgotten: Vec::new(),
        }
    }

    /// The allocation of an order. Fails with `NotFound` if the order was not loaded.
    pub fn allocation(&self, order_id: OrderId) -> QueryResult<&Allocation> {
        self.orders.get(&order_id).map(|root| &root.allocation).ok_or(Error::NotFound)
    }

    pub const fn levels(&self) -> &Levels {
        &self.levels
    }

    /// A product and its level. Fails with `NotFound` if it isn't listed.
    pub fn product(&self, sku: &Sku) -> QueryResult<(&products::Root, Level)> {
        self.products.get(sku).zip(self.levels.get(sku)).ok_or(Error::NotFound)
    }

    /// The shipment that a decision of this transaction would create.
    pub fn new_parcel(&self) -> NewParcel {
        NewParcel { id: ShipmentId::new(), at: self.now }
    }

    /// Applies a decision: it keeps the allocation, moves the stock and publishes the events, and reports stock that
    /// falls below its mark. Fails, and changes nothing, if a line can't move; the decision, which was made with the
    /// same levels, has excluded that.
    pub fn apply(&mut self, change: Change, causation: Option<EventId>) -> QueryResult<()> {
        let Change { allocation, movement, events } = change;
        let order_id = allocation.order_id;
        let mut root = self.orders.get(&order_id).cloned().ok_or(Error::NotFound)?;
        let moved = match &movement {
            Some((movement, lines)) => {
                self.levels.after_movement(*movement, lines).ok_or_else(|| immovable(order_id))?
            }
            None => Levels::default(),
        };
        let (mut announced, low) = self.low_stock(&moved, causation)?;
        announced.extend(outbox::rows(&mut root.counters, self.now, &events, causation)?);

        // Nothing below can fail, so the change is applied completely or not at all.
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

    /// Takes the address out of the responses that are stored for requests about this order.
    pub fn forget_responses(&mut self, order_id: OrderId) {
        self.forgotten.push(order_id.0);
    }

    /// Corrects a product's stock by hand, and reports it if the stock falls below its mark. The inner error says
    /// that the level doesn't allow it; the outer, that the product isn't listed. Nothing changes then.
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

    /// Keeps a product as its next version and publishes the events. Fails, and changes nothing, if the product isn't
    /// listed.
    pub fn keep_product(&mut self, product: Product, events: &[Event]) -> QueryResult<()> {
        let mut root = self.product(&product.sku)?.0.clone();
        let announced = outbox::rows(&mut root, self.now, events, None)?;
        let root = products::Root { product, version: root.version + 1, updated_at: self.now, ..root };
        self.keep_products(vec![root]);
        self.announcements.extend(announced);
        Ok(())
    }

    /// Publishes the current state of every loaded product.
    pub fn announce_products(&mut self) -> QueryResult<()> {
        for root in self.products.values_mut() {
            let event = root.product.as_it_is();
            self.announcements.extend(outbox::rows(root, self.now, &[event], None)?);
        }
        self.changed.products.extend(self.products.keys().cloned());
        Ok(())
    }

    /// Adds a product that was just inserted, with its initial stock.
    pub(super) fn list(&mut self, root: products::Root, on_hand: i64) {
        let sku = root.product.sku.clone();
        self.movements.push(NewMovement::by_hand(&sku, "listed", on_hand, None));
        self.levels.extend(Levels::from_iter([(sku.clone(), Level { on_hand, held: 0 })]));
        self.products.insert(sku, root);
    }

    /// The events for watched products whose stock falls below their mark, and the roots that have counted these
    /// events.
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
