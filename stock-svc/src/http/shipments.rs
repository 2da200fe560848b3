use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Deserialize;
use service_kit::http::{EmptyBody, Json, Page, Paged, Path, Problem, Query};
use shared_events::{LineText, OrderId, ShipmentId, StockLine};

use super::views::ShipmentView;
use super::{AppState, found};
use crate::commands::{CommandError, Step, move_shipment};
use crate::domain::Stage;
use crate::store;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/shipments").get(list))
        .service(web::resource("/shipments/{id}").get(get))
        .service(web::resource("/shipments/{id}/pack").post(pack))
        .service(web::resource("/shipments/{id}/split").post(split))
        .service(web::resource("/shipments/{id}/dispatch").post(dispatch))
        .service(web::resource("/shipments/{id}/deliver").post(deliver))
        .service(web::resource("/shipments/{id}/return").post(take_back))
        .service(web::resource("/shipments/{id}/lost").post(lose));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    order_id: Option<OrderId>,
    status: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

async fn list(state: Data<AppState>, query: Query<Wanted>) -> Result<HttpResponse, Problem> {
    let Wanted { order_id, status, limit, cursor } = query.0;
    let page = Page { limit, cursor };
    let limit = page.limit()?;
    let wanted = store::shipments::Wanted { order_id, stage: stage(status)?, after: page.cursor()? };
    let mut conn = state.pool.get().await?;
    let rows = store::shipments::list(&mut conn, wanted, limit + 1).await?;
    let page = Paged::from_rows(rows, limit, |(_, shipment)| shipment.id.to_string());
    Ok(HttpResponse::Ok().json(page.map(ShipmentView::from)))
}

fn stage(status: Option<String>) -> Result<Option<Stage>, Problem> {
    let expected = "expected pending, packed, dispatched, delivered, cancelled, returned or lost";
    status
        .map(|name| {
            Stage::from_name(&name)
                .ok_or_else(|| Problem::bad_input("status", format!("{name:?} is not a status; {expected}")))
        })
        .transpose()
}

async fn get(state: Data<AppState>, id: Path<ShipmentId>) -> Result<HttpResponse, Problem> {
    let mut conn = state.pool.get().await?;
    let shipment = found(store::shipments::get(&mut conn, id.0).await, "shipment")?;
    Ok(HttpResponse::Ok().json(ShipmentView::from(shipment)))
}

async fn pack(state: Data<AppState>, id: Path<ShipmentId>, _: EmptyBody) -> Result<HttpResponse, Problem> {
    moved(&state, id.0, Step::Pack).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DispatchRequest {
    carrier: LineText,
    tracking_number: LineText,
}

async fn dispatch(
    state: Data<AppState>,
    id: Path<ShipmentId>,
    body: Json<DispatchRequest>,
) -> Result<HttpResponse, Problem> {
    let DispatchRequest { carrier, tracking_number } = body.into_inner();
    moved(&state, id.0, Step::Dispatch { carrier, tracking_number }).await
}

async fn deliver(state: Data<AppState>, id: Path<ShipmentId>, _: EmptyBody) -> Result<HttpResponse, Problem> {
    moved(&state, id.0, Step::Deliver).await
}

async fn lose(state: Data<AppState>, id: Path<ShipmentId>, _: EmptyBody) -> Result<HttpResponse, Problem> {
    moved(&state, id.0, Step::Lose).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinesRequest {
    lines: Vec<StockLine>,
}

impl LinesRequest {
    /// The lines, if there are any and each SKU stands once.
    fn checked(self, what: &str) -> Result<Vec<StockLine>, Problem> {
        let Self { lines } = self;
        if lines.is_empty() {
            return Err(Problem::bad_input("lines", format!("there are none; expected {what}")));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = lines.iter().position(|line| !seen.insert(&line.sku)) {
            return Err(Problem::bad_input(format!("lines[{twice}].sku"), "it stands there twice".to_owned()));
        }
        Ok(lines)
    }
}

async fn split(state: Data<AppState>, id: Path<ShipmentId>, body: Json<LinesRequest>) -> Result<HttpResponse, Problem> {
    let lines = body.into_inner().checked("what leaves in a parcel of its own")?;
    let parts = move_shipment(&state.pool, id.0, Step::Split { lines }).await?.split_off(1);
    state.nudge.nudge();
    let page = Paged { items: parts, next_cursor: None };
    Ok(HttpResponse::Ok().json(page.map(ShipmentView::from)))
}

async fn take_back(
    state: Data<AppState>,
    id: Path<ShipmentId>,
    body: Json<LinesRequest>,
) -> Result<HttpResponse, Problem> {
    let lines = body.into_inner().checked("what comes back")?;
    moved(&state, id.0, Step::TakeBack { lines }).await
}

async fn moved(state: &AppState, id: ShipmentId, step: Step) -> Result<HttpResponse, Problem> {
    let moved = move_shipment(&state.pool, id, step).await?;
    state.nudge.nudge();
    let shipment = moved.into_iter().next().ok_or(CommandError::NotFound("shipment"))?;
    Ok(HttpResponse::Ok().json(ShipmentView::from(shipment)))
}
