//! Orders that wait longer than they should, by what they wait for.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use service_kit::http::{Cursor, Limit, Paged, Problem, Query};
use shared_events::OrderId;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::AppState;
use super::examples;
use crate::store::overdue::{self, Overdue};

/// Overdue orders that wait for the same.
#[derive(Serialize, ToSchema)]
#[schema(as = OverdueOrders, example = json!(examples::overdue()))]
pub struct OverdueView<'a> {
    /// The event that they wait for, and who must act before it can be published.
    waiting_for: &'a str,
    waiting_from: &'a str,
    /// How many they are; ten thousand at most of all groups are counted.
    orders: i64,
    /// Since when the one waits that has waited longest.
    oldest_since: DateTime<Utc>,
    /// The ten that should have gone on first.
    #[schema(value_type = Vec<OrderId>)]
    first: &'a [Uuid],
}

impl<'a> OverdueView<'a> {
    fn of(group: &'a Overdue) -> Self {
        Self {
            waiting_for: &group.waiting_for,
            waiting_from: &group.waiting_from,
            orders: group.orders,
            oldest_since: group.oldest_since,
            first: &group.first,
        }
    }
}

/// The parameters of this list, which are those of every list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OverdueQuery {
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<String>>,
}

/// Lists orders that wait longer than they should, by what they wait for
///
/// An order is to be confirmed within seconds; a parcel may wait for days to be dispatched. What keeps orders is often elsewhere:
/// `quadrille stuck` looks for it. The orders themselves are listed by `/api/v1/orders?overdue=true`.
#[utoipa::path(
    get, path = "/api/v1/overdue-orders", tag = "orders", operation_id = "list_overdue_orders", params(OverdueQuery),
    responses((status = 200, description = "In alphabetical order.", body = Paged<OverdueView>))
)]
pub async fn list(state: Data<AppState>, query: Query<OverdueQuery>) -> Result<HttpResponse, Problem> {
    let OverdueQuery { limit, cursor } = query.0;
    let mut groups = overdue::groups(&mut *state.pool.get().await?, overdue::LOOKED_AT).await?;
    groups.sort_by_cached_key(name);
    groups.retain(|group| cursor.as_ref().is_none_or(|Cursor(after)| name(group) > *after));
    let Paged { items, next_cursor } = Paged::from_rows(groups, limit.unwrap_or_default().get(), name);
    Ok(HttpResponse::Ok().json(Paged { items: items.iter().map(OverdueView::of).collect(), next_cursor }))
}

fn name(group: &Overdue) -> String {
    format!("{} {}", group.waiting_for, group.waiting_from)
}
