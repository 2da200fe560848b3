//! What products cost, as `products.v1` told it.

use std::collections::BTreeMap;

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use shared_events::{Money, ProductState, ProductStatus, Sku};

use super::rows::{failed, unreadable};
use crate::domain::Product;
use crate::schema::{catalogue_read, products};

type Row = (String, String, i64, String, String);

/// Keeps what was said of a SKU, unless something newer is known; says whether it was kept.
///
/// # Errors
/// The database's.
pub async fn keep_newest(conn: &mut AsyncPgConnection, sequence: i64, state: &ProductState) -> QueryResult<bool> {
    let newest = diesel::insert_into(products::table)
        .values((
            products::sku.eq(state.sku.as_str()),
            products::sequence.eq(sequence),
            products::name.eq(state.name.as_str()),
            products::price.eq(state.price.amount()),
            products::currency.eq(state.price.currency().code()),
            products::status.eq(status_name(state.status)),
        ))
        .on_conflict(products::sku)
        .do_update()
        .set((
            products::sequence.eq(excluded(products::sequence)),
            products::name.eq(excluded(products::name)),
            products::price.eq(excluded(products::price)),
            products::currency.eq(excluded(products::currency)),
            products::status.eq(excluded(products::status)),
        ));
    let newer = products::sequence.lt(excluded(products::sequence));
    Ok(diesel::query_dsl::methods::FilterDsl::filter(newest, newer).execute(conn).await? == 1)
}

/// Those of these products that were ever listed.
///
/// # Errors
/// The database's.
pub async fn find(conn: &mut AsyncPgConnection, skus: &[&str]) -> QueryResult<BTreeMap<Sku, Product>> {
    let columns = (products::sku, products::name, products::price, products::currency, products::status);
    let query = products::table.filter(products::sku.eq_any(skus)).select(columns);
    query.load::<Row>(conn).await?.into_iter().map(product).collect()
}

/// Whether `products.v1` was ever read to an end, by this process or one before it.
///
/// # Errors
/// The database's.
pub async fn were_read(conn: &mut AsyncPgConnection) -> QueryResult<bool> {
    diesel::select(exists(catalogue_read::table.select(catalogue_read::once))).get_result(conn).await
}

/// Notes that `products.v1` was read to an end.
///
/// # Errors
/// The database's.
pub async fn note_read(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    let note = diesel::insert_into(catalogue_read::table).values(catalogue_read::once.eq(true));
    note.on_conflict_do_nothing().execute(conn).await.map(drop)
}

fn product((sku, name, price, currency, status): Row) -> QueryResult<(Sku, Product)> {
    let price = Money::new(price, currency.parse().map_err(failed)?).map_err(failed)?;
    let status = [ProductStatus::Active, ProductStatus::Withdrawn]
        .into_iter()
        .find(|known| status_name(*known) == status)
        .ok_or_else(|| unreadable(&status))?;
    let product = Product { name: name.parse().map_err(failed)?, price, status };
    Ok((sku.parse().map_err(failed)?, product))
}

const fn status_name(status: ProductStatus) -> &'static str {
    match status {
        ProductStatus::Active => "active",
        ProductStatus::Withdrawn => "withdrawn",
    }
}
