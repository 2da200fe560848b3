use actix_web::HttpResponse;
use actix_web::web::{Data, ServiceConfig, resource};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use service_kit::Pool;
use service_kit::auth::Caller;
use service_kit::http::{Cursor, Limit, Paged, Path, Problem, Query};
use shared_events::{NotificationId, OrderId};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::domain::{Channel, Status};
use crate::store::notifications::{self, Filter, View};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/notifications").get(list))
        .service(resource("/api/v1/notifications/{id}").get(show));
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    #[param(inline)]
    order_id: Option<OrderId>,
    #[param(inline)]
    status: Option<Status>,
    #[param(inline)]
    channel: Option<Channel>,
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<Uuid>)]
    cursor: Option<Cursor<Uuid>>,
}

/// A notification in a list.
#[derive(Serialize, ToSchema)]
#[schema(as = Notification, example = json!(super::examples::listed()))]
pub(super) struct Listed {
    id: Uuid,
    order_id: Uuid,
    template: String,
    /// `email`, `sms` or `push`.
    channel: String,
    /// The address or number. Nothing while the customer isn't known or once they are forgotten, and of a device, whose token
    /// is nobody's to read.
    to: Option<String>,
    status: String,
    created_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
}

/// A notification by itself, with its letter.
#[derive(Serialize, ToSchema)]
#[schema(as = NotificationWithText, example = json!(super::examples::whole()))]
pub(super) struct Whole {
    #[serde(flatten)]
    listed: Listed,
    subject: Option<String>,
    text: Option<String>,
    html: Option<String>,
    attempts: i32,
    last_error: Option<String>,
}

/// Notifications to customers, the newest first
#[utoipa::path(
    get, path = "/api/v1/notifications", tag = "notifications", operation_id = "list_notifications", params(ListQuery),
    responses((status = 200, description = "A page of them.", body = Paged<Listed>))
)]
pub(super) async fn list(pool: Data<Pool>, caller: Caller, query: Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let Query(ListQuery { order_id, status, channel, limit, cursor }) = query;
    let limit = limit.unwrap_or_default().get();
    let after = cursor.map(|Cursor(after)| after);
    let filter = Filter { order: order_id, customer: caller.customer()?, status, channel, after };
    let rows = notifications::list(&mut *pool.get().await?, filter, limit).await?;
    let paged = Paged::from_rows(rows, limit, |row| row.id.to_string());
    Ok(HttpResponse::Ok().json(paged.map(Listed::from)))
}

/// A notification, with its letter
#[utoipa::path(
    get, path = "/api/v1/notifications/{id}", tag = "notifications", operation_id = "get_notification",
    params(("id" = inline(NotificationId), Path, description = "The notification.")),
    responses((status = 200, description = "The notification.", body = Whole))
)]
pub(super) async fn show(pool: Data<Pool>, caller: Caller, id: Path<Uuid>) -> Result<HttpResponse, Problem> {
    let found = notifications::find(&mut *pool.get().await?, NotificationId(id.0), caller.customer()?).await?;
    let found = found.ok_or_else(|| Problem::not_found(format!("There is no notification {}.", id.0)))?;
    let (row, html) = found;
    Ok(HttpResponse::Ok().json(Whole::of(row, html)))
}

impl From<View> for Listed {
    fn from(row: View) -> Self {
        Self {
            id: row.id,
            order_id: row.order_id,
            template: row.template,
            to: row.recipient.filter(|_| row.channel != Channel::Push.as_str()),
            channel: row.channel,
            status: row.status,
            created_at: row.created_at,
            sent_at: row.sent_at,
        }
    }
}

impl Whole {
    fn of(mut row: View, html: Option<String>) -> Self {
        let (subject, text, last_error) = (row.subject.take(), row.body.take(), row.last_error.take());
        Self { attempts: row.attempts, subject, text, html, last_error, listed: Listed::from(row) }
    }
}
