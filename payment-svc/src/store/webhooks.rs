//! The gateway's events that were received, each once.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::prepared;
use shared_events::OrderId;
use uuid::Uuid;

use crate::domain::State;
use crate::{schema::webhook_events, webhooks::WebhookEvent};

shared_events::named! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Outcome: as_str {
        Applied = "applied",
        /// What it tells is known, or nothing follows from it.
        NothingNew = "nothing_new",
        /// It tells of no payment of this service.
        NotOurs = "not_ours",
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It was received before.
    Before,
    /// It was written down now, and nothing follows from it.
    Noted(Outcome),
    /// It may tell something of this order's payment: nothing is written yet.
    MayTell(OrderId),
}

/// Receives events, with one statement. It writes down those from which nothing can follow in their payment's state.
pub async fn receive(conn: &mut AsyncPgConnection, events: &[WebhookEvent]) -> QueryResult<Vec<Received>> {
    let mut rows = Receive::default();
    for event in events {
        let states: Vec<_> = State::ALL.into_iter().filter(|state| event.may_tell(*state)).map(State::as_str).collect();
        rows.ids.push(&event.id);
        rows.kinds.push(&event.kind);
        rows.intents.push(event.intent.as_deref());
        rows.states.push(states.join(","));
        rows.count_silence.push(!event.tells_of_money_back());
        rows.own_refunds.push(event.refund_that_was_made());
    }
    let found: Vec<(String, Option<Uuid>, bool, bool, bool)> = rows.load(conn).await?;
    let mut noted = BTreeSet::new();
    let received = events.iter().map(|event| match found.iter().find(|(id, ..)| *id == event.id) {
        // Each occurrence: nothing is written yet, and whoever handles the first one may fail. `take` lets one through.
        Some((_, Some(order), true, false, _)) => Received::MayTell(OrderId(*order)),
        Some((_, order, _, _, true)) if noted.insert(&event.id) => {
            Received::Noted(if order.is_some() { Outcome::NothingNew } else { Outcome::NotOurs })
        }
        _ => Received::Before,
    });
    Ok(received.collect())
}

prepared! {
    /// For each event about a payment: its order, whether it may tell something, whether it was received before, and
    /// whether it was written down now.
    #[derive(Default)]
    struct Receive<'a> {
        ids: Vec<&'a str> as Array<Text>,
        kinds: Vec<&'a str> as Array<Text>,
        intents: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        states: Vec<String> as Array<Text>,
        count_silence: Vec<bool> as Array<Bool>,
        own_refunds: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    } -> (Text, Nullable<SqlUuid>, Bool, Bool, Bool);
    "with heard as materialized ( \
         select heard.*, payments.order_id, coalesce((payments.state = any(string_to_array(states, ',')) \
                 or counts_silence and payments.unanswered) and not exists (select from refunds \
                 where refunds.payment_id = payments.payment_id and refunds.gateway_id = own_refund), false) as may_tell \
         from unnest(?, ?, ?, ?, ?, ?) as heard (event_id, type, intent, states, counts_silence, own_refund) \
         left join payments on payments.intent = heard.intent), \
     noted as (insert into webhook_events (event_id, type, intent, outcome) \
         select distinct on (event_id) event_id, type, intent, \
             case when order_id is null then 'not_ours' else 'nothing_new' end \
         from heard where not may_tell order by event_id on conflict do nothing returning event_id) \
     select event_id, order_id, may_tell, exists (select from webhook_events known where known.event_id = heard.event_id), \
         exists (select from noted where noted.event_id = heard.event_id) \
     from heard"
}

/// Writes down an event from which something may follow, with its outcome; false if it was received before.
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
