//! Requests with an `Idempotency-Key`: each has one effect, however often it is sent. This is the part that all
//! services share; each service decides which responses it stores, and where.

use diesel::define_sql_function;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// A request that must have one effect, however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// The `Idempotency-Key`.
    pub key: String,
    /// SHA-256 of the request. It is a hash because a request may hold a name and an address.
    pub request: Vec<u8>,
}

/// The result of claiming a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdempotencyClaim<Answer> {
    /// The key is new. It is ours until the transaction ends.
    New,
    /// The same request was answered before, with this response.
    Answered(Answer),
    /// Another request was answered under this key.
    OtherRequest,
    /// Another request under this key is in progress.
    InFlight,
}

define_sql_function! {
    /// Takes the lock until the transaction ends, if it is free. Returns whether it was.
    fn pg_try_advisory_xact_lock(lock: BigInt) -> Bool;
}
define_sql_function! {
    /// A 64-bit hash of a text.
    fn hashtextextended(text: Text, seed: BigInt) -> BigInt;
}

impl IdempotentRequest {
    /// Claims the key for this transaction. It tries a lock that ends with the transaction, so nobody waits for
    /// another's request, and whoever gets the lock next sees what its last holder wrote. This needs `read
    /// committed`, PostgreSQL's default. Returns false while somebody else holds the lock, which means
    /// [`IdempotencyClaim::InFlight`].
    ///
    /// # Errors
    /// Fails if the statement fails.
    pub async fn lock(&self, mut conn: &AsyncPgConnection) -> QueryResult<bool> {
        let lock = hashtextextended(format!("idempotency-key {}", self.key), 0);
        diesel::select(pg_try_advisory_xact_lock(lock)).get_result(&mut conn).await
    }

    /// Compares this request with the one that is stored under the locked key, if any, together with its response.
    pub fn compared<Answer>(&self, kept: Option<(Vec<u8>, Answer)>) -> IdempotencyClaim<Answer> {
        match kept {
            None => IdempotencyClaim::New,
            Some((request, answer)) if request == self.request => IdempotencyClaim::Answered(answer),
            Some(_) => IdempotencyClaim::OtherRequest,
        }
    }
}
