//! The catalogue. A product's row is the root of its SKU on `products.v1`.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use outbox_relay::AppendError;
use shared_events::{Counts, Event, EventId, Money, ProductStatus, Sku, Topic};
use uuid::Uuid;

use super::{parsed, unreadable};
use crate::domain::{Description, Details, Level, LowStockMark, Product};
use crate::outbox;
use crate::schema::{categories, products, stock_levels};

/// The locked row of one SKU.
#[derive(Clone, Debug)]
pub struct Root {
    /// As it is.
    pub product: Product,
    /// The time of this transaction by the database's clock.
    pub now: DateTime<Utc>,
    /// Counts the changes of what is said of it.
    pub version: i64,
    said: i64,
}

impl Counts for Root {
    fn next_sequence(&mut self, _: Topic) -> i64 {
        self.said += 1;
        self.said
    }
}

/// A product as it is shown.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What the catalogue says.
    pub product: Product,
    /// How many there are.
    pub level: Level,
    /// When it was listed.
    pub created_at: DateTime<Utc>,
    /// When the catalogue last changed what it says of it.
    pub updated_at: DateTime<Utc>,
    /// Counts the changes of what is said of it; not those of its stock.
    pub version: i64,
}

#[derive(Queryable, Selectable)]
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

/// Adds a product with what is on hand of it; nothing when its SKU is taken.
///
/// # Errors
/// What the database says.
pub async fn insert(conn: &mut AsyncPgConnection, product: Product, on_hand: i64) -> QueryResult<Option<Root>> {
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
    Ok(Some(Root { product, now, version: 0, said: 0 }))
}

/// Locks a product's row.
///
/// # Errors
/// What the database says; `NotFound` when it isn't listed.
pub async fn lock(conn: &mut AsyncPgConnection, sku: &Sku) -> QueryResult<Root> {
    let (row, now): (Row, DateTime<Utc>) = products::table
        .find(sku.as_str())
        .select((Row::as_select(), diesel::dsl::now.into_sql::<Timestamptz>()))
        .for_update()
        .first(conn)
        .await?;
    let category = match row.category_id {
        Some(id) => super::categories::name(conn, id).await?.map(|name| (id, name)),
        None => None,
    };
    let (said, version) = (row.products_said, row.version);
    Ok(Root { product: read(row, category)?, now, version, said })
}

/// Keeps a changed product and its counter, and appends what is to be said, in this order.
///
/// # Errors
/// What the database says.
pub async fn keep_and_announce(
    conn: &mut AsyncPgConnection,
    mut root: Root,
    product: Product,
    events: &[Event],
) -> Result<(), AppendError> {
    root.product = product;
    let at = root.now;
    let rows = outbox::rows(&mut root, at, events, None)?;
    let Product { sku, details, status } = &root.product;
    diesel::update(products::table.find(sku.as_str()))
        .set((
            products::name.eq(details.name.as_str()),
            products::brand.eq(details.brand.as_ref().map(|brand| brand.as_str())),
            products::description.eq(String::from(details.description.clone())),
            products::category_id.eq(details.category.as_ref().map(|(id, _)| *id)),
            products::price_amount.eq(details.price.amount()),
            products::price_currency.eq(details.price.currency().code()),
            products::status.eq(status_name(*status)),
            products::low_stock_mark.eq(details.low_stock_mark.map(LowStockMark::get)),
            products::products_said.eq(root.said),
            products::updated_at.eq(at),
            products::version.eq(root.version + 1),
        ))
        .execute(conn)
        .await?;
    outbox_relay::append_all(conn, rows).await
}

/// Announces that so few pieces of a SKU are left, whose level is locked: levels come before products.
///
/// # Errors
/// What the database says.
pub async fn announce_low(
    conn: &mut AsyncPgConnection,
    sku: &Sku,
    available: i64,
    because_of: Option<EventId>,
) -> Result<(), AppendError> {
    let mut root = lock(conn, sku).await?;
    let Some(event) = root.product.stock_low(available) else { return Ok(()) };
    let at = root.now;
    let rows = outbox::rows(&mut root, at, &[event], because_of)?;
    let said = products::products_said.eq(root.said);
    diesel::update(products::table.find(sku.as_str())).set(said).execute(conn).await?;
    outbox_relay::append_all(conn, rows).await
}

/// Locks the levels and then the rows of at most `limit` products after a SKU, in the order of SKUs: whoever moves pieces
/// and says that few are left locks them in that order too.
///
/// # Errors
/// What the database says.
pub async fn lock_after(conn: &mut AsyncPgConnection, after: Option<&Sku>, limit: i64) -> QueryResult<Vec<Root>> {
    let skus: Vec<String> = stock_levels::table
        .filter(stock_levels::sku.gt(after.map_or("", Sku::as_str)))
        .select(stock_levels::sku)
        .order(stock_levels::sku)
        .limit(limit)
        .for_update()
        .load(conn)
        .await?;
    let rows: Vec<(Row, DateTime<Utc>)> = products::table
        .filter(products::sku.eq_any(skus))
        .select((Row::as_select(), diesel::dsl::now.into_sql::<Timestamptz>()))
        .order(products::sku)
        .for_update()
        .load(conn)
        .await?;
    let ids: Vec<Uuid> = rows.iter().filter_map(|(row, _)| row.category_id).collect();
    let names = super::categories::names(conn, &ids).await?;
    let root = |(row, now): (Row, DateTime<Utc>)| {
        let (said, version) = (row.products_said, row.version);
        let category = row.category_id.and_then(|id| Some((id, names.get(&id)?.clone())));
        Ok(Root { product: read(row, category)?, now, version, said })
    };
    rows.into_iter().map(root).collect()
}

/// Counts up what was said of these products, and announces each as it is.
///
/// # Errors
/// What the database says.
pub async fn announce_again(conn: &mut AsyncPgConnection, roots: Vec<Root>) -> Result<(), AppendError> {
    let (mut rows, mut skus) = (Vec::with_capacity(roots.len()), Vec::with_capacity(roots.len()));
    for mut root in roots {
        let (at, event) = (root.now, root.product.as_it_is());
        rows.extend(outbox::rows(&mut root, at, &[event], None)?);
        skus.push(String::from(root.product.sku));
    }
    diesel::update(products::table.filter(products::sku.eq_any(skus)))
        .set(products::products_said.eq(products::products_said + 1))
        .execute(conn)
        .await?;
    outbox_relay::append_all(conn, rows).await
}

/// How many products there are, withdrawn ones included.
///
/// # Errors
/// What the database says.
pub async fn count(conn: &mut AsyncPgConnection) -> QueryResult<u64> {
    let count: i64 = products::table.count().get_result(conn).await?;
    Ok(count.unsigned_abs())
}

/// What a list is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// In this category.
    pub category: Option<Uuid>,
    /// With each of these words in SKU or name, in small or capital letters.
    pub text: Option<String>,
    /// After the product of this SKU.
    pub after: Option<Sku>,
}

type Joined = (Row, Option<String>, (i64, i64));

/// One product.
///
/// # Errors
/// What the database says; `NotFound` when it isn't listed.
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

/// At most `limit` products, the newest first, withdrawn ones included; those of one moment by SKU, downwards. None after a
/// product that isn't listed.
///
/// # Errors
/// What the database says.
pub async fn list(conn: &mut AsyncPgConnection, wanted: Wanted, limit: i64) -> QueryResult<Vec<Listed>> {
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
    // each word must be there, in any order
    for word in wanted.text.iter().flat_map(|text| text.split_whitespace()) {
        let pattern = format!("%{}%", word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        query = query.filter(products::name.ilike(pattern.clone()).or(products::sku.ilike(pattern)));
    }
    if let Some(after) = wanted.after {
        let row = products::table.find(after.as_str()).select(products::created_at);
        let Some(at) = row.first::<DateTime<Utc>>(conn).await.optional()? else { return Ok(Vec::new()) };
        // a comparison of rows, which is a range of the index, as an `or` is not
        let older = sql::<Bool>("(products.created_at, products.sku) < (").bind::<Timestamptz, _>(at);
        query = query.filter(older.sql(", ").bind::<Text, _>(String::from(after)).sql(")"));
    }
    let rows: Vec<Joined> = query.load(conn).await?;
    rows.into_iter().map(listed).collect()
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

/// As it stands in the table and in answers.
pub const fn status_name(status: ProductStatus) -> &'static str {
    match status {
        ProductStatus::Active => "active",
        ProductStatus::Withdrawn => "withdrawn",
    }
}
