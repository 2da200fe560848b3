use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::Deserialize;
use serde_json::json;
use service_kit::http::openapi::{Key, Nothing};
use service_kit::http::{
    Cursor, EmptyBody, IdempotencyKey, Json, Limit, MergePatch, Page, Paged, Path, Problem, Query, etag,
};
use service_kit::versions::Expected;
use shared_events::{LineText, Sku};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use super::views::{MovementView, ProductView};
use super::{AppState, FOR_ALL, examples, found};
use crate::commands::{self, AdjustStock, NewDetails};
use crate::domain::{Delta, Description, Details, LowStockMark, OnHand, Price};
use crate::store::{self, products::Listed};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/products").post(add).get(list))
        .service(web::resource("/products/{sku}").get(get).put(change).patch(patch).delete(withdraw))
        .service(web::resource("/products/{sku}/relist").post(relist))
        .service(web::resource("/products/{sku}/adjustments").post(adjust))
        .service(web::resource("/products/{sku}/movements").get(moved));
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "sku": "TEA-SENCHA-100", "name": "Sencha, 100 g", "brand": "Quay Street", "description": "Steamed green tea.",
    "category": null, "price": {"amount": 1099, "currency": "EUR"}, "low_stock_mark": 10, "on_hand": 40
}))]
pub(super) struct ProductRequest {
    sku: Sku,
    name: LineText,
    brand: Option<LineText>,
    description: Description,
    category: Option<Uuid>,
    price: Price,
    low_stock_mark: Option<LowStockMark>,
    on_hand: OnHand,
}

/// Lists a product
#[utoipa::path(
    post, path = "/api/v1/products", tag = "products", operation_id = "add_product",
    request_body = ProductRequest,
    responses(
        (status = 201, description = "It is listed.", body = ProductView,
            headers(("Location" = String, description = "The address of the new resource.")), example = json!(examples::listed())),
        (status = 409, description = "The SKU is taken.")
    )
)]
pub(super) async fn add(state: Data<AppState>, body: Json<ProductRequest>) -> Result<HttpResponse, Problem> {
    let ProductRequest { sku, name, brand, description, category, price, low_stock_mark, on_hand } = body.into_inner();
    let details = NewDetails { name, brand, description, category, price, low_stock_mark };
    let product = commands::add_product(&state.pool, sku, details, on_hand).await?;
    state.nudge.nudge();
    let location = format!("/api/v1/products/{}", product.product.sku);
    Ok(shown(HttpResponse::Created().insert_header((LOCATION, location)), product))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Earl Grey, 250 g", "brand": "Quay Street", "description": "Black tea with oil of bergamot.",
    "category": null, "price": {"amount": 1299, "currency": "EUR"}, "low_stock_mark": 10
}))]
pub(super) struct DetailsRequest {
    name: LineText,
    brand: Option<LineText>,
    description: Description,
    category: Option<Uuid>,
    price: Price,
    low_stock_mark: Option<LowStockMark>,
}

/// Changes a product's details, including its price
#[utoipa::path(
    put, path = "/api/v1/products/{sku}", tag = "products", operation_id = "change_product",
    params(("sku" = inline(Sku), Path, description = "The product."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is to be changed.", example = "\"1\"")),
    request_body = DetailsRequest,
    responses(
        (status = 200, description = "The product as it is now.", body = ProductView),
        (status = 409, description = "The product was withdrawn and can't be changed."),
        (status = 412, description = "It has changed meanwhile.")
    )
)]
pub(super) async fn change(
    state: Data<AppState>,
    http: HttpRequest,
    sku: Path<Sku>,
    body: Json<DetailsRequest>,
) -> Result<HttpResponse, Problem> {
    let expected = Expected::of(&http)?.unwrap_or(Expected::Any);
    let product = commands::change_product(&state.pool, &sku.0, &expected, body.into_inner().into()).await?;
    state.nudge.nudge();
    Ok(shown(&mut HttpResponse::Ok(), product))
}

impl From<DetailsRequest> for NewDetails {
    fn from(request: DetailsRequest) -> Self {
        let DetailsRequest { name, brand, description, category, price, low_stock_mark } = request;
        Self { name, brand, description, category, price, low_stock_mark }
    }
}

/// Answers with a product and its version, which `If-Match` takes.
fn shown(answer: &mut HttpResponseBuilder, product: Listed) -> HttpResponse {
    answer.insert_header(etag(product.version)).json(ProductView::from(product))
}

/// The fields of a product to change, for the OpenAPI document.
#[derive(ToSchema)]
#[schema(example = json!({"price": {"amount": 1399, "currency": "EUR"}, "brand": null}))]
#[expect(dead_code, reason = "only what the document says of it is used")]
pub(super) struct ProductPatch {
    #[schema(nullable = false)]
    name: Option<LineText>,
    brand: Option<LineText>,
    #[schema(nullable = false)]
    description: Option<Description>,
    category: Option<Uuid>,
    #[schema(nullable = false)]
    price: Option<PricePatch>,
    low_stock_mark: Option<LowStockMark>,
}

/// A price of which a part is changed, as a merge patch merges what is inside of it, too.
struct PricePatch;

impl PartialSchema for PricePatch {
    fn schema() -> RefOr<Schema> {
        let mut price = Price::schema();
        if let RefOr::T(Schema::Object(price)) = &mut price {
            price.required.clear();
        }
        price
    }
}

impl ToSchema for PricePatch {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Price::schemas(schemas);
    }
}

/// Changes a part of a product's details
///
/// A JSON merge patch (RFC 7396): fields that are left out stay, and `null` removes a field. `If-Match` names the
/// version to change: the `ETag` of an answer that shows the product. Moving stock makes no new version.
#[utoipa::path(
    patch, path = "/api/v1/products/{sku}", tag = "products", operation_id = "patch_product",
    params(("sku" = inline(Sku), Path, description = "The product."),
        ("If-Match" = String, Header, description = "The `ETag` of the version that is to be changed.", example = "\"1\"")),
    request_body(content = ProductPatch, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "The product as it is now.", body = ProductView,
            headers(("ETag" = String, description = "Its version."))),
        (status = 409, description = "The product was withdrawn and can't be changed."),
        (status = 412, description = "It has changed meanwhile."),
        (status = 428, description = "`If-Match` is missing.")
    )
)]
pub(super) async fn patch(
    state: Data<AppState>,
    http: HttpRequest,
    sku: Path<Sku>,
    body: MergePatch,
) -> Result<HttpResponse, Problem> {
    let seen = Expected::of(&http)?.ok_or_else(|| {
        Problem::precondition_required("If-Match is missing; expected the ETag of the version that is to be changed.")
    })?;
    let Listed { product, version, .. } = {
        let mut conn = state.pool.get().await?;
        found(store::products::get(&mut conn, &sku.0).await, "product")?
    };
    seen.met_by(version)?;
    let Details { name, brand, description, category, price, low_stock_mark } = product.details;
    let details: DetailsRequest = body.applied(json!({
        "name": name, "brand": brand, "description": description, "category": category.map(|(id, _)| id),
        "price": price, "low_stock_mark": low_stock_mark.map(LowStockMark::get),
    }))?;
    // Replace exactly the version that was patched, or nothing.
    let expected = Expected::OneOf(vec![version]);
    let product = commands::change_product(&state.pool, &sku.0, &expected, details.into()).await?;
    state.nudge.nudge();
    Ok(shown(&mut HttpResponse::Ok(), product))
}

/// Withdraws a product; `relist` takes it back
///
/// The body may be empty or `{}`.
#[utoipa::path(
    delete, path = "/api/v1/products/{sku}", tag = "products", operation_id = "withdraw_product",
    params(("sku" = inline(Sku), Path, description = "The product."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is to be withdrawn.", example = "\"1\"")),
    request_body = Option<Nothing>,
    responses(
        (status = 204, description = "It is no longer sold."),
        (status = 409, description = "It can't be withdrawn now."),
        (status = 412, description = "It has changed meanwhile.")
    )
)]
pub(super) async fn withdraw(
    state: Data<AppState>,
    http: HttpRequest,
    sku: Path<Sku>,
    _: EmptyBody,
) -> Result<HttpResponse, Problem> {
    let expected = Expected::of(&http)?.unwrap_or(Expected::Any);
    commands::withdraw_product(&state.pool, &sku.0, &expected).await?;
    state.nudge.nudge();
    Ok(HttpResponse::NoContent().finish())
}

/// Sells a withdrawn product again
///
/// The body may be empty or `{}`.
#[utoipa::path(
    post, path = "/api/v1/products/{sku}/relist", tag = "products", operation_id = "relist_product",
    params(("sku" = inline(Sku), Path, description = "The product.")),
    request_body = Option<Nothing>,
    responses((status = 200, description = "The product, which is sold again.", body = ProductView))
)]
pub(super) async fn relist(state: Data<AppState>, sku: Path<Sku>, _: EmptyBody) -> Result<HttpResponse, Problem> {
    let product = commands::relist_product(&state.pool, &sku.0).await?;
    state.nudge.nudge();
    Ok(shown(&mut HttpResponse::Ok(), product))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"delta": 5, "reason": "delivery"}))]
pub(super) struct AdjustmentRequest {
    delta: Delta,
    reason: LineText,
}

/// Corrects the stock by hand
#[utoipa::path(
    post, path = "/api/v1/products/{sku}/adjustments", tag = "products", operation_id = "adjust_stock",
    params(("sku" = inline(Sku), Path, description = "The product."), ("Idempotency-Key" = inline(Option<Key>), Header)),
    request_body = AdjustmentRequest,
    responses(
        (status = 200, description = "The product as it is now, or as it was when this key was first sent.", body = ProductView),
        (status = 409, description = "There would be less than is held; or a request with this key is in progress.")
    )
)]
pub(super) async fn adjust(
    state: Data<AppState>,
    http: HttpRequest,
    sku: Path<Sku>,
    body: Json<AdjustmentRequest>,
) -> Result<HttpResponse, Problem> {
    let (Path(sku), AdjustmentRequest { delta, reason }) = (sku, body.into_inner());
    let idempotency = IdempotencyKey::request(&http, &("adjustment", &sku, delta.get(), &reason))?;
    let command = AdjustStock { sku, delta, reason, idempotency };
    let answer = |product| serde_json::to_vec(&ProductView::from(product));
    let body = commands::adjust_stock(&state.pool, &command, answer).await?;
    state.nudge.nudge();
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(body))
}

/// Lists the movements of the stock
#[utoipa::path(
    get, path = "/api/v1/products/{sku}/movements", tag = "products", operation_id = "list_movements",
    params(("sku" = inline(Sku), Path, description = "The product."),
        ("limit" = inline(Option<Limit>), Query), ("cursor" = Option<i64>, Query, description = "The `next_cursor` of the previous answer.")),
    responses(
        (status = 200, description = "Newest first.", body = Paged<MovementView>)
    )
)]
pub(super) async fn moved(
    state: Data<AppState>,
    sku: Path<Sku>,
    page: Query<Page<i64>>,
) -> Result<HttpResponse, Problem> {
    let (limit, after) = page.0.parts();
    let mut conn = state.pool.get().await?;
    let rows = store::movements::list(&mut conn, &sku.0, after, limit + 1).await?;
    if rows.is_empty() {
        found(store::products::get(&mut conn, &sku.0).await, "product")?;
    }
    let page = Paged::from_rows(rows, limit, |movement| movement.id.to_string());
    Ok(HttpResponse::Ok().json(page.map(MovementView::from)))
}

/// Shows a product and its stock
#[utoipa::path(
    get, path = "/api/v1/products/{sku}", tag = "products", operation_id = "get_product",
    params(("sku" = inline(Sku), Path, description = "The product.")),
    responses(
        (status = 200, description = "The product.", body = ProductView,
            headers(("ETag" = String, description = "Its version, for `If-Match`.")))
    )
)]
pub(super) async fn get(state: Data<AppState>, sku: Path<Sku>) -> Result<HttpResponse, Problem> {
    let mut conn = state.pool.get().await?;
    let product = found(store::products::get(&mut conn, &sku.0).await, "product")?;
    Ok(shown(HttpResponse::Ok().insert_header((CACHE_CONTROL, FOR_ALL)), product))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    category: Option<Uuid>,
    /// Words; each must be in the name or the SKU, in upper or lower case.
    #[param(inline)]
    q: Option<LineText>,
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<Sku>, inline)]
    cursor: Option<Cursor<Sku>>,
}

/// Lists products, the newest first
///
/// A page may be a second old. A single product is always shown as it is.
#[utoipa::path(
    get, path = "/api/v1/products", tag = "products", operation_id = "list_products",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of them.", body = Paged<ProductView>)
    )
)]
pub(super) async fn list(state: Data<AppState>, query: Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let ListQuery { category, q, limit, cursor } = query.0;
    let (limit, after) = (limit.unwrap_or_default().get(), cursor.map(|Cursor(after)| after));
    let wanted = store::products::ProductFilter { category, text: q.map(String::from), after };
    let page = state.catalogue.page(wanted, limit).await?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header((CACHE_CONTROL, FOR_ALL))
        .body(page))
}
