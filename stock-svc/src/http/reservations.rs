use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Deserialize;
use service_kit::http::{Cursor, Limit, Paged, Problem, Query};
use shared_events::OrderId;
use utoipa::IntoParams;

use super::AppState;
use super::views::ReservationView;
use crate::store;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(web::resource("/reservations").get(list));
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    #[param(inline)]
    order_id: Option<OrderId>,
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<Uuid>)]
    cursor: Option<Cursor<OrderId>>,
}

/// Lists the reservations of orders, the newest first
#[utoipa::path(
    get, path = "/api/v1/reservations", tag = "reservations", operation_id = "list_reservations",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of them.", body = Paged<ReservationView>)
    )
)]
pub(super) async fn list(state: Data<AppState>, query: Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let ListQuery { order_id, limit, cursor } = query.0;
    let (limit, after) = (limit.unwrap_or_default().get(), cursor.map(|Cursor(after)| after));
    let mut conn = state.pool.get().await?;
    let rows = store::reservations::list(&mut conn, order_id, after, limit + 1).await?;
    let page = Paged::from_rows(rows, limit, |reservation| reservation.order_id.to_string());
    Ok(HttpResponse::Ok().json(page.map(ReservationView::from)))
}
