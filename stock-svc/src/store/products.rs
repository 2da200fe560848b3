//! The catalogue. A product's row is the root of its events on `products.v1`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Bool, Jsonb, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::Value;
use service_kit::prepared;
use shared_events::{Money, ProductStatus, SequenceCounter, Sku, Topic};
use uuid::Uuid;

use super::loaded::Loaded;
use super::{parsed, to_json, unreadable};
use crate::domain::{Description, Details, Level, LowStockMark, Product};
use crate::schema::{categories, products, stock_levels};

/// The locked row of one product.
#[derive(Clone, Debug)]
pub struct Root {
    pub product: Product,
    /// Counts the changes of its details.
    pub version: i64,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) said: i64,
}

impl SequenceCounter for Root {
    fn next_sequence(&mut self, _: Topic) -> i64 {
        self.said += 1;
        self.said
    }
}

/// A product for answers.
#[derive(Clone, Debug)]
pub struct Listed {
    pub product: Product,
    pub level: Level,
    pub created_at: DateTime<Utc>,
    /// When its details last changed.
    pub updated_at: DateTime<Utc>,
    /// Counts the changes of its details; changes of its stock don't count.
    pub version: i64,
}

#[derive(Queryable, Selectable, Serialize)]
#[diesel(table_name = products)]
struct Row {
    sku: String,
    name: String,
    brand: Option<String>,
    description: String,
    category_id: Option<Uuid>,
    price_amount: i64,
    price_currency: String,
    status: String,
    products_said: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    low_stock_mark: Option<i64>,
    version: i64,
}

/// Adds a product with its initial stock; none if its SKU is taken.
pub async fn insert(conn: &mut AsyncPgConnection, product: Product, on_hand: i64) -> QueryResult<Option<Loaded>> {
    let Details { name, brand, description, category, price, low_stock_mark } = &product.details;
    let added: Option<DateTime<Utc>> = diesel::insert_into(products::table)
        .values((
            products::sku.eq(product.sku.as_str()),
            products::name.eq(name.as_str()),
            products::brand.eq(brand.as_ref().map(|brand| brand.as_str())),
            products::description.eq(String::from(description.clone())),
            products::category_id.eq(category.as_ref().map(|(id, _)| *id)),
            products::price_amount.eq(price.amount()),
            products::price_currency.eq(price.currency().code()),
            products::low_stock_mark.eq(low_stock_mark.map(LowStockMark::get)),
        ))
        .on_conflict_do_nothing()
        .returning(products::created_at)
        .get_result(conn)
        .await
        .optional()?;
    let Some(now) = added else { return Ok(None) };
    diesel::insert_into(stock_levels::table)
        .values((stock_levels::sku.eq(product.sku.as_str()), stock_levels::on_hand.eq(on_hand)))
        .execute(conn)
        .await?;
    let mut loaded = Loaded::new(now);
    loaded.list(Root { product, version: 0, updated_at: now, said: 0 }, on_hand);
    Ok(Some(loaded))
}

/// Which product rows to lock together with the levels of their SKUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Only those with a mark: moving stock can cause an event for these only.
    Watched,
}

/// Locks and reads products in the order of their SKUs. Their levels must be locked before.
pub(super) async fn lock(mut conn: &AsyncPgConnection, skus: &[&str], which: Which) -> QueryResult<Vec<Root>> {
    let rows: Vec<Row> = products::table
        .filter(products::sku.eq_any(skus))
        .filter(products::low_stock_mark.is_not_null().or((which == Which::All).into_sql::<Bool>()))
        .select(Row::as_select())
        .order(products::sku)
        .for_update()
        .load(&mut conn)
        .await?;
    let categories: Vec<Uuid> = rows.iter().filter_map(|row| row.category_id).collect();
    let names = match categories.is_empty() {
        true => HashMap::new(),
        false => super::categories::names(conn, &categories).await?,
    };
    let root = |row: Row| {
        let (said, version, updated_at) = (row.products_said, row.version, row.updated_at);
        let category = row.category_id.and_then(|id| Some((id, names.get(&id)?.clone())));
        Ok(Root { product: read(row, category)?, version, updated_at, said })
    };
    rows.into_iter().map(root).collect()
}

pub async fn skus_after(conn: &mut AsyncPgConnection, after: Option<&Sku>, limit: i64) -> QueryResult<Vec<Sku>> {
    let skus: Vec<String> = products::table
        .filter(products::sku.gt(after.map_or("", Sku::as_str)))
        .select(products::sku)
        .order(products::sku)
        .limit(limit)
        .load(conn)
        .await?;
    skus.iter().map(|sku| parsed(sku)).collect()
}

/// Writes the products that have changed or have published an event.
pub(super) async fn save(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let changed = loaded.changed.products.iter().filter_map(|sku| loaded.products.get(sku));
    let rows: Vec<_> = changed.map(row).collect();
    if !rows.is_empty() {
        Save { rows: &to_json(&rows)? }.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    struct Save<'a> { rows: &'a Value as Jsonb };
    "update products set name = new.name, brand = new.brand, description = new.description, \
         category_id = new.category_id, price_amount = new.price_amount, price_currency = new.price_currency, \
         status = new.status, low_stock_mark = new.low_stock_mark, products_said = new.products_said, \
         updated_at = new.updated_at, version = new.version \
     from jsonb_populate_recordset(null::products, ?) as new where products.sku = new.sku"
}

fn row(root: &Root) -> Row {
    let Product { sku, details, status } = &root.product;
    Row {
        sku: sku.to_string(),
        name: details.name.to_string(),
        brand: details.brand.as_ref().map(ToString::to_string),
        description: details.description.clone().into(),
        category_id: details.category.as_ref().map(|(id, _)| *id),
        price_amount: details.price.amount(),
        price_currency: details.price.currency().code().to_owned(),
        status: status_name(*status).to_owned(),
        products_said: root.said,
        // The update doesn't write this column.
        created_at: root.updated_at,
        updated_at: root.updated_at,
        low_stock_mark: details.low_stock_mark.map(LowStockMark::get),
        version: root.version,
    }
}

/// The number of products, including withdrawn ones.
pub async fn count(conn: &mut AsyncPgConnection) -> QueryResult<u64> {
    let count: i64 = products::table.count().get_result(conn).await?;
    Ok(count.unsigned_abs())
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProductFilter {
    pub category: Option<Uuid>,
    /// Each of these words must be in the SKU or the name, in upper or lower case.
    pub text: Option<String>,
    pub after: Option<Sku>,
}

type Joined = (Row, Option<String>, (i64, i64));

/// One product. Fails with `NotFound` if it isn't listed.
pub async fn get(conn: &mut AsyncPgConnection, sku: &Sku) -> QueryResult<Listed> {
    let joined: Joined = products::table
        .inner_join(stock_levels::table)
        .left_join(categories::table)
        .filter(products::sku.eq(sku.as_str()))
        .select((Row::as_select(), categories::name.nullable(), (stock_levels::on_hand, stock_levels::held)))
        .first(conn)
        .await?;
    listed(joined)
}

/// Up to `limit` products, newest first, including withdrawn ones. Those with the same time are sorted by SKU,
/// descending. The list is empty if `after` isn't listed.
pub async fn list(conn: &mut AsyncPgConnection, wanted: ProductFilter, limit: i64) -> QueryResult<Vec<Listed>> {
    let mut query = products::table
        .inner_join(stock_levels::table)
        .left_join(categories::table)
        .select((Row::as_select(), categories::name.nullable(), (stock_levels::on_hand, stock_levels::held)))
        .order((products::created_at.desc(), products::sku.desc()))
        .limit(limit)
        .into_boxed();
    if let Some(category) = wanted.category {
        query = query.filter(products::category_id.eq(category));
    }
    // Each word must occur, in any order.
    for word in wanted.text.iter().flat_map(|text| text.split_whitespace()) {
        let pattern = format!("%{}%", word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        query = query.filter(products::name.ilike(pattern.clone()).or(products::sku.ilike(pattern)));
    }
    if let Some(after) = wanted.after {
        query = query.filter(ListedBefore(after));
    }
    let rows: Vec<Joined> = query.load(conn).await?;
    rows.into_iter().map(listed).collect()
}

/// Whether a product was listed before the one with this SKU; null if there is none. A comparison of rows is a range of the index,
/// which an `or` would not be. diesel's `sql` can write it too, but makes PostgreSQL parse the whole statement each time.
#[derive(ValidGrouping)]
struct ListedBefore(Sku);

impl Expression for ListedBefore {
    type SqlType = Nullable<Bool>;
}

impl<From> AppearsOnTable<From> for ListedBefore {}

impl<From> SelectableExpression<From> for ListedBefore {}

impl QueryId for ListedBefore {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Pg> for ListedBefore {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "(products.created_at, products.sku) < (select last.created_at, last.sku from products last where last.sku = ",
        );
        out.push_bind_param::<Text, str>(self.0.as_str())?;
        out.push_sql(")");
        Ok(())
    }
}

fn listed((row, category, (on_hand, held)): Joined) -> QueryResult<Listed> {
    let category = match (row.category_id, category) {
        (Some(id), Some(name)) => Some((id, parsed(&name)?)),
        _ => None,
    };
    let (created_at, updated_at, version) = (row.created_at, row.updated_at, row.version);
    Ok(Listed { product: read(row, category)?, level: Level { on_hand, held }, created_at, updated_at, version })
}

fn read(row: Row, category: Option<(Uuid, shared_events::LineText)>) -> QueryResult<Product> {
    let price = Money::new(row.price_amount, parsed(&row.price_currency)?).map_err(|e| unreadable(e.to_string()))?;
    let status = match row.status.as_str() {
        "active" => ProductStatus::Active,
        "withdrawn" => ProductStatus::Withdrawn,
        other => return Err(unreadable(format!("a product that is {other:?}"))),
    };
    let brand = row.brand.as_deref().map(parsed).transpose()?;
    let description = Description::try_from(row.description).map_err(|e| unreadable(e.to_string()))?;
    let mark = row.low_stock_mark.map(LowStockMark::try_from).transpose().map_err(|e| unreadable(e.to_string()))?;
    let details = Details { name: parsed(&row.name)?, brand, description, category, price, low_stock_mark: mark };
    Ok(Product { sku: parsed(&row.sku)?, details, status })
}

/// The name in the table and in answers.
pub const fn status_name(status: ProductStatus) -> &'static str {
    match status {
        ProductStatus::Active => "active",
        ProductStatus::Withdrawn => "withdrawn",
    }
}
