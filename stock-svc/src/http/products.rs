use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Deserialize;
use service_kit::http::{EmptyBody, Json, Page, Paged, Path, Problem, Query};
use shared_events::{LineText, Sku};
use uuid::Uuid;

use super::views::{MovementView, ProductView};
use super::{AppState, found};
use crate::commands::{self, NewDetails};
use crate::domain::{Delta, Description, LowStockMark, OnHand, Price};
use crate::store;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/products").post(add).get(list))
        .service(web::resource("/products/{sku}").get(get).put(change).delete(withdraw))
        .service(web::resource("/products/{sku}/adjustments").post(adjust))
        .service(web::resource("/products/{sku}/movements").get(moved));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductRequest {
    sku: Sku,
    name: LineText,
    brand: Option<LineText>,
    description: Description,
    category: Option<Uuid>,
    price: Price,
    low_stock_mark: Option<LowStockMark>,
    on_hand: OnHand,
}

async fn add(state: Data<AppState>, body: Json<ProductRequest>) -> Result<HttpResponse, Problem> {
    let ProductRequest { sku, name, brand, description, category, price, low_stock_mark, on_hand } = body.into_inner();
    let details = NewDetails { name, brand, description, category, price, low_stock_mark };
    let product = commands::add_product(&state.pool, sku, details, on_hand).await?;
    state.nudge.nudge();
    let location = format!("/api/v1/products/{}", product.product.sku);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(ProductView::from(product)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DetailsRequest {
    name: LineText,
    brand: Option<LineText>,
    description: Description,
    category: Option<Uuid>,
    price: Price,
    low_stock_mark: Option<LowStockMark>,
}

async fn change(state: Data<AppState>, sku: Path<Sku>, body: Json<DetailsRequest>) -> Result<HttpResponse, Problem> {
    let DetailsRequest { name, brand, description, category, price, low_stock_mark } = body.into_inner();
    let details = NewDetails { name, brand, description, category, price, low_stock_mark };
    let product = commands::change_product(&state.pool, &sku.0, details).await?;
    state.nudge.nudge();
    Ok(HttpResponse::Ok().json(ProductView::from(product)))
}

async fn withdraw(state: Data<AppState>, sku: Path<Sku>, _: EmptyBody) -> Result<HttpResponse, Problem> {
    commands::withdraw_product(&state.pool, &sku.0).await?;
    state.nudge.nudge();
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdjustmentRequest {
    delta: Delta,
    reason: LineText,
}

async fn adjust(state: Data<AppState>, sku: Path<Sku>, body: Json<AdjustmentRequest>) -> Result<HttpResponse, Problem> {
    let AdjustmentRequest { delta, reason } = body.into_inner();
    let product = commands::adjust_stock(&state.pool, &sku.0, delta, &reason).await?;
    state.nudge.nudge();
    Ok(HttpResponse::Ok().json(ProductView::from(product)))
}

async fn moved(state: Data<AppState>, sku: Path<Sku>, page: Query<Page>) -> Result<HttpResponse, Problem> {
    let (limit, after) = (page.0.limit()?, page.0.cursor::<i64>()?.unwrap_or(0));
    let mut conn = state.pool.get().await?;
    found(store::products::get(&mut conn, &sku.0).await, "product")?;
    let rows = store::movements::list(&mut conn, &sku.0, after, limit + 1).await?;
    let page = Paged::from_rows(rows, limit, |movement| movement.id.to_string());
    Ok(HttpResponse::Ok().json(page.map(MovementView::from)))
}

async fn get(state: Data<AppState>, sku: Path<Sku>) -> Result<HttpResponse, Problem> {
    let mut conn = state.pool.get().await?;
    let product = found(store::products::get(&mut conn, &sku.0).await, "product")?;
    Ok(HttpResponse::Ok().json(ProductView::from(product)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    category: Option<Uuid>,
    q: Option<LineText>,
    limit: Option<String>,
    cursor: Option<String>,
}

async fn list(state: Data<AppState>, query: Query<Wanted>) -> Result<HttpResponse, Problem> {
    let Wanted { category, q, limit, cursor } = query.0;
    let page = Page { limit, cursor };
    let limit = page.limit()?;
    let wanted = store::products::Wanted { category, text: q.map(String::from), after: page.cursor()? };
    let mut conn = state.pool.get().await?;
    let rows = store::products::list(&mut conn, wanted, limit + 1).await?;
    let page = Paged::from_rows(rows, limit, |listed| listed.product.sku.to_string());
    Ok(HttpResponse::Ok().json(page.map(ProductView::from)))
}
