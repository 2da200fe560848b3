//! Places for pages that are told live what changes: a number for all, and a few for each order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// Somebody looks at an order on a few devices, and nobody on many.
const OF_AN_ORDER: usize = 8;

/// How many look at each order.
static TAKEN: Mutex<BTreeMap<Uuid, usize>> = Mutex::new(BTreeMap::new());

/// Free again once it is dropped.
pub struct Place {
    order: Uuid,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// A place, if there is one.
    pub fn take(all: &Arc<Semaphore>, order: Uuid) -> Option<Self> {
        let permit = Arc::clone(all).try_acquire_owned().ok()?;
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let of_order = taken.entry(order).or_default();
        if *of_order >= OF_AN_ORDER {
            return None;
        }
        *of_order += 1;
        Some(Self { order, _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.order) {
            Some(of_order) if *of_order > 1 => *of_order -= 1,
            _ => drop(taken.remove(&self.order)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_order_takes_a_few_places_and_gives_them_back() {
        let (all, order, other) = (Arc::new(Semaphore::new(OF_AN_ORDER + 1)), Uuid::now_v7(), Uuid::now_v7());
        let mut places: Vec<_> = (0..OF_AN_ORDER).map(|_| Place::take(&all, order).unwrap()).collect();
        assert!(Place::take(&all, order).is_none(), "it has as many as it may have");
        let another = Place::take(&all, other).unwrap();
        assert!(Place::take(&all, other).is_none(), "there are no more for anybody");
        places.pop();
        assert!(Place::take(&all, order).is_some());
        drop((places, another));
        assert_eq!(all.available_permits(), OF_AN_ORDER + 1);
        assert!(!TAKEN.lock().unwrap().contains_key(&order));
    }
}
