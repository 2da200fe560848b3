//! Placing an order: what it reads goes out at once, and what it writes is one statement.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Jsonb, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use futures_util::future::{join, join3};
use serde_json::Value;
use service_kit::idempotency::{IdempotentRequest, KeyRefused};
use service_kit::transaction::Transaction;
use service_kit::{Together, prepared, timers};
use uuid::Uuid;

use super::DEADLINE_TIMER;
use super::loaded::told;
use super::products::{self, Catalogue};
use super::rows::json;
use super::stored_responses::{self, Keep, StoredResponse};
use super::{AnnounceError, Root, history};
use crate::domain::{LastSequences, Order};

pub struct BeforePlacing {
    pub claim: Result<Option<StoredResponse>, KeyRefused>,
    pub catalogue: Catalogue,
}

/// Begins the transaction, claims the key and looks up the products, in one round trip.
pub async fn begin(
    transaction: &Transaction<'_>,
    idempotency: Option<&IdempotentRequest>,
    skus: &[&str],
) -> QueryResult<BeforePlacing> {
    let claim = async {
        match idempotency {
            Some(idempotency) => stored_responses::claim(transaction.conn(), idempotency).await,
            None => Ok(Ok(None)),
        }
    };
    let (begun, claim, catalogue) = join3(transaction.begin(), claim, products::find(transaction.conn(), skus)).await;
    begun?;
    Ok(BeforePlacing { claim: claim?, catalogue: catalogue? })
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
    };
    "insert into orders (id, customer_id, placed, pieces, placed_at, facts, status, version, said, updated_at, recorded, \
         waiting_since, stock_rank, payment_rank, shipment_rank) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0)"
}

impl<'a> NewOrder<'a> {
    fn of(order: &'a Order, root: &Root) -> QueryResult<Self> {
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
            updated_at: order.updated_at,
            has_deadline: false,
        }
    }
}
