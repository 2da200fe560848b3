//! Lists of orders by what people know of them: a page of the newest that fit.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::now;
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;
use shared_events::{EmailAddress, OrderId, OrderNumber, Sku};
use uuid::Uuid;

use super::orders::found;
use super::rows::{Found, LowerEmail, Number, OrderRow, OverdueAt, OverdueNotBefore, Skus};
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

/// How many of the newest orders are looked through for a SKU before its index is asked, which knows no order: of what is sold
/// often there is a page among these, and of what is not the index names few.
const LOOKED_THROUGH: i64 = 5_000;

/// How far the clock of whoever made an id may be from the database's, which says when an order was placed.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::days(1);

/// Orders, the newest first (ids are UUID v7, so their order is that of placing).
pub async fn list(conn: &mut AsyncPgConnection, filter: &Filter, limit: i64) -> QueryResult<Vec<Order>> {
    let found = match &filter.sku {
        Some(sku) if filter.names_few() => newest(conn, filter, LookFor::InRows(sku), None, limit).await?,
        Some(sku) => with_sku(conn, filter, sku, limit).await?,
        None => newest(conn, filter, LookFor::Anything, None, limit).await?,
    };
    let orders = found.into_iter().map(OrderRow::order).collect::<QueryResult<Vec<_>>>()?;
    // its year is that of when it was placed
    let is_called_so = |order: &Order| filter.number.is_none() || order.number == filter.number;
    Ok(orders.into_iter().filter(is_called_so).collect())
}

impl Filter {
    /// Whether an index that goes by age names few orders, whatever else they must be.
    const fn names_few(&self) -> bool {
        self.id.is_some() || self.number.is_some() || self.customer_id.is_some() || self.email.is_some()
    }

    /// Below which id an order must be.
    fn end(&self) -> Option<Uuid> {
        let by_time = self.placed_to.map(|to| first_id_of(to.checked_add_signed(CLOCKS_DIFFER).unwrap_or(to)));
        self.before.map(|before| before.0).into_iter().chain(by_time).min()
    }

    /// From which id on an order must be.
    fn begin(&self) -> Option<Uuid> {
        self.placed_from.map(|from| first_id_of(from.checked_sub_signed(CLOCKS_DIFFER).unwrap_or(from)))
    }
}

/// The lowest id that is made at that time: UUID v7 begins with the milliseconds since 1970 (RFC 9562, 5.7).
fn first_id_of(time: DateTime<Utc>) -> Uuid {
    let milliseconds = u128::try_from(time.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(milliseconds.min((1 << 48) - 1) << 80)
}

async fn with_sku(conn: &mut AsyncPgConnection, filter: &Filter, sku: &Sku, limit: i64) -> QueryResult<Vec<Found>> {
    let mut ids = orders::table.select(orders::id).order(orders::id.desc()).offset(LOOKED_THROUGH).limit(1).into_boxed();
    if let Some(end) = filter.end() {
        ids = ids.filter(orders::id.lt(end));
    }
    let last: Option<Uuid> = ids.first(conn).await.optional()?;
    let mut found = newest(conn, filter, LookFor::InRows(sku), last, limit).await?;
    let missing = limit - i64::try_from(found.len()).unwrap_or(limit);
    if let Some(last) = last.filter(|_| missing > 0) {
        let older = Filter { before: Some(OrderId(last)), ..filter.clone() };
        found.extend(newest(conn, &older, LookFor::ByIndex(sku), None, missing).await?);
    }
    Ok(found)
}

/// How a SKU is looked for.
enum LookFor<'a> {
    Anything,
    InRows(&'a Sku),
    ByIndex(&'a Sku),
}

/// Those that fit, from this id on.
async fn newest(
    conn: &mut AsyncPgConnection,
    filter: &Filter,
    sku: LookFor<'_>,
    from: Option<Uuid>,
    limit: i64,
) -> QueryResult<Vec<Found>> {
    let mut query =
        orders::table.left_join(redirections::table).select(found()).order(orders::id.desc()).limit(limit).into_boxed();
    if let Some(id) = filter.id {
        query = query.filter(orders::id.eq(id.0));
    }
    if let Some(number) = &filter.number {
        query = query.filter(Number.eq(number.drawn()).assume_not_null());
    }
    if let Some(customer_id) = &filter.customer_id {
        query = query.filter(orders::customer_id.eq(customer_id));
    }
    if let Some(email) = &filter.email {
        query = query.filter(LowerEmail.eq(lower(email.as_str())));
    }
    query = match sku {
        LookFor::Anything => query,
        LookFor::InRows(sku) => query.filter(orders::placed.contains(json!({"lines": [{"sku": sku}]}))),
        LookFor::ByIndex(sku) => query.filter(Skus.has_key(sku.as_str())),
    };
    query = match &filter.statuses[..] {
        [] => query,
        [status] => query.filter(orders::status.eq(status)),
        // how common they are decides how they are best found
        several => query.filter(orders::status.eq_any(several).and(PlannedAnew)),
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
    if let Some(begin) = filter.begin().into_iter().chain(from).max() {
        query = query.filter(orders::id.ge(begin));
    }
    if let Some(end) = filter.end() {
        query = query.filter(orders::id.lt(end));
    }
    query.load(conn).await
}

diesel::define_sql_function! {
    /// In small letters.
    fn lower(text: Text) -> Text;
}

/// Is true, and has the statement planned each time for what it is asked with.
#[derive(Clone, Copy, QueryId, ValidGrouping)]
struct PlannedAnew;

impl Expression for PlannedAnew {
    type SqlType = Bool;
}

impl<From> AppearsOnTable<From> for PlannedAnew {}

impl<From> SelectableExpression<From> for PlannedAnew {}

impl QueryFragment<Pg> for PlannedAnew {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql("true");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
