use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use shared_events::{NotificationId, OrderId};
use uuid::Uuid;

use crate::domain::Status;
use crate::schema::{html_letters, notifications};

#[derive(Queryable, Selectable)]
#[diesel(table_name = notifications, check_for_backend(diesel::pg::Pg))]
pub struct View {
    pub id: Uuid,
    pub order_id: Uuid,
    pub template: String,
    pub recipient: Option<String>,
    pub status: String,
    pub subject: Option<String>,
    pub body: Option<String>,
    pub attempts: i32,
    pub last_error: Option<String>,
    pub created_at: DateTime<Utc>,
    pub sent_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub order: Option<OrderId>,
    pub status: Option<Status>,
    /// Those that were queued before this one.
    pub after: Option<Uuid>,
}

/// The newest first; one more than `limit`, to tell whether there are more.
pub async fn list(conn: &mut AsyncPgConnection, filter: Filter, limit: i64) -> QueryResult<Vec<View>> {
    let mut query = notifications::table.select(View::as_select()).order(notifications::id.desc()).into_boxed();
    if let Some(order) = filter.order {
        query = query.filter(notifications::order_id.eq(order.0));
    }
    if let Some(status) = filter.status {
        query = query.filter(notifications::status.eq(status.as_str()));
    }
    if let Some(after) = filter.after {
        query = query.filter(notifications::id.lt(after));
    }
    query.limit(limit + 1).load(conn).await
}

pub async fn find(conn: &mut AsyncPgConnection, id: NotificationId) -> QueryResult<Option<(View, Option<String>)>> {
    let row = notifications::table.find(id.0).select(View::as_select());
    let Some(found) = row.first(conn).await.optional()? else { return Ok(None) };
    let html = html_letters::table.find(id.0).select(html_letters::html).first(conn).await.optional()?;
    Ok(Some((found, html)))
}
