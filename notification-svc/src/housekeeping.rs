//! How long rows are kept that nobody needs any more.

use std::time::Duration;

use service_kit::auth;
use service_kit::housekeeping::TimeToLive;

/// Deletes all notifications of an order or none, so that what is left never looks as if the customer had been told
/// only that. None is deleted while one is queued or young.
const NOTIFICATIONS: &str = "delete from notifications where order_id in (
        select order_id from notifications join old on old.key = notifications.id
        except
        select order_id from notifications
         where order_id in (select order_id from notifications join old on old.key = notifications.id)
           and (status = 'queued' or created_at >= now() - make_interval(secs => $1)))
    returning id as key";
const HTML: &str = "delete from html_letters where notification_id in (select key from deleted)";

/// The tables whose rows expire. Roots never do: a late event must find the customer, and sequences go on.
pub fn times_to_live(notifications: Duration) -> Vec<TimeToLive> {
    let done = TimeToLive::new("notifications", "id", "created_at", notifications).only("status <> 'queued'");
    vec![done.deleting(NOTIFICATIONS).also(HTML), auth::time_to_live()]
}
