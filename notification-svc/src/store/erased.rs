//! What names a person, deleted once they are forgotten.

use diesel::QueryResult;
use diesel::sql_types::{Array, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::prepared;
use uuid::Uuid;

use super::loaded::Loaded;

/// Deletes it from all that is kept of the orders whose person is forgotten, but for the roots, which are saved with the
/// others. Their statuses and templates stay. What was deleted before is deleted again, so that a replay ends the same way.
pub(super) async fn erase(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let orders: Vec<_> = loaded.to_erase.iter().map(|order| order.0).collect();
    if !orders.is_empty() {
        Erase { orders: &orders }.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    struct Erase<'a> { orders: &'a [Uuid] as Array<SqlUuid> };
    "with forgotten as materialized (select unnest(?) as order_id),
     html as (
        delete from html_letters using notifications, forgotten
         where html_letters.notification_id = notifications.id and notifications.order_id = forgotten.order_id),
     names as (delete from line_names using forgotten where line_names.order_id = forgotten.order_id)
     update notifications set recipient = null, subject = null, body = null, fact = null, last_error = null
       from forgotten where notifications.order_id = forgotten.order_id"
}
