//! The queue of notifications that are to be sent now.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::now;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Int4, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::prepared;
use shared_events::SuppressReason;
use uuid::Uuid;

use crate::domain::{Channel, Status, Template};
use crate::schema::notifications;

/// A worker's lease on a notification. It is well beyond what a server is given, so only a worker that died is
/// overtaken.
pub const LEASE_SECONDS: i32 = 120;

#[derive(Clone, PartialEq, Eq, Queryable)]
pub struct Due {
    pub id: Uuid,
    pub order_id: Uuid,
    pub template: String,
    pub event_id: Uuid,
    pub recipient: String,
    /// None of a text message.
    pub subject: Option<String>,
    pub body: String,
    /// Which try this is, from 1.
    pub attempts: i32,
    pub traceparent: Option<String>,
    pub html: Option<String>,
    /// It promises that the order goes on, and the order is cancelling or cancelled.
    pub belied: bool,
    /// A later notification repeats it, or says that it is done.
    pub superseded: bool,
    pub created_at: DateTime<Utc>,
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

/// Takes a channel's due notifications and leases them. The parameters are the lease in seconds, the channel, how many, the
/// templates that promise that the order goes on, and the template of which only the last is true; a confirmed order
/// supersedes what asks to confirm its payment. The array makes the planner look rows up by id, whatever it takes the limit for.
pub const TAKE_DUE: &str = "update notifications taken
        set attempts = taken.attempts + 1, due_at = now() + ? * interval '1 second'
      where taken.id = any (array(
            select due.id from notifications due
             where due.ready and due.status = 'queued' and due.channel = ? and due.due_at <= now()
             order by due.due_at, due.id
             limit ?
               for update skip locked))
     returning id, order_id, template, event_id, recipient, subject, body, attempts, traceparent,
        (select html from html_letters where notification_id = taken.id) as html,
        template = any (?) and (select ending from orders where orders.order_id = taken.order_id) as belied,
        template = ? and exists (
            select from notifications later
             where later.order_id = taken.order_id and later.template = taken.template
               and later.event_id <> taken.event_id
               and (later.happened_at, later.id) > (taken.happened_at, taken.id))
        or template = 'payment_action_required' and exists (
            select from notifications confirmed
             where confirmed.order_id = taken.order_id and confirmed.template = 'order_confirmed') as superseded,
        created_at";

type DueRow = (
    SqlUuid,
    SqlUuid,
    Text,
    SqlUuid,
    Text,
    Nullable<Text>,
    Text,
    Int4,
    Nullable<Text>,
    Nullable<Text>,
    Bool,
    Bool,
    Timestamptz,
);

prepared! {
    struct TakeDue<'a> {
        lease: i32 as Integer,
        channel: &'a str as Text,
        limit: i64 as BigInt,
        promises: &'a [&'a str] as Array<Text>,
        address_changed: &'a str as Text,
    } -> DueRow;
    TAKE_DUE
}

/// Takes up to `limit` of a channel's notifications whose turn it is, the longest due first, and leases them. At most one of
/// each order has its turn, whatever the number of workers.
pub async fn take_due(conn: &mut AsyncPgConnection, channel: Channel, limit: i64) -> QueryResult<Vec<Due>> {
    let (lease, promises) = (LEASE_SECONDS, &Template::PROGRESS.map(Template::name));
    let address_changed = Template::OrderAddressChanged.name();
    TakeDue { lease, channel: channel.as_str(), limit, promises, address_changed }.load(conn).await
}

/// How long until a channel's next notification whose turn it is falls due, as its lease or its last try says.
pub async fn next_due(conn: &mut AsyncPgConnection, channel: Channel) -> QueryResult<Option<Duration>> {
    let next: Option<(DateTime<Utc>, DateTime<Utc>)> = notifications::table
        .filter(notifications::ready)
        .filter(notifications::status.eq(Status::Queued.as_str()))
        .filter(notifications::channel.eq(channel.as_str()))
        .order(notifications::due_at)
        .select((notifications::due_at, now.into_sql::<Timestamptz>()))
        .first(conn)
        .await
        .optional()?;
    Ok(next.map(|(due_at, asked)| (due_at - asked).to_std().unwrap_or_default()))
}
