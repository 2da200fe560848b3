//! The stock of the SKUs in play, with the sums that it is checked against.

use std::collections::BTreeMap;

use shared_events::{Sku, StockLine};
use stock_svc::domain::{Level, Levels, StockMovement};

/// The stock of one SKU.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pieces {
    /// The level that stock-svc keeps.
    pub level: Level,
    /// The initial stock, plus what came or went by hand.
    pub stocked: i64,
    /// What left for good.
    pub committed: i64,
    /// What came back.
    pub restocked: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shelf(pub BTreeMap<Sku, Pieces>);

impl Shelf {
    pub fn stocked(lines: impl IntoIterator<Item = (Sku, i64)>) -> Self {
        let pieces =
            |on_hand| Pieces { level: Level { on_hand, held: 0 }, stocked: on_hand, committed: 0, restocked: 0 };
        Self(lines.into_iter().map(|(sku, on_hand)| (sku, pieces(on_hand))).collect())
    }

    /// The levels, as stock-svc's decisions see them.
    pub fn levels(&self) -> Levels {
        self.0.iter().map(|(sku, pieces)| (sku.clone(), pieces.level)).collect()
    }

    /// Applies a movement to the levels of `lines`; false if the stock doesn't allow it.
    pub fn moves(&mut self, movement: StockMovement, lines: &[StockLine]) -> bool {
        lines.iter().all(|line| {
            let quantity = i64::from(line.quantity);
            let Some(pieces) = self.0.get_mut(&line.sku) else { return false };
            let Some(level) = pieces.level.after_movement(movement, line.quantity) else { return false };
            pieces.level = level;
            match movement.kind() {
                Some("committed") => pieces.committed += quantity,
                Some(_) => pieces.restocked += quantity,
                None => {}
            }
            true
        })
    }

    /// Somebody else buys all that is available of the first line's SKU.
    pub fn sold_out(&mut self, lines: &[StockLine]) {
        if let Some(pieces) = lines.first().and_then(|line| self.0.get_mut(&line.sku)) {
            let available = pieces.level.available();
            pieces.level.on_hand -= available;
            pieces.stocked -= available;
        }
    }

    /// What is wrong with the sums, given what the orders have reserved.
    pub fn wrong(&self, held: impl Fn(&Sku) -> i64) -> Option<&'static str> {
        self.0.iter().find_map(|(sku, pieces)| {
            if pieces.level.available() < 0 {
                Some("less than nothing is available")
            } else if pieces.stocked + pieces.restocked - pieces.committed != pieces.level.on_hand {
                Some("what is on hand isn't the sum of what moved")
            } else if pieces.level.held != held(sku) {
                Some("what is held isn't the sum of the live holds")
            } else {
                None
            }
        })
    }
}
