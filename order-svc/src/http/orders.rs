use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use service_kit::auth::{Caller, GuestLinks, Sees};
use service_kit::http::openapi::{Key, Nothing};
use service_kit::http::{Cursor, EmptyBody, IdempotencyKey, Json, Limit, Paged, Path, Problem, Query, RateLimited};
use shared_events::{Address, CustomerId, OrderId};
use utoipa::IntoParams;
use uuid::Uuid;

use super::request::{AddressRequest, PlaceOrderRequest};
use super::theirs::Theirs;
use super::view::{self, OrderView, StatusName};
use super::{AppState, examples, guests};
use crate::commands::{self, PlaceOrder};
use crate::domain::{DraftRefused, Order};
use crate::store::stored_responses::StoredResponse;
use crate::store::{self, orders::Filter};

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
        (status = 409, description = "A request with this key is in progress."),
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
    Ok(HttpResponse::Ok().json(OrderView::of(&order)))
}

/// The parameters of a list of orders. `limit` and `cursor` are those of every list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    #[param(inline)]
    customer_id: Option<CustomerId>,
    #[param(inline)]
    status: Option<StatusName>,
    /// Whether it waits longer than it should.
    overdue: Option<bool>,
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<Uuid>)]
    cursor: Option<Cursor<OrderId>>,
}

/// Lists orders, the newest first
#[utoipa::path(
    get, path = "/api/v1/orders", tag = "orders", operation_id = "list_orders", params(ListQuery),
    responses((status = 200, description = "A page of them.", body = Paged<OrderView>))
)]
pub async fn list(state: Data<AppState>, caller: Caller, query: Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let ListQuery { customer_id, status, overdue, limit, cursor } = query.0;
    let customer_id = caller.only("customer_id", customer_id.as_ref().map(CustomerId::as_str))?.map(str::to_owned);
    let limit = limit.unwrap_or_default().get();
    let status = status.map(|StatusName(name)| name);
    let filter = Filter { customer_id, status, overdue, before: cursor.map(|Cursor(before)| before) };
    let mut conn = state.pool.get().await?;
    let orders = store::orders::list(&mut conn, &filter, limit + 1).await?;
    let page = Paged::from_rows(orders, limit, |order: &Order| order.placed.order_id.to_string());
    let Paged { items, next_cursor } = &page;
    Ok(HttpResponse::Ok()
        .json(Paged { items: items.iter().map(OrderView::of).collect(), next_cursor: next_cursor.clone() }))
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

/// Cancels an order that has not left
///
/// The body may be empty or `{}`. Repeating the request changes nothing.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/cancel", tag = "orders", operation_id = "cancel_order",
    params(("id" = inline(OrderId), Path, description = "The order.")),
    request_body = Option<Nothing>,
    responses(
        (status = 202, description = "The order is being cancelled, or was cancelled before.", body = OrderView,
            example = json!(examples::cancelling())),
        (status = 409, description = "It has left, or ended otherwise.")
    )
)]
pub async fn cancel(state: Data<AppState>, Theirs(id): Theirs, _: EmptyBody) -> Result<HttpResponse, Problem> {
    let order =
        commands::cancel_order(&state.pool, id).await.map_err(|error| super::problem::not_changed(id.0, error))?;
    state.nudge.nudge();
    Ok(HttpResponse::Accepted().json(OrderView::of(&order)))
}
