//! Stock levels. They are always locked in the order of their SKUs, after the roots of the orders that move them.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::prepared;

use super::loaded::Loaded;
use super::parsed;
use crate::domain::{Level, Levels};
use crate::schema::stock_levels;

/// Locks and reads the levels of `skus`, in sorted order. A SKU that was never listed has none.
pub async fn lock(mut conn: &AsyncPgConnection, skus: &[&str]) -> QueryResult<Levels> {
    let rows: Vec<(String, i64, i64)> = stock_levels::table
        .filter(stock_levels::sku.eq_any(skus))
        .order(stock_levels::sku)
        .for_update()
        .load(&mut conn)
        .await?;
    rows.into_iter().map(|(sku, on_hand, held)| Ok((parsed(&sku)?, Level { on_hand, held }))).collect()
}

/// Writes the changed levels. A check constraint of the table backs up the decisions.
pub(super) async fn save(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let mut rows = Save::default();
    for sku in &loaded.changed.levels {
        let level = loaded.levels.get(sku).unwrap_or_default();
        rows.skus.push(sku.as_str());
        rows.on_hand.push(level.on_hand);
        rows.held.push(level.held);
    }
    if !rows.skus.is_empty() {
        rows.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    #[derive(Default)]
    struct Save<'a> {
        skus: Vec<&'a str> as Array<Text>,
        on_hand: Vec<i64> as Array<BigInt>,
        held: Vec<i64> as Array<BigInt>,
    };
    "update stock_levels set on_hand = new.on_hand, held = new.held \
     from unnest(?, ?, ?) as new (sku, on_hand, held) where stock_levels.sku = new.sku"
}
