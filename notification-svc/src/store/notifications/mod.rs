//! What customers were told, are told, and will be told.

mod queue;
mod views;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{Array, Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use service_kit::prepared;
use shared_events::{NotificationId, OrderId};
use uuid::Uuid;

pub use self::queue::{Due, LEASE_SECONDS, TAKE_DUE, next_due, take_due};
pub use self::views::{Filter, View, find, list};
use super::loaded::Loaded;
use crate::domain::{Channel, Letter, Notification, Origin, Status, Verdict};

/// Whether rows are locked as they are read. A worker takes rows without locking their root, and passes over locked
/// rows, so whoever records tries locks them. Reactions change nothing that a take changes, and must not hide rows from
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    None,
    Rows,
}

type Row = (SqlUuid, SqlUuid, Text, Text, SqlUuid, Timestamptz, Text, Integer, Bool, Nullable<Jsonb>);
type Read = (Uuid, Uuid, String, String, Uuid, DateTime<Utc>, String, i32, bool, Option<Value>);

prepared! {
    struct OfOrders<'a> { orders: &'a [Uuid] as Array<SqlUuid> } -> Row;
    "select id, order_id, template, channel, event_id, happened_at, status, attempts, ready, fact from notifications \
     where order_id = any (?)"
}

prepared! {
    struct OfOrdersLocked<'a> { orders: &'a [Uuid] as Array<SqlUuid> } -> Row;
    "select id, order_id, template, channel, event_id, happened_at, status, attempts, ready, fact from notifications \
     where order_id = any (?) order by id for update"
}

pub(super) async fn of_orders(
    mut conn: &AsyncPgConnection,
    orders: &[Uuid],
    lock: Lock,
) -> QueryResult<Vec<(OrderId, Notification)>> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Read> = match lock {
        Lock::None => OfOrders { orders }.load(&mut conn).await?,
        Lock::Rows => OfOrdersLocked { orders }.load(&mut conn).await?,
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// None if it goes by a channel that only a newer build knows: that build alone decides about it.
fn read(row: Read) -> Option<(OrderId, Notification)> {
    let (id, order_id, template, channel, event_id, happened_at, status, attempts, ready, content) = row;
    let channel = Channel::from_name(&channel)?;
    // A status that only a newer build knows counts as done. It is never written back, and must not keep the results of
    // the order's other messages from being recorded, which would send them again and again.
    let status = Status::from_name(&status).unwrap_or(Status::Failed);
    let origin = Origin { event_id, happened_at, traceparent: None };
    let id = NotificationId(id);
    let (letter, verdict) = (None, None);
    let notification =
        Notification { id, template, channel, origin, status, attempts, ready, content, letter, verdict };
    Some((OrderId(order_id), notification))
}

/// Writes the notifications that were queued, and their letters as HTML.
pub(super) async fn insert(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let mut rows = Insert::default();
    for root in loaded.orders.values() {
        for new in root.new_notifications() {
            rows.ids.push(new.id.0);
            rows.order_ids.push(root.order.id.0);
            rows.templates.push(&new.template);
            rows.channels.push(new.channel.as_str());
            rows.event_ids.push(new.origin.event_id);
            rows.happened_at.push(new.origin.happened_at);
            rows.contents.push(new.content.as_ref());
            let [recipient, subject, body, html] = texts(new.letter.as_ref());
            rows.recipients.push(recipient);
            rows.subjects.push(subject);
            rows.bodies.push(body);
            rows.htmls.push(html);
            rows.statuses.push(new.status.as_str());
            rows.errors.push(new.verdict.as_ref().and_then(|verdict| Failure::of(verdict).error));
            rows.traceparents.push(new.origin.traceparent.as_deref());
            rows.ready.push(new.ready);
        }
    }
    if !rows.ids.is_empty() {
        rows.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    #[derive(Default)]
    struct Insert<'a> {
        ids: Vec<Uuid> as Array<SqlUuid>,
        order_ids: Vec<Uuid> as Array<SqlUuid>,
        templates: Vec<&'a str> as Array<Text>,
        channels: Vec<&'a str> as Array<Text>,
        event_ids: Vec<Uuid> as Array<SqlUuid>,
        happened_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
        contents: Vec<Option<&'a Value>> as Array<Nullable<Jsonb>>,
        recipients: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        subjects: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        bodies: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        htmls: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        traceparents: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        ready: Vec<bool> as Array<Bool>,
        statuses: Vec<&'a str> as Array<Text>,
        errors: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    };
    "with new as materialized (
        select * from unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) as new (id, order_id, template, channel, event_id, \
            happened_at, fact, recipient, subject, body, html, traceparent, ready, status, error)),
     queued as (
        insert into notifications (id, order_id, template, channel, event_id, happened_at, fact, recipient, subject, body, \
            traceparent, ready, status, last_error)
        select id, order_id, template, channel, event_id, happened_at, fact, recipient, subject, body, traceparent, ready, \
            status, error from new)
     insert into html_letters (notification_id, html) select id, html from new where html is not null"
}

/// Writes what changed of known notifications: whose turn it is, letters that waited for their customer, and what came
/// of sending. What isn't decided here stays as the row has it.
pub(super) async fn update(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let mut rows = Update::default();
    for changed in loaded.orders.values().flat_map(|root| root.changed_notifications()) {
        let failure = changed.verdict.as_ref().map(Failure::of).unwrap_or_default();
        rows.ids.push(changed.id.0);
        rows.ready.push(changed.ready);
        let [recipient, subject, body, html] = texts(changed.letter.as_ref());
        rows.channels.push(changed.channel.as_str());
        rows.recipients.push(recipient);
        rows.subjects.push(subject);
        rows.bodies.push(body);
        rows.htmls.push(html);
        rows.statuses.push(changed.verdict.as_ref().map(|_| changed.status.as_str()));
        rows.attempts.push(changed.verdict.as_ref().map(|_| changed.attempts));
        rows.waits.push(failure.wait);
        rows.errors.push(failure.error);
        rows.error_codes.push(failure.code);
    }
    if !rows.ids.is_empty() {
        rows.execute(&mut conn).await?;
    }
    Ok(())
}

/// Recipient, subject, body and HTML of a letter.
fn texts(letter: Option<&Letter>) -> [Option<&str>; 4] {
    let Some(Letter { recipient, subject, body, html }) = letter else { return [None; 4] };
    [Some(recipient.as_str()), subject.as_deref(), Some(body.as_str()), html.as_deref()]
}

/// What is kept of a try that did not end in a sent message.
#[derive(Default)]
struct Failure<'a> {
    error: Option<&'a str>,
    /// The kind of failure, if the notification is tried again.
    code: Option<&'static str>,
    /// In how many seconds it is due again.
    wait: Option<f64>,
}

impl<'a> Failure<'a> {
    fn of(verdict: &'a Verdict) -> Self {
        match verdict {
            Verdict::Sent => Self::default(),
            Verdict::PutBack { error } => Self { error: Some(error), code: Some("server_away"), wait: Some(0.0) },
            Verdict::PutOff { wait, error } => {
                Self { error: Some(error), code: Some("refused_for_now"), wait: Some(wait.as_secs_f64()) }
            }
            Verdict::GivenUp { error } => Self { error: Some(error), ..Self::default() },
            Verdict::Suppressed { reason } => Self { error: Some(reason.as_str()), ..Self::default() },
        }
    }
}

prepared! {
    #[derive(Default)]
    struct Update<'a> {
        ids: Vec<Uuid> as Array<SqlUuid>,
        ready: Vec<bool> as Array<Bool>,
        channels: Vec<&'a str> as Array<Text>,
        recipients: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        subjects: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        bodies: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        htmls: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        statuses: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        attempts: Vec<Option<i32>> as Array<Nullable<Integer>>,
        waits: Vec<Option<f64>> as Array<Nullable<Double>>,
        errors: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        error_codes: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    };
    "with new as materialized (
        select * from unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) as new (id, ready, channel, recipient, subject, body, html, \
            status, attempts, wait, error, code)),
     changed as (
        update notifications known set ready = new.ready, channel = new.channel,
            fact = case when new.recipient is null and new.status is null then known.fact end,
            recipient = coalesce(new.recipient, known.recipient),
            subject = coalesce(new.subject, known.subject),
            body = coalesce(new.body, known.body),
            status = coalesce(new.status, known.status),
            attempts = coalesce(new.attempts, known.attempts),
            due_at = coalesce(now() + make_interval(secs => new.wait), known.due_at),
            sent_at = case when new.status = 'sent' then now() else known.sent_at end,
            last_error = case when new.status is null then known.last_error else new.error end,
            error_code = coalesce(new.code, known.error_code),
            failing_since = case when new.code is null then known.failing_since else coalesce(known.failing_since, now()) end
        from new where known.id = new.id)
     insert into html_letters (notification_id, html) select id, html from new where html is not null"
}
