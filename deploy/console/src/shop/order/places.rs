//! Places for pages that are told live what changes: a number for all, and a few for each order and for each client.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// Somebody looks at an order on a few devices, and nobody on many.
const OF_AN_ORDER: usize = 8;
/// Several people may come from one address, and none of them takes all places.
const OF_A_CLIENT: usize = 24;

/// How many look at each order, and from each address.
static TAKEN: Mutex<BTreeMap<Of, usize>> = Mutex::new(BTreeMap::new());

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Order(Uuid),
    Client(IpAddr),
}

impl Of {
    const fn most(self) -> usize {
        match self {
            Self::Order(_) => OF_AN_ORDER,
            Self::Client(_) => OF_A_CLIENT,
        }
    }
}

/// Free again once it is dropped.
pub struct Place {
    of: Vec<Of>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// A place, if there is one.
    pub fn take(all: &Arc<Semaphore>, order: Uuid, client: Option<IpAddr>) -> Option<Self> {
        let permit = Arc::clone(all).try_acquire_owned().ok()?;
        let of: Vec<_> = std::iter::once(Of::Order(order)).chain(client.map(Of::Client)).collect();
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        if of.iter().any(|of| taken.get(of).is_some_and(|taken| *taken >= of.most())) {
            return None;
        }
        of.iter().for_each(|of| *taken.entry(*of).or_default() += 1);
        Some(Self { of, _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        for of in &self.of {
            match taken.get_mut(of) {
                Some(many) if *many > 1 => *many -= 1,
                _ => drop(taken.remove(of)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_order_takes_a_few_places_and_gives_them_back() {
        let (all, order, other) = (Arc::new(Semaphore::new(OF_AN_ORDER + 1)), Uuid::now_v7(), Uuid::now_v7());
        let mut places: Vec<_> = (0..OF_AN_ORDER).map(|_| Place::take(&all, order, None).unwrap()).collect();
        assert!(Place::take(&all, order, None).is_none(), "it has as many as it may have");
        let another = Place::take(&all, other, None).unwrap();
        assert!(Place::take(&all, other, None).is_none(), "there are no more for anybody");
        places.pop();
        assert!(Place::take(&all, order, None).is_some());
        drop((places, another));
        assert_eq!(all.available_permits(), OF_AN_ORDER + 1);
        assert!(!TAKEN.lock().unwrap().contains_key(&Of::Order(order)));
    }

    #[test]
    fn one_client_does_not_take_all_places_however_many_orders_it_looks_at() {
        let (all, client, other) =
            (Arc::new(Semaphore::new(300)), Some([192, 0, 2, 7].into()), Some([192, 0, 2, 8].into()));
        let places: Vec<_> = (0..100).filter_map(|_| Place::take(&all, Uuid::now_v7(), client)).collect();
        assert_eq!((places.len(), all.available_permits()), (OF_A_CLIENT, 300 - OF_A_CLIENT));
        assert!(Place::take(&all, Uuid::now_v7(), other).is_some());
        drop(places);
        assert!(Place::take(&all, Uuid::now_v7(), client).is_some());
    }
}
