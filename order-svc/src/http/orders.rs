use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use service_kit::auth::{Caller, GuestLinks, Sees};
use service_kit::http::openapi::{Key, Nothing};
use service_kit::http::{
    EmptyBody, FieldError, IdempotencyKey, InputCode, Json, OptionalJson, Path, Problem, RateLimited,
};
use shared_events::{Address, OrderId};
use utoipa::ToSchema;
use uuid::Uuid;

use super::request::{AddressRequest, PlaceOrderRequest};
use super::theirs::Theirs;
use super::view::{self, OrderView};
use super::{AppState, examples, guests};
use crate::commands::{self, PlaceOrder};
use crate::domain::{DraftRefused, NoteText, Order, StaffReason};
use crate::store::{self, stored_responses::StoredResponse};

/// Places an order
///
/// Prices come from the catalogue. What an order leaves out of its customer (you; staff name them by `customer.id`) and of
/// where it goes comes from the customer's profile, as it is now. The order is processed after this answer; `links.events` streams its progress.
#[utoipa::path(
    post, path = "/api/v1/orders", tag = "orders", operation_id = "place_order",
    params(("Idempotency-Key" = inline(Option<Key>), Header)),
    request_body = PlaceOrderRequest,
    responses(
        (status = 202, description = "The order is placed.", body = OrderView,
            headers(("Location" = String, description = "The address of the new resource."))),
        (status = 409, description = "It costs something else than `expected_total`; or a request with this key is in progress."),
        (status = 429, description = "Too many orders were asked for; try again later.")
    )
)]
pub async fn place(
    _: RateLimited,
    state: Data<AppState>,
    http: HttpRequest,
    caller: Caller,
    request: Json<PlaceOrderRequest>,
) -> Result<HttpResponse, Problem> {
    let request = request.into_inner();
    let idempotency = IdempotencyKey::request(&http, &request)?;
    let (customer, guests) = guests::whose(&caller, request.customer_id(), state.guests.as_ref())?;
    let draft = request.into_draft(customer).checked().map_err(super::problem::refused)?;
    let command = PlaceOrder { draft, idempotency, deadline: state.deadline, prices_known: state.prices_known.get() };
    let answer = commands::place_order(&state.pool, command, |order| answer(order, guests)).await?;
    state.nudge.nudge();
    Ok(HttpResponse::Accepted()
        .insert_header((LOCATION, answer.location))
        .insert_header((CONTENT_TYPE, "application/json"))
        .body(answer.body))
}

/// The 202 answer for a new order, as it is sent and stored.
fn answer(order: &Order, guests: Option<&GuestLinks>) -> serde_json::Result<StoredResponse> {
    let token = guests.and_then(|guests| guests.token(order.placed.order_id.0));
    let view = OrderView::of(order).with_guest_link(token.as_deref());
    Ok(StoredResponse { location: view::path(order.placed.order_id), body: serde_json::to_vec(&view)? })
}

/// Shows an order
#[utoipa::path(
    get, path = "/api/v1/orders/{id}", tag = "orders", operation_id = "get_order",
    params(("id" = inline(OrderId), Path, description = "The order.")),
    responses((status = 200, description = "The order.", body = OrderView))
)]
pub async fn get(state: Data<AppState>, id: Path<Uuid>, caller: Caller) -> Result<HttpResponse, Problem> {
    let conn = state.pool.get().await?;
    let order = store::orders::find(&conn, OrderId(id.0)).await?;
    let is_dead_link = |order: &Order| order.forgotten_at.is_some() && matches!(caller.sees(), Sees::Order(_));
    let is_theirs =
        |order: &Order| caller.may_see(id.0, Some(order.placed.customer.id.as_str())) && !is_dead_link(order);
    let order = order.filter(is_theirs).ok_or_else(|| super::problem::no_order(id.0))?;
    Ok(HttpResponse::Ok().json(OrderView::for_eyes_of(&caller, &order)))
}

/// Changes the address of what has not left
///
/// A pending order takes the new address at once (200). Later a parcel may be on its way, so the warehouse decides
/// (202). Until then, `requested_address` is the new address. Afterwards `delivery_address` is the new address, or
/// `order.address_change_refused` was published, or both: one parcel has left and another has not. Repeating the
/// request changes nothing.
#[utoipa::path(
    put, path = "/api/v1/orders/{id}/delivery-address", tag = "orders", operation_id = "redirect_order",
    params(("id" = inline(OrderId), Path, description = "The order.")),
    request_body = AddressRequest,
    responses(
        (status = 200, description = "The order with its new address.", body = OrderView,
            example = json!(examples::redirected())),
        (status = 202, description = "The warehouse is asked, or was asked before.", body = OrderView,
            example = json!(examples::to_be_redirected())),
        (status = 409, description = "It has left or ended, or another address is being decided.")
    )
)]
pub async fn redirect(
    state: Data<AppState>,
    Theirs(id): Theirs,
    address: Json<AddressRequest>,
) -> Result<HttpResponse, Problem> {
    let address: Address = address.into_inner().into();
    if !address.country.is_a_country() {
        let message = DraftRefused::NoCountry(address.country).to_string();
        return Err(Problem::bad_input("country", message).code(super::problem::OrderCode::UnknownCountry));
    }
    let order = commands::redirect_order(&state.pool, id, address)
        .await
        .map_err(|error| super::problem::not_changed(id.0, error))?;
    state.nudge.nudge();
    let mut answer = if order.destination.asked.is_some() { HttpResponse::Accepted() } else { HttpResponse::Ok() };
    Ok(answer.json(OrderView::of(&order)))
}

/// Calls off what has not left, once a part has
///
/// What is still in the warehouse is restocked and refunded, and the order completes with what arrives. The warehouse
/// decides: a parcel that leaves before the request arrives there goes on. The body may be empty or `{}`. Repeating
/// the request changes nothing. An order of which nothing has left must be cancelled instead.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/call-off", tag = "orders", operation_id = "call_off_rest",
    params(("id" = inline(OrderId), Path, description = "The order.")),
    request_body = Option<Nothing>,
    responses(
        (status = 202, description = "The warehouse is asked, or was asked before; each line's `called_off` shows the result.",
            body = OrderView, example = json!(examples::partially_shipped())),
        (status = 409, description = "Nothing of it has left, everything has, or it has ended otherwise.")
    )
)]
pub async fn call_off(state: Data<AppState>, Theirs(id): Theirs, _: EmptyBody) -> Result<HttpResponse, Problem> {
    let order =
        commands::call_off_rest(&state.pool, id).await.map_err(|error| super::problem::not_changed(id.0, error))?;
    state.nudge.nudge();
    Ok(HttpResponse::Accepted().json(OrderView::of(&order)))
}

/// Why staff cancel an order. Customers send nothing.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "fraud_suspected", "note": "The card is of another country."}))]
pub struct CancelRequest {
    /// Without it, the customer has cancelled the order.
    reason: Option<StaffReason>,
    /// What other staff should know. It needs a reason.
    note: Option<NoteText>,
}

/// Cancels an order that has not left
///
/// The body may be empty or `{}`. Staff may say why: then the order's `reason` is `staff`, and what they say stands in its notes.
/// The customer is told that the order is cancelled, and not why. Repeating the request changes nothing.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/cancel", tag = "orders", operation_id = "cancel_order",
    params(("id" = inline(OrderId), Path, description = "The order.")),
    request_body = Option<CancelRequest>,
    responses(
        (status = 202, description = "The order is being cancelled, or was cancelled before.", body = OrderView,
            example = json!(examples::cancelling())),
        (status = 409, description = "It has left, or ended otherwise.")
    )
)]
pub async fn cancel(
    state: Data<AppState>,
    Theirs(id): Theirs,
    caller: Caller,
    body: OptionalJson<CancelRequest>,
) -> Result<HttpResponse, Problem> {
    let CancelRequest { reason, note } = body.into_inner();
    let cancelled = match (reason, &note) {
        (None, None) => commands::cancel_order(&state.pool, id).await,
        _ if !caller.is_staff() => {
            let field = if reason.is_some() { "reason" } else { "note" };
            return Err(Problem::bad_input(field, "is for staff: expected an empty body"));
        }
        (Some(reason), said) => commands::cancel_by_staff(&state.pool, id, caller.sub(), reason, said.as_ref()).await,
        (None, Some(_)) => {
            let error = FieldError::new("reason", "is missing: a note needs one").code(InputCode::Missing);
            return Err(Problem::bad_fields(vec![error]));
        }
    };
    let order = cancelled.map_err(|error| super::problem::not_changed(id.0, error))?;
    state.nudge.nudge();
    Ok(HttpResponse::Accepted().json(OrderView::for_eyes_of(&caller, &order)))
}
