//! What can be asked of the gateway, each once under its idempotency key, in one transaction with its line in the
//! journal: <https://docs.stripe.com/api/idempotent_requests>.

use chrono::Utc;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    StripeError,
    intents::{Asks, Intent},
    methods::Magic,
    params::Params,
    store::{self, Kept, Refund},
};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Make an intent.
    Create,
    /// Authorise the intent of this id.
    Confirm(String),
    /// Capture it.
    Capture(String),
    /// Cancel it.
    Cancel(String),
    /// Refund what an intent has captured.
    Refund,
}

impl Operation {
    /// The parameters it knows.
    pub const fn known(&self) -> &'static [&'static str] {
        match self {
            Self::Create => &[
                "amount",
                "currency",
                "capture_method",
                "confirm",
                "description",
                "metadata[]",
                "payment_method",
                "payment_method_types[]",
            ],
            Self::Confirm(_) => &["error_on_requires_action", "payment_method"],
            Self::Capture(_) => &["amount_to_capture"],
            Self::Cancel(_) => &["cancellation_reason"],
            Self::Refund => &["payment_intent", "amount", "reason", "metadata[]"],
        }
    }
}

/// A request with its parameters read.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to do.
    pub operation: Operation,
    /// Where it was sent; belongs to what a key stands for.
    pub path: String,
    /// `Idempotency-Key`.
    pub key: Option<String>,
    /// The form.
    pub params: Params,
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Value,
    /// It was kept under the key and is given again.
    pub replayed: bool,
    /// The caller is to run into its time-out.
    pub withheld: bool,
}

impl Answer {
    fn ok(body: Value) -> Self {
        Self { status: 200, body, replayed: false, withheld: false }
    }

    fn refused(error: &StripeError) -> Self {
        Self { status: error.status(), body: error.body(), replayed: false, withheld: false }
    }
}

/// Does what is asked, or repeats what was answered to the first request with this key.
///
/// # Errors
/// What is not kept under a key: parameters that don't pass, a key that stands for something else or is in use, and
/// failures of the gateway itself.
pub async fn perform(conn: &mut AsyncPgConnection, request: &Request) -> Result<Answer, StripeError> {
    conn.transaction(async |conn| {
        if let Some(answer) = replay(conn, request).await? {
            return Ok(answer);
        }
        let answer = match execute(conn, request).await {
            Ok(answer) => answer,
            Err(error) if error.status() < 500 && error.was_executed() => Answer::refused(&error),
            Err(error) => return Err(error),
        };
        if let Some(key) = &request.key {
            let kept = Kept {
                key: key.clone(),
                path: request.path.clone(),
                parameters: request.params.to_json(),
                status: i32::from(answer.status),
                body: answer.body.clone(),
            };
            store::keep(conn, &kept).await?;
        }
        Ok(answer)
    })
    .await
}

async fn replay(conn: &mut AsyncPgConnection, request: &Request) -> Result<Option<Answer>, StripeError> {
    let Some(key) = &request.key else { return Ok(None) };
    if !store::take_key(conn, key).await? {
        return Err(StripeError::key_in_use());
    }
    match store::kept(conn, key).await? {
        None => Ok(None),
        Some(kept) if kept.path != request.path || kept.parameters != request.params.to_json() => {
            Err(StripeError::other_parameters(key))
        }
        Some(kept) => {
            let status = u16::try_from(kept.status).map_err(|_| StripeError::internal())?;
            Ok(Some(Answer { status, body: kept.body, replayed: true, withheld: false }))
        }
    }
}

async fn execute(conn: &mut AsyncPgConnection, request: &Request) -> Result<Answer, StripeError> {
    match &request.operation {
        Operation::Create => create(conn, &request.params).await,
        Operation::Confirm(id) => confirm(conn, request, id).await,
        Operation::Capture(id) => {
            let mut intent = store::lock_intent(conn, id).await?;
            let effect = intent.capture(request.params.amount("amount_to_capture")?)?;
            store::save_intent(conn, &intent).await?;
            store::note(conn, &intent, effect, request.key.as_deref()).await?;
            Ok(Answer::ok(intent.object()))
        }
        Operation::Cancel(id) => {
            let mut intent = store::lock_intent(conn, id).await?;
            let effect = intent.cancel()?;
            store::save_intent(conn, &intent).await?;
            if let Some(effect) = effect {
                store::note(conn, &intent, effect, request.key.as_deref()).await?;
            }
            Ok(Answer::ok(intent.object()))
        }
        Operation::Refund => refund(conn, request).await,
    }
}

async fn create(conn: &mut AsyncPgConnection, params: &Params) -> Result<Answer, StripeError> {
    params.only("capture_method", "manual")?;
    params.only("confirm", "false")?;
    params.only("payment_method_types[0]", "card")?;
    let amount = params.amount("amount")?;
    let amount = amount.map_or_else(|| params.required("amount").map(|_| 0), Ok)?;
    let currency = params.required("currency")?;
    if currency.len() != 3 || !currency.chars().all(|c| c.is_ascii_alphabetic()) {
        let message = format!("Invalid currency: {currency}");
        return Err(StripeError::parameter("currency", "parameter_invalid", message));
    }
    let method = params.text("payment_method").map(Magic::named).transpose()?;
    let status = if method.is_some() { "requires_confirmation" } else { "requires_payment_method" };
    let intent = Intent {
        id: format!("pi_{}", Uuid::now_v7().simple()),
        amount,
        currency: currency.to_lowercase(),
        payment_method: method.map(|method| method.name().to_owned()),
        metadata: params.metadata(),
        status: status.to_owned(),
        received: 0,
        refunded: 0,
        last_payment_error: None,
        confirmed_by: None,
        attempts: 0,
        created_at: Utc::now(),
    };
    store::insert_intent(conn, &intent).await?;
    Ok(Answer::ok(intent.object()))
}

async fn confirm(conn: &mut AsyncPgConnection, request: &Request, id: &str) -> Result<Answer, StripeError> {
    let mut intent = store::lock_intent(conn, id).await?;
    if let Some(method) = request.params.text("payment_method") {
        Magic::named(method)?;
        if intent.status == "requires_payment_method" {
            intent.status = "requires_confirmation".to_owned();
        }
        intent.payment_method = Some(method.to_owned());
    }
    let withheld = intent.payment_method.as_deref() == Some(Magic::TimeoutThenSuccess.name());
    let or_error = request.params.text("error_on_requires_action") == Some("true");
    match intent.confirm(&Asks { key: request.key.clone(), action: false, or_error }) {
        Ok(effect) => {
            store::save_intent(conn, &intent).await?;
            if let Some(effect) = effect {
                store::note(conn, &intent, effect, request.key.as_deref()).await?;
            }
            Ok(Answer { withheld, ..Answer::ok(intent.object()) })
        }
        Err(decline) => {
            store::save_intent(conn, &intent).await?;
            Ok(Answer::refused(&decline))
        }
    }
}

/// The customer acts, as with 3-D Secure; it is entered under the key of the confirmation that asked for it.
///
/// # Errors
/// There is no such intent, it waits for no customer, or the gateway itself fails.
pub async fn authenticate(conn: &mut AsyncPgConnection, id: &str, passed: bool) -> Result<Value, StripeError> {
    conn.transaction(async |conn| {
        let mut intent = store::lock_intent(conn, id).await?;
        let effect = intent.authenticate(passed)?;
        store::save_intent(conn, &intent).await?;
        if let Some(effect) = effect {
            store::note(conn, &intent, effect, intent.confirmed_by.as_deref()).await?;
        }
        Ok(intent.object())
    })
    .await
}

async fn refund(conn: &mut AsyncPgConnection, request: &Request) -> Result<Answer, StripeError> {
    let mut intent = store::lock_intent(conn, request.params.required("payment_intent")?).await?;
    let effect = intent.refund(request.params.amount("amount")?)?;
    let refund = Refund {
        id: format!("re_{}", Uuid::now_v7().simple()),
        payment_intent: intent.id.clone(),
        amount: effect.amount,
        currency: intent.currency.clone(),
        metadata: request.params.metadata(),
        created_at: Utc::now(),
    };
    store::save_intent(conn, &intent).await?;
    store::insert_refund(conn, &refund).await?;
    store::note(conn, &intent, effect, request.key.as_deref()).await?;
    Ok(Answer::ok(refund.object()))
}

/// The newest refunds of an intent, as Stripe lists them.
///
/// # Errors
/// The parameters don't pass, or the gateway itself fails.
pub async fn list_refunds(conn: &mut AsyncPgConnection, query: &str) -> Result<Value, StripeError> {
    let params = Params::parse(query, &["payment_intent", "limit", "starting_after"])?;
    let limit = match params.amount("limit")?.unwrap_or(10) {
        limit @ 1..=100 => limit,
        _ => return Err(StripeError::parameter("limit", "parameter_invalid_integer", "A limit is from 1 to 100.")),
    };
    let of = params.required("payment_intent")?;
    let mut found = store::refunds_of(conn, of, params.text("starting_after"), limit + 1).await?;
    let fits = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = found.len() > fits;
    found.truncate(fits);
    let data: Vec<_> = found.iter().map(Refund::object).collect();
    Ok(json!({"object": "list", "url": "/v1/refunds", "has_more": has_more, "data": data}))
}
