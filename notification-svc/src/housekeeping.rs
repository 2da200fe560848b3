//! How long rows live that nobody asks for any more.

use std::time::Duration;

use service_kit::housekeeping::TimeToLive;

/// All messages of an order or none, so that what is left never looks as if it had been told in part; none while one waits
/// to be sent, or is young.
const MESSAGES: &str = "delete from notifications where order_id in (
        select order_id from notifications join old on old.key = notifications.id
        except
        select order_id from notifications
         where order_id in (select order_id from notifications join old on old.key = notifications.id)
           and (status = 'queued' or created_at >= now() - make_interval(secs => $1)))
    returning id as key";
const HTML: &str = "delete from html_letters where notification_id in (select key from deleted)";

/// What grows old here. Whom an order belongs to, and how far it was announced, is kept.
pub fn times_to_live(messages: Duration) -> Vec<TimeToLive> {
    let done = TimeToLive::new("notifications", "id", "created_at", messages).only("status <> 'queued'");
    vec![done.deleting(MESSAGES).also(HTML)]
}
