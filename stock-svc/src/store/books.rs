//! The levels, computed again from what moved and from what is held.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// A level that isn't what movements and live holds say.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct WrongLevel {
    /// Whose.
    #[diesel(sql_type = Text)]
    pub sku: String,
    /// On the shelves, as the level says.
    #[diesel(sql_type = BigInt)]
    pub on_hand: i64,
    /// The sum of its movements.
    #[diesel(sql_type = BigInt)]
    pub moved: i64,
    /// Held, as the level says.
    #[diesel(sql_type = BigInt)]
    pub held: i64,
    /// The sum of live holds.
    #[diesel(sql_type = BigInt)]
    pub holds: i64,
}

/// Movements for an order that aren't what became of its lines.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct WrongMovement {
    /// Of what.
    #[diesel(sql_type = Text)]
    pub sku: String,
    /// For which order.
    #[diesel(sql_type = SqlUuid)]
    pub order_id: Uuid,
    /// `committed` or `restocked`.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// As the movements have it.
    #[diesel(sql_type = BigInt)]
    pub moved: i64,
    /// As its lines and what came back of its parcels have it.
    #[diesel(sql_type = BigInt)]
    pub expected: i64,
}

/// Levels that aren't the sums of their movements and live holds, by SKU. One statement, which sees one moment.
///
/// # Errors
/// What the database says.
pub async fn wrong_levels(conn: &mut AsyncPgConnection) -> QueryResult<Vec<WrongLevel>> {
    let sql = "with moved as (select sku, sum(quantity)::bigint as pieces from movements group by sku),
        holds as (select line ->> 'sku' as sku, sum((line ->> 'quantity')::bigint)::bigint as pieces
            from orders, jsonb_array_elements(lines) line where reservation = 'held' group by 1),
        compared as (select sku, coalesce(on_hand, 0) as on_hand, coalesce(moved.pieces, 0) as moved,
                coalesce(held, 0) as held, coalesce(holds.pieces, 0) as holds
            from stock_levels full join moved using (sku) full join holds using (sku))
        select * from compared where on_hand <> moved or held <> holds order by sku";
    sql_query(sql).load(conn).await
}

/// Movements that contradict the orders they were made for, by SKU.
///
/// # Errors
/// What the database says.
pub async fn wrong_movements(conn: &mut AsyncPgConnection) -> QueryResult<Vec<WrongMovement>> {
    let sql = "with lines as (
            select order_id, reservation, line ->> 'sku' as sku, (line ->> 'quantity')::bigint as pieces
                from orders, jsonb_array_elements(lines) line where reservation in ('committed', 'restocked')),
        became as (
            select order_id, sku, 'committed' as kind, -pieces as pieces from lines
            union all select order_id, sku, 'restocked', pieces from lines where reservation = 'restocked'
            union all select order_id, line ->> 'sku', 'restocked', (line ->> 'quantity')::bigint
                from shipments, jsonb_array_elements(returned) line
            union all select order_id, line ->> 'sku', 'restocked', (line ->> 'quantity')::bigint
                from shipments join orders using (order_id), jsonb_array_elements(shipments.lines) line
                where orders.reservation = 'committed' and status = 'cancelled' and split_into = '[]'),
        expected as (select order_id, sku, kind, sum(pieces)::bigint as pieces from became group by 1, 2, 3),
        moved as (select order_id, sku, kind, sum(quantity)::bigint as pieces
            from movements where order_id is not null group by 1, 2, 3)
        select sku, order_id, kind, coalesce(moved.pieces, 0) as moved, coalesce(expected.pieces, 0) as expected
            from moved full join expected using (order_id, sku, kind)
            where moved.pieces is distinct from expected.pieces order by sku, order_id, kind";
    sql_query(sql).load(conn).await
}

/// Lets nobody move anything until the transaction ends. The tables in the order in which all others lock their rows.
///
/// # Errors
/// What the database says; after ten seconds, that it took too long.
pub async fn close(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    sql_query("set local lock_timeout = '10s'").execute(conn).await?;
    sql_query("lock table orders, stock_levels, movements in exclusive mode").execute(conn).await?;
    Ok(())
}

/// Sets a level to what movements and holds say; false when there is no such level.
///
/// # Errors
/// What the database says.
pub async fn mend(conn: &mut AsyncPgConnection, wrong: &WrongLevel) -> QueryResult<bool> {
    use crate::schema::stock_levels::dsl::{held, on_hand, stock_levels};
    let mended = diesel::update(stock_levels.find(&wrong.sku))
        .set((on_hand.eq(wrong.moved), held.eq(wrong.holds)))
        .execute(conn)
        .await?;
    Ok(mended == 1)
}
