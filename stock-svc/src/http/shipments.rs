use std::collections::BTreeSet;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use service_kit::http::openapi::{Key, Nothing};
use service_kit::http::{Cursor, EmptyBody, FieldError, IdempotencyKey, Json, Limit, Paged, Path, Problem, Query};
use shared_events::{LineText, OrderId, Quantity, ShipmentId, Sku, StockLine};
use utoipa::{IntoParams, ToSchema};

use super::views::{ShipmentView, StageName};
use super::{AppState, StockCode, examples, found};
use crate::commands::{self, CommandError, Step, TakeBack, move_shipment};
use crate::domain::Stage;
use crate::store;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/shipments").get(list))
        .service(web::resource("/shipments/{id}").get(get))
        .service(web::resource("/shipments/{id}/pack").post(pack))
        .service(web::resource("/shipments/{id}/split").post(split))
        .service(web::resource("/shipments/{id}/call-off").post(call_off))
        .service(web::resource("/shipments/{id}/dispatch").post(dispatch))
        .service(web::resource("/shipments/{id}/tracking").put(correct_tracking))
        .service(web::resource("/shipments/{id}/deliver").post(deliver))
        .service(web::resource("/shipments/{id}/return").post(take_back))
        .service(web::resource("/shipments/{id}/lost").post(lose));
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    #[param(inline)]
    order_id: Option<OrderId>,
    #[param(inline)]
    status: Option<StageName>,
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<Uuid>)]
    cursor: Option<Cursor<ShipmentId>>,
}

/// Lists parcels, the newest first
#[utoipa::path(
    get, path = "/api/v1/shipments", tag = "shipments", operation_id = "list_shipments",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of them.", body = Paged<ShipmentView>)
    )
)]
pub(super) async fn list(state: Data<AppState>, query: Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let ListQuery { order_id, status, limit, cursor } = query.0;
    let (limit, after) = (limit.unwrap_or_default().get(), cursor.map(|Cursor(after)| after));
    let wanted = store::shipments::ShipmentFilter { order_id, stage: status.map(Stage::from), after };
    let mut conn = state.pool.get().await?;
    let rows = store::shipments::list(&mut conn, wanted, limit + 1).await?;
    let page = Paged::from_rows(rows, limit, |(_, shipment)| shipment.id.to_string());
    Ok(HttpResponse::Ok().json(page.map(ShipmentView::from)))
}

/// Shows a parcel
#[utoipa::path(
    get, path = "/api/v1/shipments/{id}", tag = "shipments", operation_id = "get_shipment",
    params(("id" = inline(ShipmentId), Path, description = "The parcel.")),
    responses(
        (status = 200, description = "The parcel.", body = ShipmentView)
    )
)]
pub(super) async fn get(state: Data<AppState>, id: Path<ShipmentId>) -> Result<HttpResponse, Problem> {
    let mut conn = state.pool.get().await?;
    let shipment = found(store::shipments::get(&mut conn, id.0).await, "shipment")?;
    Ok(HttpResponse::Ok().json(ShipmentView::from(shipment)))
}

/// Packs a parcel
///
/// This step may be left out. The body may be empty or `{}`.
#[utoipa::path(
    post, path = "/api/v1/shipments/{id}/pack", tag = "shipments", operation_id = "pack_shipment",
    params(("id" = inline(ShipmentId), Path, description = "The parcel.")),
    request_body = Option<Nothing>,
    responses(
        (status = 200, description = "The parcel as it is now.", body = ShipmentView,
            example = json!(examples::packed())),
        (status = 409, description = "The parcel is not in a state in which this is possible.")
    )
)]
pub(super) async fn pack(state: Data<AppState>, id: Path<ShipmentId>, _: EmptyBody) -> Result<HttpResponse, Problem> {
    moved(&state, id.0, Step::Pack).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"carrier": "An Post", "tracking_number": "AP123456789IE"}))]
pub(super) struct DispatchRequest {
    carrier: LineText,
    tracking_number: LineText,
}

/// Hands a parcel to the carrier
///
/// Repeating it with the same carrier and number changes nothing.
#[utoipa::path(
    post, path = "/api/v1/shipments/{id}/dispatch", tag = "shipments", operation_id = "dispatch_shipment",
    params(("id" = inline(ShipmentId), Path, description = "The parcel.")),
    request_body = DispatchRequest,
    responses(
        (status = 200, description = "The parcel as it is now.", body = ShipmentView),
        (status = 409, description = "The parcel is not in a state in which this is possible.")
    )
)]
pub(super) async fn dispatch(
    state: Data<AppState>,
    id: Path<ShipmentId>,
    body: Json<DispatchRequest>,
) -> Result<HttpResponse, Problem> {
    let DispatchRequest { carrier, tracking_number } = body.into_inner();
    moved(&state, id.0, Step::Dispatch { carrier, tracking_number }).await
}

/// Corrects carrier or tracking number of a parcel that is on its way
///
/// The customer is told. Repeating it changes nothing, whatever happened to the parcel since.
#[utoipa::path(
    put, path = "/api/v1/shipments/{id}/tracking", tag = "shipments", operation_id = "correct_tracking",
    params(("id" = inline(ShipmentId), Path, description = "The parcel.")),
    request_body = DispatchRequest,
    responses(
        (status = 200, description = "The parcel as it is now.", body = ShipmentView),
        (status = 409, description = "It has not left yet, has arrived, came back or was lost.")
    )
)]
pub(super) async fn correct_tracking(
    state: Data<AppState>,
    id: Path<ShipmentId>,
    body: Json<DispatchRequest>,
) -> Result<HttpResponse, Problem> {
    let DispatchRequest { carrier, tracking_number } = body.into_inner();
    moved(&state, id.0, Step::CorrectTracking { carrier, tracking_number }).await
}

/// Calls off a parcel that can't leave, after another of its order has
///
/// Its stock is restocked, its lines are refunded, and the order completes with what arrives. The body may be empty
/// or `{}`. Repeating it changes nothing. If nothing of the order has left, the order must be cancelled instead.
#[utoipa::path(
    post, path = "/api/v1/shipments/{id}/call-off", tag = "shipments", operation_id = "call_off_shipment",
    params(("id" = inline(ShipmentId), Path, description = "The parcel.")),
    request_body = Option<Nothing>,
    responses(
        (status = 200, description = "The parcel as it is now.", body = ShipmentView,
            example = json!(examples::called_off())),
        (status = 409, description = "It has left or was split, or nothing of its order has left.")
    )
)]
pub(super) async fn call_off(
    state: Data<AppState>,
    id: Path<ShipmentId>,
    _: EmptyBody,
) -> Result<HttpResponse, Problem> {
    moved(&state, id.0, Step::CallOff).await
}

/// Notes that a parcel has arrived
///
/// The body may be empty or `{}`.
#[utoipa::path(
    post, path = "/api/v1/shipments/{id}/deliver", tag = "shipments", operation_id = "deliver_shipment",
    params(("id" = inline(ShipmentId), Path, description = "The parcel.")),
    request_body = Option<Nothing>,
    responses(
        (status = 200, description = "The parcel as it is now.", body = ShipmentView,
            example = json!(examples::delivered())),
        (status = 409, description = "The parcel is not in a state in which this is possible.")
    )
)]
pub(super) async fn deliver(
    state: Data<AppState>,
    id: Path<ShipmentId>,
    _: EmptyBody,
) -> Result<HttpResponse, Problem> {
    moved(&state, id.0, Step::Deliver).await
}

/// Notes that the carrier has lost a parcel
///
/// Its lines are refunded. The body may be empty or `{}`.
#[utoipa::path(
    post, path = "/api/v1/shipments/{id}/lost", tag = "shipments", operation_id = "lose_shipment",
    params(("id" = inline(ShipmentId), Path, description = "The parcel.")),
    request_body = Option<Nothing>,
    responses(
        (status = 200, description = "The parcel as it is now.", body = ShipmentView,
            example = json!(examples::lost())),
        (status = 409, description = "The parcel is not in a state in which this is possible.")
    )
)]
pub(super) async fn lose(state: Data<AppState>, id: Path<ShipmentId>, _: EmptyBody) -> Result<HttpResponse, Problem> {
    moved(&state, id.0, Step::Lose).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "TEA-EARL-GREY-250", "quantity": 1}]}))]
pub(super) struct LinesRequest {
    /// Each SKU in one line only.
    #[schema(min_items = 1)]
    lines: Vec<LineRequest>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LineRequest {
    sku: Sku,
    quantity: Quantity,
}

impl LinesRequest {
    /// The lines; there must be some, with each SKU in one line only.
    fn checked(self, what: &str) -> Result<Vec<StockLine>, Problem> {
        let Self { lines } = self;
        if lines.is_empty() {
            return Err(Problem::bad_input("lines", format!("there are none; expected {what}")));
        }
        let mut seen = BTreeSet::new();
        let twice = lines.iter().enumerate().filter(|(_, line)| !seen.insert(&line.sku));
        let error = |at| FieldError::new(format!("lines[{at}].sku"), "it is given twice").code(StockCode::SkuTwice);
        let errors: Vec<_> = twice.map(|(at, _)| error(at)).collect();
        if !errors.is_empty() {
            return Err(Problem::bad_fields(errors));
        }
        Ok(lines.into_iter().map(|LineRequest { sku, quantity }| StockLine { sku, quantity }).collect())
    }
}

/// Splits a part of a parcel off into one of its own
#[utoipa::path(
    post, path = "/api/v1/shipments/{id}/split", tag = "shipments", operation_id = "split_shipment",
    params(("id" = inline(ShipmentId), Path, description = "The parcel.")),
    request_body = LinesRequest,
    responses(
        (status = 200, description = "The parcels that it was split into.", body = Paged<ShipmentView>,
            example = json!(examples::parts())),
        (status = 409, description = "The parcel is not in the warehouse, or does not contain these lines.")
    )
)]
pub(super) async fn split(
    state: Data<AppState>,
    id: Path<ShipmentId>,
    body: Json<LinesRequest>,
) -> Result<HttpResponse, Problem> {
    let lines = body.into_inner().checked("what leaves in a parcel of its own")?;
    let parts = move_shipment(&state.pool, id.0, Step::Split { lines }).await?.split_off(1);
    state.nudge.nudge();
    let page = Paged { items: parts, next_cursor: None };
    Ok(HttpResponse::Ok().json(page.map(ShipmentView::from)))
}

/// Takes a parcel back, in whole or in part; its lines are refunded
#[utoipa::path(
    post, path = "/api/v1/shipments/{id}/return", tag = "shipments", operation_id = "return_shipment",
    params(("id" = inline(ShipmentId), Path, description = "The parcel."), ("Idempotency-Key" = inline(Option<Key>), Header)),
    request_body = LinesRequest,
    responses(
        (status = 200, description = "The parcel as it is now, or as it was when this key was first sent.",
            body = ShipmentView, example = json!(examples::returned())),
        (status = 409, description = "The parcel is not in a state in which this is possible; or a request with this key is in progress.")
    )
)]
pub(super) async fn take_back(
    state: Data<AppState>,
    http: HttpRequest,
    id: Path<ShipmentId>,
    body: Json<LinesRequest>,
) -> Result<HttpResponse, Problem> {
    let (Path(shipment), lines) = (id, body.into_inner().checked("what comes back")?);
    let idempotency = IdempotencyKey::request(&http, &("return", shipment, &lines))?;
    let answer = |order, parcel| serde_json::to_vec(&ShipmentView::from((order, parcel)));
    let body = commands::take_back(&state.pool, TakeBack { shipment, lines, idempotency }, answer).await?;
    state.nudge.nudge();
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(body))
}

async fn moved(state: &AppState, id: ShipmentId, step: Step) -> Result<HttpResponse, Problem> {
    let moved = move_shipment(&state.pool, id, step).await?;
    state.nudge.nudge();
    let shipment = moved.into_iter().next().ok_or(CommandError::NotFound("shipment"))?;
    Ok(HttpResponse::Ok().json(ShipmentView::from(shipment)))
}
