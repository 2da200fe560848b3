//! Stripe's lists, newest first: <https://docs.stripe.com/api/pagination>.

use diesel_async::AsyncPgConnection;
use serde_json::{Value, json};

use crate::StripeError;
use crate::disputes::{self, Dispute};
use crate::intents::Intent;
use crate::params::Params;
use crate::store::{self, Refund};

fn limit(params: &Params) -> Result<i64, StripeError> {
    match params.amount("limit")?.unwrap_or(10) {
        limit @ 1..=100 => Ok(limit),
        _ => Err(StripeError::parameter("limit", "parameter_invalid_integer", "A limit is from 1 to 100.")),
    }
}

/// One more than `limit` were looked for, which tells whether there are more.
fn page<T>(url: &str, mut found: Vec<T>, limit: i64, object: impl Fn(&T) -> Value) -> Value {
    let fits = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = found.len() > fits;
    found.truncate(fits);
    let data: Vec<_> = found.iter().map(object).collect();
    json!({"object": "list", "url": url, "has_more": has_more, "data": data})
}

/// The newest refunds of an intent.
pub async fn refunds(conn: &mut AsyncPgConnection, query: &str) -> Result<Value, StripeError> {
    let params = Params::parse(query, &["payment_intent", "limit", "starting_after"])?;
    let limit = limit(&params)?;
    let of = params.required("payment_intent")?;
    let found = store::refunds_of(conn, of, params.text("starting_after"), limit + 1).await?;
    Ok(page("/v1/refunds", found, limit, Refund::object))
}

/// The newest disputes of an intent.
pub async fn disputes(conn: &mut AsyncPgConnection, query: &str) -> Result<Value, StripeError> {
    let params = Params::parse(query, &["payment_intent", "limit", "starting_after"])?;
    let limit = limit(&params)?;
    let of = params.required("payment_intent")?;
    let found = disputes::of(conn, of, params.text("starting_after"), limit + 1).await?;
    Ok(page("/v1/disputes", found, limit, Dispute::object))
}

/// The newest intents.
pub async fn intents(conn: &mut AsyncPgConnection, query: &str) -> Result<Value, StripeError> {
    let params = Params::parse(query, &["limit", "starting_after"])?;
    let limit = limit(&params)?;
    let found = store::intents(conn, params.text("starting_after"), limit + 1).await?;
    Ok(page("/v1/payment_intents", found, limit, Intent::object))
}
