//! Lists of orders by what people know of them: a page of the newest that fit.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::now;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;
use service_kit::prepared;
use shared_events::{EmailAddress, OrderId, OrderNumber, Sku};
use uuid::Uuid;

use super::keys::{self, Key};
use super::orders::found;
use super::rows::{Found, LowerEmail, OrderRow, OverdueAt, OverdueNotBefore};
use crate::domain::Order;
use crate::schema::{orders, redirections};

/// What an order must be to be listed: all of this.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub id: Option<OrderId>,
    pub number: Option<OrderNumber>,
    pub customer_id: Option<String>,
    /// In whatever letters, large or small.
    pub email: Option<EmailAddress>,
    /// One of its lines is of this.
    pub sku: Option<Sku>,
    /// One of these, by [`crate::domain::Status::name`]; any if there is none.
    pub statuses: Vec<String>,
    /// Those that wait longer than they should, or those that don't.
    pub overdue: Option<bool>,
    pub placed_from: Option<DateTime<Utc>>,
    /// Not at that time any more.
    pub placed_to: Option<DateTime<Utc>>,
    /// Those placed before this one.
    pub before: Option<OrderId>,
}

/// A page of orders, the newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    pub orders: Vec<Order>,
    /// Before which order one has to look on, if there may be more although the page is not full.
    pub looked_to: Option<OrderId>,
}

/// The statuses in which an order waits for nothing.
const ENDED: [&str; 2] = ["completed", "cancelled"];
/// How many of the newest orders that fit one thing that is asked for are looked through for the others at a time.
const WINDOW: i64 = 2_000;
/// How many times that is done for one page.
const WINDOWS: usize = 5;

/// How far the clock of whoever made an id may be from the database's, which says when an order was placed.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::days(1);

/// Orders, the newest first (ids are UUID v7, so their order is that of placing). What one index finds in order is one statement.
pub async fn list(conn: &mut AsyncPgConnection, filter: &Filter, limit: i64) -> QueryResult<Listed> {
    let Some(filter) = &filter.possible() else { return Ok(Listed::default()) };
    let indexes = filter.indexes();
    let mut listed = match &indexes[..] {
        _ if filter.id.is_some() || !filter.needs_keys() => {
            Listed { orders: fitting(conn, filter, None, limit).await?, looked_to: None }
        }
        indexes => looked_through(conn, filter, indexes, limit).await?,
    };
    // its year is that of when it was placed
    listed.orders.retain(|order| filter.number.is_none() || order.number == filter.number);
    Ok(listed)
}

impl Filter {
    /// The same without statuses that don't fit what else is asked for; none if no order fits. What has ended is not overdue, and
    /// PostgreSQL, which doesn't know that, would look through all that has ended.
    fn possible(&self) -> Option<Self> {
        let mut filter = self.clone();
        if self.overdue == Some(true) && !self.statuses.is_empty() {
            filter.statuses.retain(|status| !ENDED.contains(&status.as_str()));
            if filter.statuses.is_empty() {
                return None;
            }
        }
        Some(filter)
    }

    /// Whether no index of `orders` finds them in order. Of a status few or none may be overdue, however many there are of it.
    fn needs_keys(&self) -> bool {
        let is_rare = self.overdue == Some(true) && !self.statuses.is_empty();
        self.number.is_some() || self.email.is_some() || self.sku.is_some() || self.statuses.len() > 1 || is_rare
    }

    /// The indexes that each find, the newest first, orders that fit one thing; first those that find fewest.
    fn indexes(&self) -> Vec<Index<'_>> {
        let indexes = [
            self.number.as_ref().map(|number| Index::Key(number.into())),
            self.email.as_ref().map(|email| Index::Key(email.into())),
            self.customer_id.as_deref().map(Index::Customer),
            self.sku.as_ref().map(|sku| Index::Key(sku.into())),
            Some(&self.statuses[..]).filter(|statuses| !statuses.is_empty()).map(Index::Statuses),
        ];
        indexes.into_iter().flatten().collect()
    }

    /// From which id on, and below which, an order must be.
    fn ids(&self) -> (Uuid, Uuid) {
        let begin = self.placed_from.map(|from| first_id_of(from.checked_sub_signed(CLOCKS_DIFFER).unwrap_or(from)));
        let by_time = self.placed_to.map(|to| first_id_of(to.checked_add_signed(CLOCKS_DIFFER).unwrap_or(to)));
        let end = self.before.map(|before| before.0).into_iter().chain(by_time).min();
        (begin.unwrap_or(Uuid::nil()), end.unwrap_or(Uuid::max()))
    }
}

/// The lowest id that is made at that time: UUID v7 begins with the milliseconds since 1970 (RFC 9562, 5.7).
fn first_id_of(time: DateTime<Utc>) -> Uuid {
    let milliseconds = u128::try_from(time.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(milliseconds.min((1 << 48) - 1) << 80)
}

/// Looks through what an index finds, the newest first, for what else is asked for. One that finds few is looked through whole. If
/// all find many, one is looked through window by window, and only so far for one page: an order that fits may be anywhere.
async fn looked_through(
    conn: &mut AsyncPgConnection,
    filter: &Filter,
    indexes: &[Index<'_>],
    limit: i64,
) -> QueryResult<Listed> {
    let is_all = filter.overdue.is_none() && filter.placed_from.is_none() && filter.placed_to.is_none();
    let window = if indexes.len() == 1 && is_all { limit } else { limit.max(WINDOW) };
    let (begin, end) = filter.ids();
    let is_whole = |ids: &[Uuid]| ids.len() < usize::try_from(window).unwrap_or(usize::MAX);
    let mut frequent = None;
    for index in indexes {
        let ids = index.newest(conn, (begin, end), window).await?;
        if is_whole(&ids) {
            return Ok(Listed { orders: fitting(conn, filter, Some(&ids), limit).await?, looked_to: None });
        }
        frequent.get_or_insert((index, ids));
    }
    let Some((index, mut ids)) = frequent else { return Ok(Listed::default()) };
    let mut listed = Listed::default();
    for _ in 0..WINDOWS {
        let missing = limit - i64::try_from(listed.orders.len()).unwrap_or(limit);
        listed.orders.extend(fitting(conn, filter, Some(&ids), missing).await?);
        let Some(last) = ids.last().copied().filter(|_| !is_whole(&ids)) else {
            return Ok(Listed { looked_to: None, ..listed });
        };
        listed.looked_to = Some(OrderId(last));
        if i64::try_from(listed.orders.len()).is_ok_and(|count| count >= limit) {
            break;
        }
        ids = index.newest(conn, (begin, last), window).await?;
    }
    Ok(listed)
}

/// Finds orders that fit one thing in the order of their ids.
enum Index<'a> {
    Key(Key),
    Customer(&'a str),
    Statuses(&'a [String]),
}

impl Index<'_> {
    /// The newest of them, from the first id on and below the other.
    async fn newest(
        &self,
        conn: &mut AsyncPgConnection,
        (begin, end): (Uuid, Uuid),
        most: i64,
    ) -> QueryResult<Vec<Uuid>> {
        match *self {
            Self::Key(ref key) => keys::orders_of(conn, key, (begin, end), most).await,
            Self::Customer(customer) => OfCustomer { customer, begin, end, most }.load(conn).await,
            Self::Statuses(statuses) => OfStatuses { statuses, begin, end, most, of_all: most }.load(conn).await,
        }
    }
}

prepared! {
    struct OfCustomer<'a> {
        customer: &'a str as Text,
        begin: Uuid as SqlUuid,
        end: Uuid as SqlUuid,
        most: i64 as BigInt,
    } -> SqlUuid;
    "select id from orders where customer_id = ? and id >= ? and id < ? order by id desc limit ?"
}

prepared! {
    /// A branch a status, each of which its index finds in order.
    struct OfStatuses<'a> {
        statuses: &'a [String] as Array<Text>,
        begin: Uuid as SqlUuid,
        end: Uuid as SqlUuid,
        most: i64 as BigInt,
        of_all: i64 as BigInt,
    } -> SqlUuid;
    "select newest.id from unnest(?) as wanted (status) cross join lateral ( \
         select id from orders where orders.status = wanted.status and id >= ? and id < ? order by id desc limit ? \
     ) as newest order by newest.id desc limit ?"
}

/// The newest orders that fit all that is asked for, of these if there are any given.
async fn fitting(
    conn: &mut AsyncPgConnection,
    filter: &Filter,
    of: Option<&[Uuid]>,
    limit: i64,
) -> QueryResult<Vec<Order>> {
    let mut query =
        orders::table.left_join(redirections::table).select(found()).order(orders::id.desc()).limit(limit).into_boxed();
    if let Some(ids) = of {
        query = query.filter(orders::id.eq_any(ids));
    }
    if let Some(id) = filter.id {
        query = query.filter(orders::id.eq(id.0));
    }
    if let Some(customer_id) = &filter.customer_id {
        query = query.filter(orders::customer_id.eq(customer_id));
    }
    if let Some(email) = &filter.email {
        query = query.filter(LowerEmail.eq(lower(email.as_str())));
    }
    if let Some(sku) = &filter.sku {
        query = query.filter(orders::placed.contains(json!({"lines": [{"sku": sku}]})));
    }
    query = match &filter.statuses[..] {
        [] => query,
        [status] => query.filter(orders::status.eq(status)),
        several => query.filter(orders::status.eq_any(several)),
    };
    if let Some(overdue) = filter.overdue {
        // the first of the two is indexed
        let is_overdue = OverdueNotBefore.lt(now).and(OverdueAt.lt(now)).assume_not_null();
        query = if overdue {
            query.filter(is_overdue)
        } else {
            query.filter(OverdueAt.is_null().or(OverdueAt.ge(now).assume_not_null()))
        };
    }
    if let Some(time) = filter.placed_from {
        query = query.filter(orders::placed_at.ge(time));
    }
    if let Some(time) = filter.placed_to {
        query = query.filter(orders::placed_at.lt(time));
    }
    let (begin, end) = filter.ids();
    if begin != Uuid::nil() {
        query = query.filter(orders::id.ge(begin));
    }
    if end != Uuid::max() {
        query = query.filter(orders::id.lt(end));
    }
    query.load::<Found>(conn).await?.into_iter().map(OrderRow::order).collect()
}

diesel::define_sql_function! {
    /// In small letters.
    fn lower(text: Text) -> Text;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_is_not_looked_through_for_what_is_overdue() {
        let of = |overdue, statuses: &[&str]| {
            let statuses = statuses.iter().map(|status| (*status).to_owned()).collect();
            let filter = Filter { overdue, statuses, ..Filter::default() }.possible()?;
            Some((filter.statuses.join(","), filter.needs_keys()))
        };
        assert_eq!(of(Some(true), &["completed"]), None);
        assert_eq!(of(Some(true), &["completed", "shipped"]), Some(("shipped".to_owned(), true)), "in windows");
        assert_eq!(of(Some(true), &[]), Some((String::new(), false)));
        assert_eq!(of(Some(false), &["completed"]), Some(("completed".to_owned(), false)));
    }

    #[test]
    fn the_first_id_of_a_time_is_below_all_that_are_made_then_and_above_all_before() {
        let time = DateTime::from_timestamp_millis(1_785_000_000_123).unwrap();
        let made_at = |time: DateTime<Utc>| {
            let milliseconds = u64::try_from(time.timestamp_millis()).unwrap();
            uuid::Builder::from_unix_timestamp_millis(milliseconds, &[0; 10]).into_uuid()
        };
        assert!(first_id_of(time) < made_at(time));
        assert!(first_id_of(time) > made_at(time - TimeDelta::milliseconds(1)));
        assert_eq!(first_id_of(DateTime::<Utc>::MIN_UTC), Uuid::nil());
        assert!(first_id_of(DateTime::<Utc>::MAX_UTC) > made_at(time));
    }
}
