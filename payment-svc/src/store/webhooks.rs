//! The gateway's events that were received, each once.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{schema::webhook_events, webhooks::WebhookEvent};

/// What an event has come to, as it stands in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It told something, which was applied.
    Applied,
    /// What it tells is known, or nothing follows from it.
    NothingNew,
    /// It tells of no payment of this service.
    NotOurs,
}

impl Outcome {
    /// As it stands in the table and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NothingNew => "nothing_new",
            Self::NotOurs => "not_ours",
        }
    }
}

/// Whether the event was received before.
pub async fn is_known(conn: &mut AsyncPgConnection, event_id: &str) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(webhook_events::table.find(event_id))).get_result(conn).await
}

/// Takes the event, which waits for another transaction that has it; false when it was received before.
pub async fn take(conn: &mut AsyncPgConnection, event: &WebhookEvent, outcome: Outcome) -> QueryResult<bool> {
    let row = (
        webhook_events::event_id.eq(&event.id),
        webhook_events::type_.eq(&event.kind),
        webhook_events::intent.eq(event.intent.as_deref()),
        webhook_events::outcome.eq(outcome.as_str()),
    );
    let taken = diesel::insert_into(webhook_events::table).values(row).on_conflict_do_nothing().execute(conn).await?;
    Ok(taken == 1)
}

/// Notes that an event that was taken has come to something else.
pub async fn conclude(conn: &mut AsyncPgConnection, event_id: &str, outcome: Outcome) -> QueryResult<()> {
    let concluded = webhook_events::outcome.eq(outcome.as_str());
    diesel::update(webhook_events::table.find(event_id)).set(concluded).execute(conn).await.map(drop)
}
