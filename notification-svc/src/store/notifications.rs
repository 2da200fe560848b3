//! What customers were told, are told, and will be told.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::{IntervalDsl, now};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use shared_events::{NotificationId, OrderId, SuppressReason};
use uuid::Uuid;

use crate::domain::{Letter, Status, Template};
use crate::schema::{html_letters, notifications};

/// While one worker tries a message, others leave it alone for this long: well beyond what a mail server is given, so
/// that only a worker that died is overtaken.
pub const LEASE_SECONDS: i32 = 120;

/// A message to be kept: its letter, or, while the customer isn't known, the fact.
#[derive(Insertable)]
#[diesel(table_name = notifications, treat_none_as_default_value = false)]
pub struct NewNotification<'a> {
    /// Also its Message-ID.
    pub id: Uuid,
    /// The order.
    pub order_id: Uuid,
    /// Which text.
    pub template: &'a str,
    /// The event that says the fact.
    pub event_id: Uuid,
    /// When it happened.
    pub happened_at: DateTime<Utc>,
    /// Kept until the letter can be written.
    pub fact: Option<serde_json::Value>,
    /// The address.
    pub recipient: Option<&'a str>,
    /// Of the letter.
    pub subject: Option<&'a str>,
    /// Of the letter.
    pub body: Option<&'a str>,
    /// The trace in which the fact was heard.
    pub traceparent: Option<String>,
}

/// Keeps a message. False when this fact was kept before.
pub async fn insert(conn: &mut AsyncPgConnection, new: &NewNotification<'_>) -> QueryResult<bool> {
    let inserted = diesel::insert_into(notifications::table)
        .values(new)
        .on_conflict((notifications::order_id, notifications::template, notifications::event_id))
        .do_nothing()
        .execute(conn)
        .await?;
    Ok(inserted == 1)
}

/// The facts of an order that wait for their customer.
pub async fn waiting(conn: &mut AsyncPgConnection, order: OrderId) -> QueryResult<Vec<(Uuid, serde_json::Value)>> {
    notifications::table
        .filter(notifications::order_id.eq(order.0))
        .filter(notifications::status.eq(Status::Queued.as_str()))
        .filter(notifications::fact.is_not_null())
        .select((notifications::id, notifications::fact.assume_not_null()))
        .load(conn)
        .await
}

/// Puts the letter in the place of the fact: from now on the message can be sent.
pub async fn write(conn: &mut AsyncPgConnection, id: Uuid, recipient: &str, letter: &Letter) -> QueryResult<()> {
    diesel::update(notifications::table.find(id))
        .set((
            notifications::fact.eq(None::<serde_json::Value>),
            notifications::recipient.eq(recipient),
            notifications::subject.eq(&letter.subject),
            notifications::body.eq(&letter.body),
        ))
        .execute(conn)
        .await?;
    keep_html(conn, id, letter).await
}

/// Keeps a letter as HTML, beside its text.
pub async fn keep_html(conn: &mut AsyncPgConnection, id: Uuid, letter: &Letter) -> QueryResult<()> {
    let row = (html_letters::notification_id.eq(id), html_letters::html.eq(&letter.html));
    diesel::insert_into(html_letters::table).values(row).execute(conn).await.map(drop)
}

/// A message that is to be sent now.
#[derive(Clone, PartialEq, Eq, QueryableByName)]
#[diesel(table_name = notifications, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration says what the columns are")]
pub struct Due {
    pub id: Uuid,
    pub order_id: Uuid,
    pub template: String,
    pub event_id: Uuid,
    #[diesel(sql_type = Text)]
    pub recipient: String,
    #[diesel(sql_type = Text)]
    pub subject: String,
    #[diesel(sql_type = Text)]
    pub body: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub html: Option<String>,
    pub attempts: i32,
    #[diesel(sql_type = Nullable<Text>)]
    pub traceparent: Option<String>,
    /// It promises that the order goes on, and the order is to end or has ended.
    #[diesel(sql_type = Bool)]
    pub belied: bool,
    /// A later message says it anew, or that it is done.
    #[diesel(sql_type = Bool)]
    pub superseded: bool,
}

impl Due {
    /// Why it is no longer true, if it isn't.
    pub const fn untrue(&self) -> Option<SuppressReason> {
        match self {
            Self { belied: true, .. } => Some(SuppressReason::OrderEnding),
            Self { superseded: true, .. } => Some(SuppressReason::Superseded),
            _ => None,
        }
    }
}

/// Gives the turn to the message of the order that is to be sent next: the earliest that is not done. What tells of a
/// parcel is held until the confirmation is done with, which another topic may bring later; what is held holds up nothing
/// else, so that two clocks that disagree can't make two messages wait for each other. It is held for nothing where even the
/// first message is gone: then all that was done has passed its time to live. While the customer isn't known, none
/// is next. To be called under the order's root, after any change of what is queued.
pub async fn pass_turn(conn: &mut AsyncPgConnection, order: OrderId) -> QueryResult<()> {
    PassTurn { order: order.0, held: Template::OF_PARCELS.map(Template::name) }.execute(conn).await.map(drop)
}

/// Written by hand with a static id, so that it stays prepared: it runs for every fact that is heard.
struct PassTurn {
    order: Uuid,
    held: [&'static str; Template::OF_PARCELS.len()],
}

impl QueryFragment<Pg> for PassTurn {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "with queued as materialized (
                select id, happened_at, fact, template <> all (",
        );
        out.push_bind_param::<Array<Text>, _>(&self.held[..])?;
        out.push_sql(
            ") or exists (
                        select from notifications confirmed
                         where confirmed.order_id = queued.order_id and confirmed.template = 'order_confirmed'
                           and confirmed.status <> 'queued')
                    or not exists (
                        select from notifications placed
                         where placed.order_id = queued.order_id and placed.template = 'order_placed') as free
                  from notifications queued where status = 'queued' and order_id = ",
        );
        out.push_bind_param::<SqlUuid, _>(&self.order)?;
        out.push_sql(
            "), next as (select id, fact from queued where free order by happened_at, id limit 1)
             update notifications set ready = not ready
              where ready <> coalesce(id = (select id from next where fact is null), false) and order_id = ",
        );
        out.push_bind_param::<SqlUuid, _>(&self.order)
    }
}

impl QueryId for PassTurn {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

/// Takes due messages and leases them: $1 how many, $2 the lease in seconds, $3 the templates that promise that the order
/// goes on, $4 the template of which only the last is true; whether a payment is confirmed, the order's confirmation tells. The array makes the plan one of look-ups by id, whatever the
/// planner takes `$1` for.
pub const TAKE_DUE: &str = "update notifications taken
        set attempts = taken.attempts + 1, due_at = now() + $2 * interval '1 second'
      where taken.id = any (array(
            select due.id from notifications due where due.ready and due.status = 'queued' and due.due_at <= now()
             order by due.due_at, due.id
             limit $1
               for update skip locked))
     returning id, order_id, template, event_id, recipient, subject, body, attempts, traceparent,
        (select html from html_letters where notification_id = taken.id) as html,
        template = any ($3) and (select ending from orders where orders.order_id = taken.order_id) as belied,
        template = $4 and exists (
            select from notifications later
             where later.order_id = taken.order_id and later.template = taken.template
               and (later.happened_at, later.id) > (taken.happened_at, taken.id))
        or template = 'payment_action_required' and exists (
            select from notifications confirmed
             where confirmed.order_id = taken.order_id and confirmed.template = 'order_confirmed') as superseded";

/// Takes up to `limit` messages whose turn it is, the longest due first, and leases them. Of each order at most one has its
/// turn, however many workers there are.
pub async fn take_due(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<Vec<Due>> {
    diesel::sql_query(TAKE_DUE)
        .bind::<BigInt, _>(limit)
        .bind::<Integer, _>(LEASE_SECONDS)
        .bind::<Array<Text>, _>(Template::PROGRESS.map(Template::name).as_slice())
        .bind::<Text, _>(Template::OrderAddressChanged.name())
        .load(conn)
        .await
}

/// How long until the next message whose turn it is is due, as its lease or its last try says.
pub async fn next_due(conn: &mut AsyncPgConnection) -> QueryResult<Option<Duration>> {
    let next: Option<(DateTime<Utc>, DateTime<Utc>)> = notifications::table
        .filter(diesel::dsl::sql::<Bool>("ready"))
        .filter(notifications::status.eq(Status::Queued.as_str()))
        .order(notifications::due_at)
        .select((notifications::due_at, now.into_sql::<Timestamptz>()))
        .first(conn)
        .await
        .optional()?;
    Ok(next.map(|(due_at, asked)| (due_at - asked).to_std().unwrap_or_default()))
}

/// Notes that the mail server has taken a message. False when it was done with already.
pub async fn mark_sent(conn: &mut AsyncPgConnection, id: NotificationId) -> QueryResult<bool> {
    let queued = notifications::table.find(id.0).filter(notifications::status.eq(Status::Queued.as_str()));
    let marked = diesel::update(queued)
        .set((
            notifications::status.eq(Status::Sent.as_str()),
            notifications::sent_at.eq(now),
            notifications::last_error.eq(None::<String>),
        ))
        .execute(conn)
        .await?;
    Ok(marked == 1)
}

/// Gives a message up. False when it was done with already, or when another worker has taken it since this `attempt`: what
/// comes of that one's try decides.
pub async fn mark_failed(
    conn: &mut AsyncPgConnection,
    id: NotificationId,
    attempt: i32,
    error: &str,
) -> QueryResult<bool> {
    let mine = notifications::table.find(id.0).filter(notifications::attempts.eq(attempt));
    let marked = diesel::update(mine.filter(notifications::status.eq(Status::Queued.as_str())))
        .set((notifications::status.eq(Status::Failed.as_str()), notifications::last_error.eq(error)))
        .execute(conn)
        .await?;
    Ok(marked == 1)
}

/// Notes that a message was not sent and won't be, since it is no longer true; that it was taken to be sent was no try.
/// False when it was done with already, or when another worker has taken it since this `attempt`.
pub async fn mark_suppressed(
    conn: &mut AsyncPgConnection,
    id: NotificationId,
    attempt: i32,
    reason: &str,
) -> QueryResult<bool> {
    let mine = notifications::table.find(id.0).filter(notifications::attempts.eq(attempt));
    let marked = diesel::update(mine.filter(notifications::status.eq(Status::Queued.as_str())))
        .set((
            notifications::status.eq(Status::Suppressed.as_str()),
            notifications::attempts.eq(attempt - 1),
            notifications::last_error.eq(reason),
        ))
        .execute(conn)
        .await?;
    Ok(marked == 1)
}

/// Lets a message be tried again after `wait_seconds`, unless another worker has taken it since this `attempt`.
pub async fn try_again(
    conn: &mut AsyncPgConnection,
    id: NotificationId,
    attempt: i32,
    wait_seconds: f64,
    error: &str,
) -> QueryResult<()> {
    let mine = notifications::table.find(id.0).filter(notifications::attempts.eq(attempt));
    #[expect(clippy::cast_possible_truncation, reason = "at most ten minutes")]
    let wait = ((wait_seconds * 1e6) as i64).microseconds();
    diesel::update(mine.filter(notifications::status.eq(Status::Queued.as_str())))
        .set((notifications::due_at.eq(now.into_sql::<Timestamptz>() + wait), notifications::last_error.eq(error)))
        .execute(conn)
        .await
        .map(drop)
}

/// Keeps with a message that waits what kind of failure its last error is, and since when it has been failing. Not when
/// another worker has taken it since this `attempt`.
pub async fn note_failure(
    conn: &mut AsyncPgConnection,
    id: NotificationId,
    attempt: i32,
    code: &str,
) -> QueryResult<()> {
    let note = "update notifications set error_code = $2, failing_since = coalesce(failing_since, now()) \
                where id = $1 and status = 'queued' and attempts = $3";
    let note = diesel::sql_query(note).bind::<SqlUuid, _>(id.0).bind::<Text, _>(code).bind::<Integer, _>(attempt);
    note.execute(conn).await.map(drop)
}

/// Puts a message back that could not be tried since the server is away: it stays due, behind those that were not taken
/// yet, and that it was taken was no try. Not when another worker has taken it since this `attempt`.
pub async fn put_back(conn: &mut AsyncPgConnection, id: NotificationId, attempt: i32, error: &str) -> QueryResult<()> {
    let mine = notifications::table.find(id.0).filter(notifications::attempts.eq(attempt));
    diesel::update(mine.filter(notifications::status.eq(Status::Queued.as_str())))
        .set((
            notifications::due_at.eq(now),
            notifications::attempts.eq(attempt - 1),
            notifications::last_error.eq(error),
        ))
        .execute(conn)
        .await
        .map(drop)
}

/// A message as it is shown.
#[derive(Queryable, Selectable)]
#[diesel(table_name = notifications, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration says what the columns are")]
pub struct Notification {
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

/// Which messages to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Of this order.
    pub order: Option<OrderId>,
    /// In this status.
    pub status: Option<Status>,
    /// Those after this one.
    pub after: Option<Uuid>,
}

/// Messages by their ids, which is the order in which they were made; one more than `limit`, to tell whether there are
/// more.
pub async fn list(conn: &mut AsyncPgConnection, filter: Filter, limit: i64) -> QueryResult<Vec<Notification>> {
    let mut query = notifications::table.select(Notification::as_select()).order(notifications::id.desc()).into_boxed();
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

/// One message, and its letter as HTML.
pub async fn find(
    conn: &mut AsyncPgConnection,
    id: NotificationId,
) -> QueryResult<Option<(Notification, Option<String>)>> {
    let row = notifications::table.find(id.0).select(Notification::as_select());
    let Some(found) = row.first(conn).await.optional()? else { return Ok(None) };
    let html = html_letters::table.find(id.0).select(html_letters::html).first(conn).await.optional()?;
    Ok(Some((found, html)))
}
