//! Staff hold orders for review, and release them.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Deserialize;
use service_kit::auth::Caller;
use service_kit::http::openapi::Nothing;
use service_kit::http::{EmptyBody, Json, Problem};
use shared_events::{LineText, OrderId};
use utoipa::ToSchema;

use super::theirs::Theirs;
use super::view::OrderView;
use super::{AppState, examples, problem};
use crate::commands;

/// Why an order is held.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "Ten of the same, to an address that is new"}))]
pub struct HoldRequest {
    /// For other staff.
    reason: LineText,
}

/// Holds an order for review
///
/// Until staff release it, it is not confirmed: no money is taken and nothing is packed. Customer and staff may cancel it. Once its
/// money is authorised its deadline ends it no more; until then it ends as any other. Money stays authorised for some days only, and the reservation of its
/// goods expires: they are reserved again when it is released, if they are still there. Repeating the request changes nothing; with another
/// reason it is refused, since that would be lost: what is to be said of an order goes into a note.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/hold", tag = "orders", operation_id = "hold_order",
    params(("id" = inline(OrderId), Path, description = "The order.")),
    request_body = HoldRequest,
    responses(
        (status = 200, description = "The order is held, or was held before.", body = OrderView,
            example = json!(examples::held())),
        (status = 409, description = "It is confirmed, or has ended, or is held for another reason.")
    )
)]
pub async fn hold(
    state: Data<AppState>,
    Theirs(id): Theirs,
    caller: Caller,
    body: Json<HoldRequest>,
) -> Result<HttpResponse, Problem> {
    let HoldRequest { reason } = body.into_inner();
    let order = commands::hold_order(&state.pool, id, caller.sub(), reason)
        .await
        .map_err(|error| problem::not_changed(id.0, error))?;
    state.nudge.nudge();
    Ok(HttpResponse::Ok().json(OrderView::for_eyes_of(&caller, &order)))
}

/// Releases an order that is held for review
///
/// It is confirmed if its money is authorised, and else goes on as any other. The body may be empty or `{}`. Repeating the request
/// changes nothing.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/release", tag = "orders", operation_id = "release_order",
    params(("id" = inline(OrderId), Path, description = "The order.")),
    request_body = Option<Nothing>,
    responses(
        (status = 200, description = "The order goes on, or was released before.", body = OrderView),
        (status = 409, description = "It is not held.")
    )
)]
pub async fn release(
    state: Data<AppState>,
    Theirs(id): Theirs,
    caller: Caller,
    _: EmptyBody,
) -> Result<HttpResponse, Problem> {
    let order = commands::release_order(&state.pool, id, caller.sub())
        .await
        .map_err(|error| problem::not_changed(id.0, error))?;
    state.nudge.nudge();
    Ok(HttpResponse::Ok().json(OrderView::for_eyes_of(&caller, &order)))
}
