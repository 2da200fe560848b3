use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::Pool;
use shared_events::{LineText, Money, Sku};
use uuid::Uuid;

use super::{CommandError, Expected, found};
use crate::domain::{Description, Details, LowStockMark, Price};
use crate::store::{self, categories, products};

/// The details of a product as they are requested, with the category by its id.
#[derive(Clone, Debug)]
pub struct NewDetails {
    pub name: LineText,
    /// The manufacturer.
    pub brand: Option<LineText>,
    pub description: Description,
    pub category: Option<Uuid>,
    /// The price of one piece.
    pub price: Price,
    /// The number of available pieces below which the stock is low.
    pub low_stock_mark: Option<LowStockMark>,
}

impl NewDetails {
    pub(super) async fn with_category(self, conn: &mut AsyncPgConnection) -> Result<Details, CommandError> {
        let NewDetails { name, brand, description, category, price, low_stock_mark } = self;
        let category = match category {
            Some(id) => Some((id, category_name(conn, id).await?)),
            None => None,
        };
        let price: Money = price.into();
        Ok(Details { name, brand, description, category, price, low_stock_mark })
    }
}

async fn category_name(conn: &mut AsyncPgConnection, id: Uuid) -> Result<LineText, CommandError> {
    categories::name(conn, id).await?.ok_or(CommandError::UnknownCategory(id))
}

/// Replaces the details of a product. What others need to know is announced; so is stock that is below a new mark.
/// Fails if the product isn't listed, was withdrawn or is not in an expected version, or if its category doesn't exist.
pub async fn change_product(
    pool: &Pool,
    sku: &Sku,
    expected: &Expected,
    details: NewDetails,
) -> Result<products::Listed, CommandError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let mut loaded = store::load_products(conn, [sku.clone()]).await?;
        let (root, level) = found(loaded.product(sku), "product")?;
        expected.met_by(root.version)?;
        let details = details.with_category(conn).await?;
        let was_low = root.product.is_low(level.available());
        let (product, event) = root.product.clone().change(details)?;
        let low = product.stock_low(level.available()).filter(|_| !was_low);
        let events: Vec<_> = event.into_iter().chain(low).collect();
        loaded.keep_product(product, &events)?;
        store::save(conn, loaded).await?;
        Ok(products::get(conn, sku).await?)
    })
    .await
}
