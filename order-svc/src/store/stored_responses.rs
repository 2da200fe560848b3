//! Responses that are stored under an `Idempotency-Key`, so that a repeated POST gets the first response again.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Binary, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::idempotency::{IdempotentRequest, KeyRefused};
use service_kit::prepared;
use uuid::Uuid;

use crate::schema::idempotency_keys;

/// A 202 as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct StoredResponse {
    pub location: String,
    /// The body, byte for byte.
    pub body: Vec<u8>,
}

/// The response that was given to this request before, if any. Otherwise the key is claimed for this transaction.
pub async fn claim(
    mut conn: &AsyncPgConnection,
    idempotency: &IdempotentRequest,
) -> QueryResult<Result<Option<StoredResponse>, KeyRefused>> {
    let columns = (idempotency_keys::request, (idempotency_keys::location, idempotency_keys::body));
    let stored = idempotency_keys::table.find(&idempotency.key).select(columns).first(&mut conn);
    idempotency.claim(conn, stored).await
}

prepared! {
    /// Keeps an answer under its key.
    pub(super) struct Keep<'a> {
        key: &'a str as Text,
        request: &'a [u8] as Binary,
        order_id: Uuid as SqlUuid,
        location: &'a str as Text,
        body: &'a [u8] as Binary,
        created_at: DateTime<Utc> as Timestamptz,
    };
    "insert into idempotency_keys (key, request, order_id, location, body, created_at) values (?, ?, ?, ?, ?, ?)"
}

/// Whether it was refused since the key has an answer by now.
pub fn is_taken(error: &diesel::result::Error) -> bool {
    use diesel::result::DatabaseErrorKind::UniqueViolation;
    matches!(error, diesel::result::Error::DatabaseError(UniqueViolation, of) if of.table_name() == Some("idempotency_keys"))
}
