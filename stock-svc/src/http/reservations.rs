use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Deserialize;
use service_kit::http::{Page, Paged, Problem, Query};
use shared_events::OrderId;

use super::AppState;
use super::views::ReservationView;
use crate::store;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(web::resource("/reservations").get(list));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    order_id: Option<OrderId>,
    limit: Option<String>,
    cursor: Option<String>,
}

async fn list(state: Data<AppState>, query: Query<Wanted>) -> Result<HttpResponse, Problem> {
    let Wanted { order_id, limit, cursor } = query.0;
    let page = Page { limit, cursor };
    let (limit, after) = (page.limit()?, page.cursor()?);
    let mut conn = state.pool.get().await?;
    let rows = store::reservations::list(&mut conn, order_id, after, limit + 1).await?;
    let page = Paged::from_rows(rows, limit, |reservation| reservation.order_id.to_string());
    Ok(HttpResponse::Ok().json(page.map(ReservationView::from)))
}
