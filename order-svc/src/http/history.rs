//! An order's history as clients see it.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use service_kit::http::{Cursor, Limit, Paged, Path, Problem, Query};
use shared_events::OrderId;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::AppState;
use super::problem;
use crate::store::{self, history::Entry};

/// One event that was heard or said of an order.
#[derive(Serialize, ToSchema)]
#[schema(as = HistoryEntry, example = json!(super::examples::entry()))]
pub struct EntryView<'a> {
    position: i64,
    event_id: Uuid,
    #[serde(rename = "type")]
    event_type: &'a str,
    source: &'a str,
    time: DateTime<Utc>,
    because_of: Option<Uuid>,
    status_before: Option<&'a str>,
    status: &'a str,
    reason: Option<&'a str>,
    ignored: Option<&'a str>,
    recorded_at: DateTime<Utc>,
}

impl<'a> EntryView<'a> {
    /// The entry with the names that a client sees.
    pub fn of(entry: &'a Entry) -> Self {
        Self {
            position: entry.position,
            event_id: entry.event_id,
            event_type: &entry.event_type,
            source: &entry.source,
            time: entry.event_time,
            because_of: entry.because_of,
            status_before: entry.status_before.as_deref(),
            status: &entry.status,
            reason: entry.reason.as_deref(),
            ignored: entry.ignored.as_deref(),
            recorded_at: entry.recorded_at,
        }
    }
}

/// What a history may be asked for: as of every list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    #[param(inline)]
    limit: Option<Limit>,
    /// What the last answer gave as `next_cursor`.
    #[param(value_type = Option<i64>)]
    cursor: Option<Cursor<i64>>,
}

/// What was heard and said of an order, from its beginning
///
/// Other lists begin with the newest. This one is the record that `/events` streams, in the same order and under the same
/// positions: each entry follows from the one before it (`status_before`), and more are added at its end. So who has read it
/// goes on there: with the last position as `cursor` here, or as `Last-Event-ID` at `/events`, nothing is missed or told twice.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}/history", tag = "orders", operation_id = "history_of_order",
    params(("id" = inline(OrderId), Path, description = "The order."), HistoryQuery),
    responses((status = 200, description = "Oldest first.", body = Paged<EntryView>))
)]
pub async fn get(state: Data<AppState>, id: Path<Uuid>, query: Query<HistoryQuery>) -> Result<HttpResponse, Problem> {
    let HistoryQuery { limit, cursor } = query.0;
    let (limit, after) = (limit.unwrap_or_default().get(), cursor.map_or(0, |Cursor(after)| after));
    let mut conn = state.pool.get().await?;
    let order_id = OrderId(id.0);
    let entries = store::history::after(&mut conn, order_id, after, limit + 1).await?;
    if entries.is_empty() && store::orders::find(&mut conn, order_id).await?.is_none() {
        return Err(problem::no_order(id.0));
    }
    let Paged { items, next_cursor } = Paged::from_rows(entries, limit, |entry| entry.position.to_string());
    Ok(HttpResponse::Ok().json(Paged { items: items.iter().map(EntryView::of).collect(), next_cursor }))
}
