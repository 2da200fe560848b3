//! What products cost, as `products.v1` last said.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::prepared;
use shared_events::{Money, ProductStatus, Sku};

use super::loaded::Loaded;
use super::rows::{failed, unreadable};
use crate::domain::Product;
use crate::schema::{catalogue_read, products};

type Row = (String, String, i64, String, String);

pub(super) async fn sequences(mut conn: &AsyncPgConnection, skus: &[&str]) -> QueryResult<BTreeMap<Sku, i64>> {
    if skus.is_empty() {
        return Ok(BTreeMap::new());
    }
    let known: Vec<(String, i64)> = products::table
        .filter(products::sku.eq_any(skus))
        .select((products::sku, products::sequence))
        .load(&mut conn)
        .await?;
    known.into_iter().map(|(sku, sequence)| Ok((sku.parse().map_err(failed)?, sequence))).collect()
}

/// Writes new states of products, unless newer ones have been written meanwhile.
pub(super) async fn save(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let mut rows = Save::default();
    for (sku, state) in &loaded.products {
        rows.skus.push(sku.as_str());
        rows.sequences.push(loaded.sequences.get(sku).copied().unwrap_or_default());
        rows.names.push(state.name.as_str());
        rows.prices.push(state.price.amount());
        rows.currencies.push(state.price.currency().code());
        rows.statuses.push(status_name(state.status));
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
        sequences: Vec<i64> as Array<BigInt>,
        names: Vec<&'a str> as Array<Text>,
        prices: Vec<i64> as Array<BigInt>,
        currencies: Vec<&'a str> as Array<Text>,
        statuses: Vec<&'a str> as Array<Text>,
    };
    "insert into products as known (sku, sequence, name, price, currency, status) select * from unnest(?, ?, ?, ?, ?, ?) \
     on conflict (sku) do update set sequence = excluded.sequence, name = excluded.name, price = excluded.price, \
         currency = excluded.currency, status = excluded.status where known.sequence < excluded.sequence"
}

/// Products and the database's time. Timers use that clock too, so a host's wrong clock times nothing out.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// Those asked for that were ever listed.
    pub products: BTreeMap<Sku, Product>,
    /// The transaction's time; unset if no product was found, since then nothing is decided.
    pub now: DateTime<Utc>,
}

pub async fn find(mut conn: &AsyncPgConnection, skus: &[&str]) -> QueryResult<Catalogue> {
    let columns = (products::sku, products::name, products::price, products::currency, products::status);
    let query = products::table
        .filter(products::sku.eq_any(skus))
        .select((columns, diesel::dsl::now.into_sql::<Timestamptz>()));
    let mut catalogue = Catalogue::default();
    for (row, now) in query.load::<(Row, DateTime<Utc>)>(&mut conn).await? {
        let (sku, product) = product(row)?;
        catalogue.products.insert(sku, product);
        catalogue.now = now;
    }
    Ok(catalogue)
}

/// Whether `products.v1` was ever read to an end, by this process or one before it.
pub async fn were_read(conn: &mut AsyncPgConnection) -> QueryResult<bool> {
    diesel::select(exists(catalogue_read::table.select(catalogue_read::once))).get_result(conn).await
}

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
