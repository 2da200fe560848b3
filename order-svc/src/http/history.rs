use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use service_kit::http::{Cursor, Limit, Paged, Problem, Query};
use shared_events::OrderId;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::AppState;
use super::problem;
use super::theirs::Theirs;
use crate::store::{self, history::Entry};

/// One event of an order, read from another service or published by this one.
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

/// The parameters of a history, which are those of every list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<i64>)]
    cursor: Option<Cursor<i64>>,
}

/// Lists the history of an order, from its beginning
///
/// Other lists begin with the newest item. This one is the record that `/events` streams, in the same order and with
/// the same positions. Each entry follows from the one before it (`status_before`), and new ones are added at the
/// end. A client that has read it can continue without gaps or repetitions: with the last position as `cursor` here,
/// or as `Last-Event-ID` at `/events`.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}/history", tag = "orders", operation_id = "history_of_order",
    params(("id" = inline(OrderId), Path, description = "The order."), HistoryQuery),
    responses((status = 200, description = "Oldest first.", body = Paged<EntryView>))
)]
pub async fn get(
    state: Data<AppState>,
    Theirs(order_id): Theirs,
    query: Query<HistoryQuery>,
) -> Result<HttpResponse, Problem> {
    let HistoryQuery { limit, cursor } = query.0;
    let (limit, after) = (limit.unwrap_or_default().get(), cursor.map_or(0, |Cursor(after)| after));
    let mut conn = state.pool.get().await?;
    let entries = store::history::after(&mut conn, order_id, after, limit + 1).await?;
    if entries.is_empty() && store::orders::find(&conn, order_id).await?.is_none() {
        return Err(problem::no_order(order_id.0));
    }
    let Paged { items, next_cursor } = Paged::from_rows(entries, limit, |entry| entry.position.to_string());
    Ok(HttpResponse::Ok().json(Paged { items: items.iter().map(EntryView::of).collect(), next_cursor }))
}
