//! Placing an order: what it reads goes out at once, and what it writes is one statement.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use futures_util::future::{join, join4};
use serde_json::Value;
use service_kit::idempotency::{IdempotentRequest, KeyRefused};
use service_kit::transaction::Transaction;
use service_kit::{Together, prepared, timers};
use shared_events::CustomerId;
use uuid::Uuid;

use super::DEADLINE_TIMER;
use super::loaded::told;
use super::products::{self, Catalogue};
use super::rows::json;
use super::stored_responses::{self, Keep, StoredResponse};
use super::{AnnounceError, Root, customers, history};
use crate::domain::{LastSequences, Order, Profile};

pub struct BeforePlacing {
    pub claim: Result<Option<StoredResponse>, KeyRefused>,
    pub catalogue: Catalogue,
    pub profile: Option<Profile>,
}

/// Begins the transaction, claims the key, looks up the products and, if asked for, a customer's profile, in one round
/// trip.
pub async fn begin(
    transaction: &Transaction<'_>,
    idempotency: Option<&IdempotentRequest>,
    skus: &[&str],
    profile_of: Option<&CustomerId>,
) -> QueryResult<BeforePlacing> {
    let claim = async {
        match idempotency {
            Some(idempotency) => stored_responses::claim(transaction.conn(), idempotency).await,
            None => Ok(Ok(None)),
        }
    };
    let profile = async {
        match profile_of {
            Some(id) => customers::profile(transaction.conn(), id).await,
            None => Ok(None),
        }
    };
    let products = products::find(transaction.conn(), skus);
    let (begun, claim, catalogue, profile) = join4(transaction.begin(), claim, products, profile).await;
    begun?;
    Ok(BeforePlacing { claim: claim?, catalogue: catalogue?, profile: profile? })
}

/// Writes a new order, its history, `order.placed`, deadline and stored response, and commits: one round trip.
pub async fn commit(
    transaction: &Transaction<'_>,
    order: &Order,
    answered: Option<(&IdempotentRequest, &StoredResponse)>,
) -> Result<(), AnnounceError> {
    let mut root = Root::placed(order);
    let (history, rows) = told(&mut root, None, order.placed_at, &[order.placed.clone().into()], None)?;
    let order_id = order.placed.order_id;
    let key = order_id.to_string();
    let (insert, history) = (NewOrder::of(order, &root)?, history::appending(order.placed_at, &history));
    let deadline = timers::setting(DEADLINE_TIMER, &[(&key, order.placed.deadline)]);
    let announced = outbox_relay::appending(&rows)?;
    let conn = &mut transaction.conn();
    let (written, committed) = match answered {
        None => {
            let all = Together((insert, history, deadline, announced));
            join(all.execute(conn), transaction.commit()).await
        }
        Some((idempotency, StoredResponse { location, body })) => {
            let (IdempotentRequest { key, request }, created_at) = (idempotency, order.placed_at);
            let kept = Keep { key, request, order_id: order_id.0, location, body, created_at };
            let all = Together((insert, history, deadline, announced, kept));
            join(all.execute(conn), transaction.commit()).await
        }
    };
    written?;
    Ok(committed?)
}

prepared! {
    struct NewOrder<'a> {
        id: Uuid as SqlUuid,
        customer_id: &'a str as Text,
        placed: Value as Jsonb,
        pieces: i64 as BigInt,
        placed_at: DateTime<Utc> as Timestamptz,
        facts: Value as Jsonb,
        status: &'a str as Text,
        version: i64 as BigInt,
        said: i64 as BigInt,
        updated_at: DateTime<Utc> as Timestamptz,
        recorded: i64 as BigInt,
        waiting_since: DateTime<Utc> as Timestamptz,
        waiting_for: Option<&'a str> as Nullable<Text>,
        waiting_from: Option<&'a str> as Nullable<Text>,
        overdue_at: Option<DateTime<Utc>> as Nullable<Timestamptz>,
        overdue_not_before: Option<DateTime<Utc>> as Nullable<Timestamptz>,
    };
    "insert into orders (id, customer_id, placed, pieces, placed_at, facts, status, version, said, updated_at, recorded, \
         waiting_since, waiting_for, waiting_from, overdue_at, overdue_not_before, stock_rank, payment_rank, shipment_rank) \
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0)"
}

impl<'a> NewOrder<'a> {
    fn of(order: &'a Order, root: &Root) -> QueryResult<Self> {
        let (waiting, overdue_at) = (root.progress.waiting_for(), root.overdue_at());
        Ok(Self {
            id: order.placed.order_id.0,
            customer_id: order.placed.customer.id.as_str(),
            placed: json(&order.placed)?,
            pieces: order.progress.pieces,
            placed_at: order.placed_at,
            facts: json(&order.progress.facts)?,
            status: order.progress.status.name(),
            version: root.version,
            said: root.said,
            updated_at: root.updated_at,
            recorded: root.recorded,
            waiting_since: root.waiting_since,
            waiting_for: waiting.map(|waiting| waiting.fact),
            waiting_from: waiting.map(|waiting| waiting.from),
            overdue_at,
            overdue_not_before: overdue_at,
        })
    }
}

impl Root {
    /// The root of a new order, of which nothing was published yet.
    fn placed(order: &Order) -> Self {
        Self {
            progress: order.progress.clone(),
            destination: None,
            last_sequences: LastSequences::default(),
            version: order.version,
            said: 0,
            recorded: 0,
            waiting_since: order.waiting_since,
            overdue_not_before: None,
            updated_at: order.updated_at,
            has_deadline: false,
            forgotten: false,
        }
    }
}
