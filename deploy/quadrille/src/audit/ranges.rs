//! Orders in ranges of their ids, which are looked at one after the other.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::databases::Databases;
use crate::service::Service;

/// Orders after one, up to and including another; from the first and to the last where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub after: Option<Uuid>,
    pub last: Option<Uuid>,
}

impl Range {
    /// The condition that a column with an order's id is in it.
    pub fn of(self, column: &str) -> String {
        let after = self.after.map(|after| format!("{column} > '{after}'"));
        let last = self.last.map(|last| format!("{column} <= '{last}'"));
        let both: Vec<_> = after.into_iter().chain(last).collect();
        if both.is_empty() { "true".to_owned() } else { both.join(" and ") }
    }

    /// The same for a column with a text, the key of an event, which need not be an order's id.
    pub fn of_text(self, column: &str) -> String {
        if self.last.is_none() { "true".to_owned() } else { self.of(&format!("{column} collate \"C\"")) }
    }
}

/// Full ranges, one after the other, and behind them the tail: orders too few for one, and keys that are no order's id.
#[derive(Debug, Clone)]
pub(super) struct Ranges {
    after: Option<Uuid>,
    lasts: Vec<Uuid>,
}

impl Ranges {
    /// Walks over the ids of the orders after `after`, so that no service has more than `orders` of them in a range,
    /// whichever of them has lost how many.
    pub async fn walk(databases: &mut Databases, after: Option<Uuid>, orders: usize) -> anyhow::Result<Self> {
        let (mut lasts, mut place) = (vec![], after);
        databases.open().await?;
        loop {
            let mut next = None::<Uuid>;
            for (service, snapshot) in databases.each() {
                let id = if service == Service::OrderSvc { "id" } else { "order_id" };
                let after = Range { after: place, last: None }.of(id);
                let query =
                    format!("select {id} as id from orders where {after} order by {id} offset {} limit 1", orders - 1);
                let query =
                    if service == Service::PaymentSvc { query.replace(" orders ", " payments ") } else { query };
                let found = snapshot.rows::<BTreeMap<String, Uuid>>(&query).await?;
                next = next.into_iter().chain(found.iter().map(|row| row["id"])).min();
            }
            let Some(last) = next else { break };
            lasts.push(last);
            place = Some(last);
        }
        databases.close().await?;
        Ok(Self { after, lasts })
    }

    /// How many are full.
    pub fn full(&self) -> usize {
        self.lasts.len()
    }

    /// A full one, or the tail behind them.
    pub fn get(&self, number: usize) -> Range {
        let before = number.checked_sub(1).and_then(|before| self.lasts.get(before)).copied();
        Range { after: before.or(self.after), last: self.lasts.get(number).copied() }
    }

    /// The range that has what bears this key; nothing where it lies before all of them.
    pub fn place(&self, key: &str) -> Option<usize> {
        let Ok(id) = key.parse::<Uuid>() else { return Some(self.full()) };
        let is_before = self.after.is_some_and(|after| id <= after);
        (!is_before).then(|| self.lasts.partition_point(|last| *last < id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn each_key_has_one_range_and_what_is_no_orders_id_has_the_tail() {
        let ranges = Ranges { after: Some(id(10)), lasts: vec![id(20), id(30)] };
        let place = |number| ranges.place(&id(number).to_string());
        assert_eq!([5, 10, 11, 20, 21, 30, 31].map(place), [None, None, Some(0), Some(0), Some(1), Some(1), Some(2)]);
        assert_eq!(ranges.place("TEA"), Some(2));
        let all: Vec<_> = (0..=2).map(|number| ranges.get(number)).collect();
        let range = |after, last: Option<u128>| Range { after: Some(id(after)), last: last.map(id) };
        assert_eq!(all, [range(10, Some(20)), range(20, Some(30)), range(30, None)]);
        let (nothing, from) = (Range { after: None, last: None }, format!("id > '{}'", id(30)));
        assert_eq!([nothing.of("id"), all[2].of("id"), all[2].of_text("key")], ["true", &from, "true"]);
    }
}
