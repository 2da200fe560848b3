//! What moved the shop's balance, newest first: <https://docs.stripe.com/api/balance_transactions>. An authorisation moves
//! none.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};

use crate::StripeError;
use crate::disputes::Dispute;
use crate::intents::Intent;
use crate::lists::{limit, page};
use crate::params::Params;
use crate::schema::{disputes, journal, payment_intents, refunds};
use crate::store::{Line, Refund};

const MOVES: [&str; 3] = ["capture", "refund", "refund_reversal"];
const ID: &str = "txn_";

/// The newest transactions of a time.
pub async fn list(conn: &mut AsyncPgConnection, query: &str) -> Result<Value, StripeError> {
    let params = Params::parse(query, &["created[]", "expand[]", "limit", "starting_after"])?;
    let limit = limit(&params)?;
    let (from, until) = (time(&params, "created[gte]")?, time(&params, "created[lt]")?);
    let lines = lines(conn, from, until, params.text("starting_after"), limit + 1).await?;
    let (sources, whole) = (Sources::of(conn, &lines).await?, params.expands("data.source"));
    Ok(page("/v1/balance_transactions", lines, limit, |line| object(line, &sources, whole)))
}

/// Seconds since 1970.
fn time(params: &Params, name: &str) -> Result<Option<DateTime<Utc>>, StripeError> {
    let Some(text) = params.text(name) else { return Ok(None) };
    let time = text.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let refused = || StripeError::parameter(name, "parameter_invalid_integer", format!("Invalid timestamp: {text}"));
    time.map(Some).ok_or_else(refused)
}

async fn lines(
    conn: &mut AsyncPgConnection,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    starting_after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<Line>> {
    let mut query = journal::table.filter(journal::operation.eq_any(MOVES)).select(Line::as_select()).into_boxed();
    if let Some(from) = from {
        query = query.filter(journal::at.ge(from));
    }
    if let Some(until) = until {
        query = query.filter(journal::at.lt(until));
    }
    if let Some(id) = starting_after {
        let id: i64 = id.strip_prefix(ID).and_then(|id| id.parse().ok()).unwrap_or_default();
        let at: Option<DateTime<Utc>> = journal::table.find(id).select(journal::at).first(conn).await.optional()?;
        let at = at.unwrap_or(DateTime::UNIX_EPOCH);
        query = query.filter(journal::at.lt(at).or(journal::at.eq(at).and(journal::id.lt(id))));
    }
    query.order((journal::at.desc(), journal::id.desc())).limit(limit).load(conn).await
}

/// What the lines are about, by its id; a charge by that of its intent.
struct Sources(HashMap<String, Value>);

impl Sources {
    async fn of(conn: &mut AsyncPgConnection, lines: &[Line]) -> QueryResult<Self> {
        let intents: Vec<&str> = lines.iter().map(|line| line.payment_intent.as_str()).collect();
        let sources: Vec<&str> = lines.iter().filter_map(|line| line.source.as_deref()).collect();
        let intents = payment_intents::table.filter(payment_intents::id.eq_any(intents)).select(Intent::as_select());
        let charges: Vec<Intent> = intents.load(conn).await?;
        let refunds = refunds::table.filter(refunds::id.eq_any(sources.clone())).select(Refund::as_select());
        let refunds: Vec<Refund> = refunds.load(conn).await?;
        let disputes = disputes::table.filter(disputes::id.eq_any(sources)).select(Dispute::as_select());
        let disputes: Vec<Dispute> = disputes.load(conn).await?;
        let charges = charges.into_iter().map(|intent| (intent.id.clone(), json!(intent.charge())));
        let refunds = refunds.into_iter().map(|refund| (refund.id.clone(), refund.object()));
        let disputes = disputes.into_iter().map(|dispute| (dispute.id.clone(), dispute.object()));
        Ok(Self(charges.chain(refunds).chain(disputes).collect()))
    }
}

fn object(line: &Line, sources: &Sources, whole: bool) -> Value {
    let source = sources.0.get(line.source.as_deref().unwrap_or(&line.payment_intent));
    let source = if whole { json!(source) } else { json!(source.map(|source| &source["id"])) };
    let is_disputed = line.source.as_deref().is_some_and(|source| source.starts_with("dp_"));
    let (category, kind, sign) = match (line.operation.as_str(), is_disputed) {
        ("capture", _) => ("charge", "charge", 1),
        ("refund", false) => ("refund", "refund", -1),
        ("refund", true) => ("dispute", "adjustment", -1),
        (_, false) => ("refund_failure", "refund_failure", 1),
        (_, true) => ("dispute_reversal", "adjustment", 1),
    };
    json!({
        "id": format!("{ID}{:020}", line.id),
        "object": "balance_transaction",
        "amount": sign * line.amount,
        "created": line.at.timestamp(),
        "currency": line.currency.to_lowercase(),
        "fee": 0,
        "net": sign * line.amount,
        "reporting_category": category,
        "source": source,
        "status": "available",
        "type": kind,
    })
}
