//! Requests that are to have one effect, however often they are sent: what every service does with an `Idempotency-Key`.
//! Which answers are kept, and where, is the service's own.

use diesel::define_sql_function;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// A request that is to have one effect, however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// The `Idempotency-Key`.
    pub key: String,
    /// SHA-256 of what was asked for. A hash, since a request may hold a name and an address.
    pub request: Vec<u8>,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdempotencyClaim<Answer> {
    /// Nothing: it is ours until the transaction ends.
    New,
    /// The same request was answered.
    Answered(Answer),
    /// Another request was answered under this key.
    OtherRequest,
    /// A request under this key is being worked on.
    InFlight,
}

define_sql_function! {
    /// Whether the lock was free; it is ours until the transaction ends.
    fn pg_try_advisory_xact_lock(lock: BigInt) -> Bool;
}
define_sql_function! {
    /// A number for a text.
    fn hashtextextended(text: Text, seed: BigInt) -> BigInt;
}

impl IdempotentRequest {
    /// Claims the key for this transaction by a try-lock that ends with it: nobody ever waits for another's request, and
    /// what the holder wrote can be seen before the lock is free. Needs `read committed`, PostgreSQL's default. False
    /// while somebody else has it: [`IdempotencyClaim::InFlight`].
    ///
    /// # Errors
    /// The database's.
    pub async fn lock(&self, conn: &mut AsyncPgConnection) -> QueryResult<bool> {
        let lock = hashtextextended(format!("idempotency-key {}", self.key), 0);
        diesel::select(pg_try_advisory_xact_lock(lock)).get_result(conn).await
    }

    /// What the request and the answer that are kept under the locked key, if any are, mean for this request.
    pub fn compared<Answer>(&self, kept: Option<(Vec<u8>, Answer)>) -> IdempotencyClaim<Answer> {
        match kept {
            None => IdempotencyClaim::New,
            Some((request, answer)) if request == self.request => IdempotencyClaim::Answered(answer),
            Some(_) => IdempotencyClaim::OtherRequest,
        }
    }
}
