use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use shared_events::{NotificationId, OrderId};
use uuid::Uuid;

use crate::domain::{Channel, Status};
use crate::schema::{html_letters, notifications, orders};

#[derive(Queryable, Selectable)]
#[diesel(table_name = notifications, check_for_backend(diesel::pg::Pg))]
pub struct View {
    pub id: Uuid,
    pub order_id: Uuid,
    pub template: String,
    pub channel: String,
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
pub struct Filter<'a> {
    pub order: Option<OrderId>,
    /// Whose they have to be.
    pub customer: Option<&'a str>,
    pub status: Option<Status>,
    pub channel: Option<Channel>,
    /// Those that were queued before this one.
    pub after: Option<Uuid>,
}

/// The newest first; one more than `limit`, to tell whether there are more.
pub async fn list(conn: &mut AsyncPgConnection, filter: Filter<'_>, limit: i64) -> QueryResult<Vec<View>> {
    let mut query = notifications::table.select(View::as_select()).order(notifications::id.desc()).into_boxed();
    if let Some(order) = filter.order {
        query = query.filter(notifications::order_id.eq(order.0));
    }
    if let Some(customer) = filter.customer {
        let theirs = orders::table.filter(orders::customer_id.eq(customer)).select(orders::order_id);
        query = query.filter(notifications::order_id.eq_any(theirs));
    }
    if let Some(status) = filter.status {
        query = query.filter(notifications::status.eq(status.as_str()));
    }
    if let Some(channel) = filter.channel {
        query = query.filter(notifications::channel.eq(channel.as_str()));
    }
    if let Some(after) = filter.after {
        query = query.filter(notifications::id.lt(after));
    }
    query.limit(limit + 1).load(conn).await
}

/// The notification, if it is this customer's, where it must be somebody's.
pub async fn find(
    conn: &mut AsyncPgConnection,
    id: NotificationId,
    customer: Option<&str>,
) -> QueryResult<Option<(View, Option<String>)>> {
    let mut row = notifications::table.filter(notifications::id.eq(id.0)).select(View::as_select()).into_boxed();
    if let Some(customer) = customer {
        let theirs = orders::table.filter(orders::customer_id.eq(customer)).select(orders::order_id);
        row = row.filter(notifications::order_id.eq_any(theirs));
    }
    let Some(found) = row.first(conn).await.optional()? else { return Ok(None) };
    let html = html_letters::table.find(id.0).select(html_letters::html).first(conn).await.optional()?;
    Ok(Some((found, html)))
}
