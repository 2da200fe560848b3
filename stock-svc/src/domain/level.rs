use std::collections::BTreeMap;

use shared_events::{Quantity, Shortage, Sku, StockLine};

use super::StockMovement;

/// The most pieces of one SKU that people can enter. What comes back from an order is never refused, so a level can
/// exceed this.
pub const MAX_ON_HAND: i64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Level {
    /// On the shelves, including what is held.
    pub on_hand: i64,
    /// Held for orders that are not confirmed.
    pub held: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unadjustable {
    #[error("{held} of {on_hand} pieces are held for orders, so at most {} can be taken away", on_hand - held)]
    BelowHeld { on_hand: i64, held: i64 },
    #[error("that would be more than {MAX_ON_HAND} pieces on hand")]
    TooMany,
}

impl Level {
    /// How many can be held for further orders; never below 0.
    pub const fn available(self) -> i64 {
        self.on_hand - self.held
    }

    /// The level after a movement; none if the stock doesn't allow it.
    pub fn after_movement(self, movement: StockMovement, quantity: Quantity) -> Option<Level> {
        let ((on_hand, held), quantity) = (movement.signs(), i64::from(quantity));
        let level = Level { on_hand: self.on_hand + on_hand * quantity, held: self.held + held * quantity };
        (level.held >= 0 && level.available() >= 0).then_some(level)
    }

    pub fn adjusted(self, delta: i64) -> Result<Level, Unadjustable> {
        let fits = |sum: &i64| delta < 0 || *sum <= MAX_ON_HAND;
        let on_hand = self.on_hand.checked_add(delta).filter(fits).ok_or(Unadjustable::TooMany)?;
        if on_hand < self.held {
            return Err(Unadjustable::BelowHeld { on_hand: self.on_hand, held: self.held });
        }
        Ok(Level { on_hand, ..self })
    }
}

/// The levels that a decision needs. They are locked while it is made.
#[derive(Clone, Debug, Default)]
pub struct Levels(BTreeMap<Sku, Level>);

impl Levels {
    /// The level of a SKU, if the SKU was ever listed.
    pub fn get(&self, sku: &Sku) -> Option<Level> {
        self.0.get(sku).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Sku, Level)> {
        self.0.iter().map(|(sku, level)| (sku, *level))
    }

    pub fn extend(&mut self, changed: Levels) {
        self.0.extend(changed.0);
    }

    /// The changed levels after these lines moved; none if one of them can't.
    pub fn after_movement(&self, movement: StockMovement, lines: &[StockLine]) -> Option<Levels> {
        let mut moved = Levels::default();
        for line in lines {
            let level = moved.get(&line.sku).or_else(|| self.get(&line.sku))?;
            moved.0.insert(line.sku.clone(), level.after_movement(movement, line.quantity)?);
        }
        Some(moved)
    }

    /// The lines that can't be held in full, with what is available of each. A SKU without a level has nothing.
    pub fn shortages(&self, lines: &[StockLine]) -> Vec<Shortage> {
        lines
            .iter()
            .filter_map(|line| {
                let available = self.0.get(&line.sku).copied().unwrap_or_default().available();
                (available < i64::from(line.quantity)).then(|| Shortage {
                    sku: line.sku.clone(),
                    requested: line.quantity,
                    available: u32::try_from(available).unwrap_or(0),
                })
            })
            .collect()
    }
}

impl FromIterator<(Sku, Level)> for Levels {
    fn from_iter<I: IntoIterator<Item = (Sku, Level)>>(levels: I) -> Self {
        Self(levels.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVEL: Level = Level { on_hand: 10, held: 4 };

    #[test]
    fn what_is_held_is_not_available() {
        assert_eq!(LEVEL.available(), 6);
    }

    #[test]
    fn a_delivery_raises_what_is_on_hand_and_not_what_is_held() {
        assert_eq!(LEVEL.adjusted(5), Ok(Level { on_hand: 15, held: 4 }));
    }

    #[test]
    fn all_that_is_available_can_be_taken_away() {
        assert_eq!(LEVEL.adjusted(-6), Ok(Level { on_hand: 4, held: 4 }));
    }

    #[test]
    fn what_is_held_can_not_be_taken_away() {
        assert_eq!(LEVEL.adjusted(-7), Err(Unadjustable::BelowHeld { on_hand: 10, held: 4 }));
    }

    #[test]
    fn a_shelf_that_returned_goods_overfilled_can_be_cleared_step_by_step() {
        let overfull = Level { on_hand: MAX_ON_HAND + 10, held: 0 };
        assert_eq!(overfull.adjusted(-1), Ok(Level { on_hand: MAX_ON_HAND + 9, held: 0 }));
        assert_eq!(overfull.adjusted(1), Err(Unadjustable::TooMany));
    }

    #[test]
    fn neither_overflow_nor_absurd_numbers_are_accepted() {
        assert_eq!(LEVEL.adjusted(i64::MAX), Err(Unadjustable::TooMany));
        assert_eq!(LEVEL.adjusted(MAX_ON_HAND), Err(Unadjustable::TooMany));
    }
}
