use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use service_kit::http::openapi::Nothing;
use service_kit::http::{EmptyBody, Path, Problem};
use shared_events::{CustomerId, OrderId};
use utoipa::ToSchema;

use super::AppState;
use super::examples;
use super::view::StatusName;
use crate::commands::{self, Forgotten};
use crate::store::forgetting::LeftOrders;

/// What was taken of a customer, and what is left.
#[derive(Serialize, ToSchema)]
#[schema(as = Forgotten, example = json!(examples::forgotten()))]
pub struct ForgottenView {
    customer_id: CustomerId,
    /// Whether there was a profile.
    profile: bool,
    /// How many orders the person was taken from.
    orders: usize,
    left: LeftView,
}

/// What keeps the person still.
#[derive(Serialize, ToSchema)]
#[schema(as = LeftOfCustomer)]
struct LeftView {
    /// Orders that have ended and are still to be forgotten: ask again.
    ended_orders: i64,
    /// Orders that go on, for a parcel needs an address: ask again once they have ended.
    orders_going_on: i64,
    /// The oldest of these, a hundred at most.
    oldest: Vec<GoingOnView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OrderGoingOn)]
struct GoingOnView {
    id: OrderId,
    #[schema(value_type = StatusName, inline)]
    status: String,
}

impl ForgottenView {
    fn of(customer_id: CustomerId, forgotten: Forgotten) -> Self {
        let Forgotten { profile, orders, left: LeftOrders { ended, going_on, oldest } } = forgotten;
        let oldest = oldest.into_iter().map(|(id, status)| GoingOnView { id, status }).collect();
        Self { customer_id, profile, orders, left: LeftView { ended_orders: ended, orders_going_on: going_on, oldest } }
    }
}

/// Forgets a customer
///
/// Deletes the profile, takes name and addresses from the orders that have ended, and has every other service do so
/// (`customer.forgotten`, `order.forgotten`). Orders, amounts and the customer's id stay. An answer covers up to 2,000
/// orders, so ask again while `left.ended_orders` is more than 0; asking again does no harm. What was published before stays
/// in topics and archives until their retention is over: `quadrille forget` names the days.
#[utoipa::path(
    post, path = "/api/v1/customers/{id}/forget", tag = "customers", operation_id = "forget_customer",
    params(("id" = inline(CustomerId), Path, description = "The customer, or a guest.")),
    request_body = Option<Nothing>,
    responses((status = 200, description = "What was taken now, and what is left.", body = ForgottenView))
)]
pub async fn forget(state: Data<AppState>, id: Path<CustomerId>, _: EmptyBody) -> Result<HttpResponse, Problem> {
    let forgotten = commands::forget_customer(&state.pool, &id.0).await?;
    state.nudge.nudge();
    Ok(HttpResponse::Ok().json(ForgottenView::of(id.0, forgotten)))
}
