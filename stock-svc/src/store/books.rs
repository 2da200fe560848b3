//! The books of the stock (levels, movements and quantities held), read by ranges of SKUs and of orders.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// How many movements one statement adds up.
const SLICE: i64 = 50_000;

#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Level {
    #[diesel(sql_type = Text)]
    pub sku: String,
    #[diesel(sql_type = BigInt)]
    pub on_hand: i64,
    #[diesel(sql_type = BigInt)]
    pub held: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Sum {
    #[diesel(sql_type = Text)]
    pub sku: String,
    #[diesel(sql_type = BigInt)]
    pub quantity: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    pub level: Option<Level>,
    /// The sum of its movements.
    pub moved: i64,
    /// The sum of the quantities held for orders.
    pub held: i64,
}

/// An order's movements that don't match its lines.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct WrongMovement {
    #[diesel(sql_type = Text)]
    pub sku: String,
    #[diesel(sql_type = SqlUuid)]
    pub order_id: Uuid,
    /// `committed` or `restocked`.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// The sum of its movements.
    #[diesel(sql_type = BigInt)]
    pub moved: i64,
    /// The sum that follows from its lines and from what came back of its shipments.
    #[diesel(sql_type = BigInt)]
    pub expected: i64,
}

/// A range of SKUs or orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range<T> {
    /// The range begins after this one.
    pub after: T,
    /// The last one in the range; none if it goes to the end.
    pub last: Option<T>,
}

/// The range of the next `count` SKUs with a level. It also covers SKUs without a level that lie between them.
pub async fn skus_after(conn: &mut AsyncPgConnection, after: &str, count: i64) -> QueryResult<Range<String>> {
    use crate::schema::stock_levels::dsl::{sku, stock_levels};
    let next = stock_levels.select(sku).filter(sku.gt(after)).order(sku).offset(count - 1);
    Ok(Range { after: after.to_owned(), last: next.first(conn).await.optional()? })
}

pub async fn orders_after(conn: &mut AsyncPgConnection, after: Uuid, count: i64) -> QueryResult<Range<Uuid>> {
    use crate::schema::orders::dsl::{order_id, orders};
    let next = orders.select(order_id).filter(order_id.gt(after)).order(order_id).offset(count - 1);
    Ok(Range { after, last: next.first(conn).await.optional()? })
}

/// PostgreSQL's estimate of the number of orders; counting them would take longer than comparing some ranges.
pub async fn orders_estimate(conn: &mut AsyncPgConnection) -> QueryResult<u64> {
    #[derive(QueryableByName)]
    struct Estimate {
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    let sql = "select greatest(reltuples, 0)::bigint as rows from pg_class where oid = 'orders'::regclass";
    Ok(sql_query(sql).get_result::<Estimate>(conn).await?.rows.unsigned_abs())
}

/// The levels of a range, in the order of their SKUs.
pub async fn levels(conn: &mut AsyncPgConnection, range: &Range<String>) -> QueryResult<Vec<Level>> {
    let sql = "select sku, on_hand, held from stock_levels where sku > $1 and ($2 is null or sku <= $2) order by sku";
    sql_query(sql).bind::<Text, _>(&range.after).bind::<Nullable<Text>, _>(&range.last).load(conn).await
}

/// The sums of all movements of a range. They are added up in slices, so that no statement takes long however often
/// one SKU has moved.
pub async fn moved(conn: &mut AsyncPgConnection, range: &Range<String>) -> QueryResult<Vec<Sum>> {
    #[derive(QueryableByName)]
    struct Slice {
        #[diesel(embed)]
        sum: Sum,
        #[diesel(sql_type = BigInt)]
        last_id: i64,
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    let sql = "with slice as materialized (select sku, id, quantity from movements
            where (sku, id) > ($1, $2) and ($3 is null or sku <= $3) order by sku, id limit $4)
        select sku, sum(quantity)::bigint as quantity, max(id) as last_id, count(*) as rows from slice
            group by sku order by sku";
    let (mut sums, mut after) = (Vec::<Sum>::new(), (range.after.clone(), i64::MAX));
    loop {
        let slice: Vec<Slice> = sql_query(sql)
            .bind::<Text, _>(&after.0)
            .bind::<BigInt, _>(after.1)
            .bind::<Nullable<Text>, _>(&range.last)
            .bind::<BigInt, _>(SLICE)
            .load(conn)
            .await?;
        let rows: i64 = slice.iter().map(|part| part.rows).sum();
        if let Some(last) = slice.last() {
            after = (last.sum.sku.clone(), last.last_id);
        }
        for Slice { sum, .. } in slice {
            match sums.last_mut().filter(|last| last.sku == sum.sku) {
                Some(last) => last.quantity += sum.quantity,
                None => sums.push(sum),
            }
        }
        if rows < SLICE {
            return Ok(sums);
        }
    }
}

pub async fn held(conn: &mut AsyncPgConnection, range: &Range<String>) -> QueryResult<Vec<Sum>> {
    let sql = "select line ->> 'sku' as sku, sum((line ->> 'quantity')::bigint)::bigint as quantity
        from orders, jsonb_array_elements(lines) line
        where reservation = 'held' and line ->> 'sku' > $1 and ($2 is null or line ->> 'sku' <= $2) group by 1 order by 1";
    sql_query(sql).bind::<Text, _>(&range.after).bind::<Nullable<Text>, _>(&range.last).load(conn).await
}

/// The books of a range, by SKU. In a repeatable-read transaction they come from one snapshot.
pub async fn of(conn: &mut AsyncPgConnection, range: &Range<String>) -> QueryResult<BTreeMap<String, Books>> {
    let mut all = BTreeMap::<String, Books>::new();
    for level in levels(conn, range).await? {
        let sku = level.sku.clone();
        all.entry(sku).or_default().level = Some(level);
    }
    for Sum { sku, quantity } in moved(conn, range).await? {
        all.entry(sku).or_default().moved = quantity;
    }
    for Sum { sku, quantity } in held(conn, range).await? {
        all.entry(sku).or_default().held = quantity;
    }
    Ok(all)
}

/// A range's movements that contradict their orders. It is one statement, so it sees one snapshot.
pub async fn wrong_movements(conn: &mut AsyncPgConnection, range: &Range<Uuid>) -> QueryResult<Vec<WrongMovement>> {
    let sql = "with lines as (
            select order_id, reservation, line ->> 'sku' as sku, (line ->> 'quantity')::bigint as pieces
                from orders, jsonb_array_elements(lines) line
                where reservation in ('committed', 'restocked') and order_id > $1 and ($2 is null or order_id <= $2)),
        became as (
            select order_id, sku, 'committed' as kind, -pieces as pieces from lines
            union all select order_id, sku, 'restocked', pieces from lines where reservation = 'restocked'
            union all select order_id, line ->> 'sku', 'restocked', (line ->> 'quantity')::bigint
                from shipments, jsonb_array_elements(returned) line
                where order_id > $1 and ($2 is null or order_id <= $2)
            union all select order_id, line ->> 'sku', 'restocked', (line ->> 'quantity')::bigint
                from shipments join orders using (order_id), jsonb_array_elements(shipments.lines) line
                where orders.reservation = 'committed' and status = 'cancelled' and split_into = '[]'
                    and order_id > $1 and ($2 is null or order_id <= $2)),
        expected as (select order_id, sku, kind, sum(pieces)::bigint as pieces from became group by 1, 2, 3),
        moved as (select order_id, sku, kind, sum(quantity)::bigint as pieces
            from movements where order_id > $1 and ($2 is null or order_id <= $2) group by 1, 2, 3)
        select sku, order_id, kind, coalesce(moved.pieces, 0) as moved, coalesce(expected.pieces, 0) as expected
            from moved full join expected using (order_id, sku, kind)
            where moved.pieces is distinct from expected.pieces order by sku, order_id, kind";
    sql_query(sql).bind::<SqlUuid, _>(range.after).bind::<Nullable<SqlUuid>, _>(range.last).load(conn).await
}

/// Corrects a level by the difference that was found. Returns false if less than nothing would be held or available.
///
/// This needs no lock on the level since the comparison. Whoever moves stock changes the level and the books by the
/// same amount, so the difference stays the same meanwhile.
pub async fn correct(conn: &mut AsyncPgConnection, sku: &str, on_hand: i64, held: i64) -> QueryResult<bool> {
    let sql = "update stock_levels set on_hand = on_hand + $2, held = held + $3
        where sku = $1 and held + $3 >= 0 and on_hand + $2 >= held + $3";
    let done = sql_query(sql).bind::<Text, _>(sku).bind::<BigInt, _>(on_hand).bind::<BigInt, _>(held);
    Ok(done.execute(conn).await? == 1)
}

/// Takes the lock that only one repair can hold, since two would correct the levels twice. It is released when the
/// session ends.
pub async fn alone(conn: &mut AsyncPgConnection) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Taken {
        #[diesel(sql_type = diesel::sql_types::Bool)]
        taken: bool,
    }
    let taken: Taken =
        sql_query("select pg_try_advisory_lock(hashtext('stock-svc recompute')) as taken").get_result(conn).await?;
    Ok(taken.taken)
}
