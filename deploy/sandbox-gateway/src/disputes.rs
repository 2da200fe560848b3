//! Disputes: the customer's bank takes money back that was captured. <https://docs.stripe.com/api/disputes>.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{StripeError, schema::disputes, store, webhooks};

#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = disputes)]
pub struct Dispute {
    /// `dp_...`
    pub id: String,
    /// The intent whose money it takes.
    pub payment_intent: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217, small letters.
    pub currency: String,
    /// Such as `fraudulent`.
    pub reason: String,
    /// `needs_response`, `won` or `lost`.
    pub status: String,
    pub created_at: DateTime<Utc>,
}

impl Dispute {
    /// The dispute as Stripe shows it.
    pub fn object(&self) -> Value {
        json!({
            "id": self.id,
            "object": "dispute",
            "amount": self.amount,
            "created": self.created_at.timestamp(),
            "currency": self.currency,
            "payment_intent": self.payment_intent,
            "reason": self.reason,
            "status": self.status,
        })
    }
}

/// The newest disputes of an intent, at most `limit`, older than the dispute `starting_after`.
pub async fn of(
    conn: &mut AsyncPgConnection,
    payment_intent: &str,
    starting_after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<Dispute>> {
    let of_intent = disputes::payment_intent.eq(payment_intent.to_owned());
    let mut query = disputes::table.filter(of_intent).select(Dispute::as_select()).into_boxed();
    if let Some(id) = starting_after {
        let before: Option<i64> = disputes::table.find(id).select(disputes::seq).first(conn).await.optional()?;
        query = query.filter(disputes::seq.lt(before.unwrap_or(0)));
    }
    query.order(disputes::seq.desc()).limit(limit).load(conn).await
}

/// The customer's bank takes `amount` back, or all that remains. The money is gone at once, and the journal says so.
pub async fn open(
    conn: &mut AsyncPgConnection,
    intent: &str,
    amount: Option<i64>,
    reason: &str,
    told: bool,
) -> Result<Value, StripeError> {
    conn.transaction(async |conn| {
        let mut intent = store::lock_intent(conn, intent).await?;
        let effect = intent.refund(amount)?;
        let dispute = Dispute {
            id: format!("dp_{}", Uuid::now_v7().simple()),
            payment_intent: intent.id.clone(),
            amount: effect.amount,
            currency: intent.currency.clone(),
            reason: reason.to_owned(),
            status: "needs_response".to_owned(),
            created_at: Utc::now(),
        };
        store::save_intent(conn, &intent).await?;
        diesel::insert_into(disputes::table).values(&dispute).execute(conn).await?;
        store::note(conn, &intent, effect, Some(&dispute.id)).await?;
        tell(conn, told, "charge.dispute.created", &dispute).await
    })
    .await
}

/// The dispute ends. If it is won, its money is back.
pub async fn close(conn: &mut AsyncPgConnection, id: &str, won: bool, told: bool) -> Result<Value, StripeError> {
    conn.transaction(async |conn| {
        let find = disputes::table.find(id).select(Dispute::as_select());
        let found: Option<Dispute> = find.first(conn).await.optional()?;
        let of = found.ok_or_else(|| StripeError::missing("dispute", id))?.payment_intent;
        let mut intent = store::lock_intent(conn, &of).await?;
        let mut dispute: Dispute = find.first(conn).await?;
        if dispute.status != "needs_response" {
            return Err(StripeError::state("dispute_closed", "The dispute has ended already."));
        }
        dispute.status = if won { "won" } else { "lost" }.to_owned();
        let ended = disputes::status.eq(&dispute.status);
        diesel::update(disputes::table.find(id)).set(ended).execute(conn).await?;
        if won {
            let effect = intent.refund_failed(dispute.amount);
            store::save_intent(conn, &intent).await?;
            store::note(conn, &intent, effect, Some(&format!("{id}:reversal"))).await?;
        }
        tell(conn, told, "charge.dispute.closed", &dispute).await
    })
    .await
}

async fn tell(conn: &mut AsyncPgConnection, told: bool, kind: &str, of: &Dispute) -> Result<Value, StripeError> {
    if told {
        let faults = store::faults(conn).await?.webhooks;
        webhooks::tell(conn, &faults, kind, of.object()).await?;
    }
    Ok(of.object())
}
