//! Stock levels. SKUs are always locked in sorted order, after the roots of the orders they are moved for.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use shared_events::{OrderId, Sku, StockLine};
use uuid::Uuid;

use super::parsed;
use crate::domain::{Level, Levels, Shift};
use crate::schema::stock_levels;

/// Locks the levels of `skus` in sorted order and reads them. A SKU that was never listed has none.
///
/// # Errors
/// What the database says.
pub async fn lock<'a>(conn: &mut AsyncPgConnection, skus: impl IntoIterator<Item = &'a Sku>) -> QueryResult<Levels> {
    let mut skus: Vec<&str> = skus.into_iter().map(Sku::as_str).collect();
    skus.sort_unstable();
    skus.dedup();
    if skus.is_empty() {
        return Ok(Levels::default());
    }
    let rows: Vec<(String, i64, i64)> = stock_levels::table
        .filter(stock_levels::sku.eq_any(skus))
        .order(stock_levels::sku)
        .for_update()
        .load(conn)
        .await?;
    rows.into_iter().map(|(sku, on_hand, held)| Ok((parsed(&sku)?, Level { on_hand, held }))).collect()
}

/// The level of one SKU, locked.
///
/// # Errors
/// What the database says; `NotFound` when it isn't listed.
pub async fn lock_one(conn: &mut AsyncPgConnection, sku: &Sku) -> QueryResult<Level> {
    let (on_hand, held) = stock_levels::table
        .find(sku.as_str())
        .select((stock_levels::on_hand, stock_levels::held))
        .for_update()
        .first(conn)
        .await?;
    Ok(Level { on_hand, held })
}

/// Sets what is on hand of a SKU whose level is locked.
///
/// # Errors
/// What the database says.
pub async fn set_on_hand(conn: &mut AsyncPgConnection, sku: &Sku, on_hand: i64) -> QueryResult<()> {
    diesel::update(stock_levels::table.find(sku.as_str())).set(stock_levels::on_hand.eq(on_hand)).execute(conn).await?;
    Ok(())
}

/// A SKU of which fewer pieces are available now than its mark, and were not before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FellLow {
    /// What.
    pub sku: Sku,
    /// How many are left.
    pub available: i64,
}

/// Moves the pieces of all `lines`, whose levels are locked, and enters into the ledger what changed on_hand. Tells what fell
/// below its mark by that, by SKU.
///
/// # Errors
/// What the database says. A line that can't move, which the decision under the same locks has excluded, fails the
/// transaction: the guard in the statement and the table's own check stand behind the decision.
pub async fn shift(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    shift: Shift,
    lines: &[StockLine],
) -> QueryResult<Vec<FellLow>> {
    let (on_hand, held) = shift.signs();
    let quantity = |sign: i64| lines.iter().map(|line| sign * i64::from(line.quantity)).collect::<Vec<_>>();
    let moves = Moves {
        skus: lines.iter().map(|line| line.sku.as_str()).collect(),
        on_hand: quantity(on_hand),
        held: quantity(held),
        kind: shift.movement(),
        order_id: order_id.0,
    };
    let moved = match moves.kind {
        Some(_) => Shifted::<true>(moves).load::<Moved>(conn).await?,
        None => Shifted::<false>(moves).load::<Moved>(conn).await?,
    };
    if moved.len() != lines.len() {
        let (moved, lines) = (moved.len(), lines.len());
        return Err(Error::QueryBuilderError(format!("{moved} of {lines} lines could move").into()));
    }
    let mut low: Vec<_> = moved.into_iter().filter(|(_, _, low)| *low).collect();
    low.sort_unstable();
    low.into_iter().map(|(sku, available, _)| Ok(FellLow { sku: parsed(&sku)?, available })).collect()
}

/// SKU, what is available of it now, and whether that has fallen below the mark.
type Moved = (String, i64, bool);

struct Moves<'a> {
    skus: Vec<&'a str>,
    on_hand: Vec<i64>,
    held: Vec<i64>,
    kind: Option<&'static str>,
    order_id: Uuid,
}

/// A statement of its own with a static id, because it runs twice or more an order and diesel caches no `update ...
/// from`. `LEDGER` says whether the movement is entered too.
struct Shifted<'a, const LEDGER: bool>(Moves<'a>);

impl<const LEDGER: bool> QueryId for Shifted<'_, LEDGER> {
    type QueryId = Shifted<'static, LEDGER>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<const LEDGER: bool> QueryFragment<Pg> for Shifted<'_, LEDGER> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let Moves { skus, on_hand, held, kind, order_id } = &self.0;
        out.push_sql(
            "with moved as (update stock_levels s set on_hand = s.on_hand + l.on_hand, held = s.held + l.held",
        );
        out.push_sql(" from unnest(");
        out.push_bind_param::<Array<Text>, _>(skus)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(on_hand)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(held)?;
        out.push_sql(") as l (sku, on_hand, held) join products p on p.sku = l.sku");
        out.push_sql(" where s.sku = l.sku and s.on_hand - s.held >= l.held - l.on_hand");
        out.push_sql(" returning s.sku, l.on_hand as moved, s.on_hand - s.held as available,");
        out.push_sql(" l.held - l.on_hand as taken, p.low_stock_mark as mark)");
        if LEDGER {
            out.push_sql(", entered as (insert into movements (sku, kind, quantity, order_id) select sku, ");
            out.push_bind_param::<Nullable<Text>, _>(kind)?;
            out.push_sql(", moved, ");
            out.push_bind_param::<SqlUuid, _>(order_id)?;
            out.push_sql(" from moved)");
        }
        out.push_sql(
            " select sku, available, coalesce(available < mark and available + taken >= mark, false) from moved",
        );
        Ok(())
    }
}

impl<const LEDGER: bool> Query for Shifted<'_, LEDGER> {
    type SqlType = (Text, BigInt, Bool);
}

impl<Conn, const LEDGER: bool> diesel::RunQueryDsl<Conn> for Shifted<'_, LEDGER> {}
