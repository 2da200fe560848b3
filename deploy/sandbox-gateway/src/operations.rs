//! What can be asked of the gateway, each once under its idempotency key, in one transaction with its line in the
//! journal: <https://docs.stripe.com/api/idempotent_requests>.

use chrono::Utc;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::Value;
use uuid::Uuid;

use crate::faults::{Decline, Failure, Faults};
use crate::intents::{Asks, Effect, Intent};
use crate::methods::Magic;
use crate::params::Params;
use crate::store::{self, Kept, Refund};
use crate::{StripeError, currencies, webhooks};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    /// Authorise the intent of this id.
    Confirm(String),
    Capture(String),
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
                "expand[]",
                "metadata[]",
                "payment_method",
                "payment_method_types[]",
            ],
            Self::Confirm(_) => &["error_on_requires_action", "expand[]", "payment_method", "return_url"],
            Self::Capture(_) => &["amount_to_capture", "expand[]"],
            Self::Cancel(_) => &["cancellation_reason", "expand[]"],
            Self::Refund => &["payment_intent", "amount", "reason", "metadata[]"],
        }
    }
}

#[derive(Clone, Debug)]
pub struct Request {
    pub operation: Operation,
    /// The path, which is a part of what an idempotency key stands for.
    pub path: String,
    /// `Idempotency-Key`.
    pub key: Option<String>,
    pub params: Params,
    pub faults: Faults,
    /// Whether somebody is told of it by webhook.
    pub told: bool,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    /// It was kept under the key and is given again.
    pub replayed: bool,
    /// The caller is to run into its time-out.
    pub withheld: bool,
    /// It was done, but the caller is told of a failure.
    pub unsaid: bool,
}

impl Answer {
    const fn new(status: u16, body: Value) -> Self {
        Self { status, body, replayed: false, withheld: false, unsaid: false }
    }

    const fn ok(body: Value) -> Self {
        Self::new(200, body)
    }

    fn refused(error: &StripeError) -> Self {
        Self::new(error.status(), error.body())
    }

    /// How it goes on its way, where the method or a fault has that in its name.
    fn on_its_way(self, method: Option<Magic>, faults: &Faults) -> Result<Self, StripeError> {
        let fails = if method == Some(Magic::Flaky) { Failure::at(0.5) } else { None };
        if fails == Some(Failure::Undone) {
            return Err(StripeError::internal());
        }
        let withheld = self.withheld || faults.withhold_answers;
        Ok(Self { withheld, unsaid: fails.is_some(), ..self })
    }
}

/// Whether a slow bank is to be asked now: the intent is `processing` until [`perform`] has its answer. Nothing is
/// written otherwise.
pub async fn takes_its_time(conn: &mut AsyncPgConnection, request: &Request) -> Result<bool, StripeError> {
    let Operation::Confirm(id) = &request.operation else { return Ok(false) };
    let method = request.params.text("payment_method");
    if method.is_some_and(|method| method != Magic::Slow.name()) {
        return Ok(false);
    }
    conn.transaction(async |conn| {
        let answered = match &request.key {
            Some(key) => store::kept(conn, key).await?.is_some(),
            None => false,
        };
        // What is wrong with the request is for `perform` to say.
        let Ok(mut intent) = store::lock_intent(conn, id).await else { return Ok(false) };
        if answered || !intent.asks_slowly(method) {
            return Ok(false);
        }
        store::save_intent(conn, &intent).await?;
        Ok(true)
    })
    .await
}

/// Does what is asked, or repeats what was answered to the first request with this key. Errors are not kept under a
/// key: parameters that don't pass, a key that stands for something else or is in use, and failures of the gateway
/// itself.
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
            Ok(Some(Answer { replayed: true, ..Answer::new(status, kept.body) }))
        }
    }
}

async fn execute(conn: &mut AsyncPgConnection, request: &Request) -> Result<Answer, StripeError> {
    match &request.operation {
        Operation::Create => create(conn, request).await,
        Operation::Confirm(id) => confirm(conn, request, id).await,
        Operation::Capture(id) => {
            let mut intent = store::lock_intent(conn, id).await?;
            let amount = request.params.amount("amount_to_capture")?;
            let effect = intent.capture(amount, request.faults.capture_fails)?;
            done(conn, request, &intent, Some(effect), "payment_intent.succeeded").await
        }
        Operation::Cancel(id) => {
            let mut intent = store::lock_intent(conn, id).await?;
            let effect = intent.cancel()?;
            done(conn, request, &intent, effect, "payment_intent.canceled").await
        }
        Operation::Refund => refund(conn, request).await,
    }
}

/// Keeps a step of an intent with its effect on money, writes down that it is to be told, and answers with the intent.
async fn done(
    conn: &mut AsyncPgConnection,
    request: &Request,
    intent: &Intent,
    effect: Option<Effect>,
    event: &str,
) -> Result<Answer, StripeError> {
    store::save_intent(conn, intent).await?;
    if let Some(effect) = effect {
        store::note(conn, intent, effect, request.key.as_deref()).await?;
    }
    request.tell(conn, event, intent.object()).await?;
    Answer::ok(request.shown(intent)).on_its_way(intent.method(), &request.faults)
}

impl Request {
    async fn tell(&self, conn: &mut AsyncPgConnection, event: &str, object: Value) -> Result<(), StripeError> {
        if self.told {
            webhooks::tell(conn, &self.faults.webhooks, event, object).await?;
        }
        Ok(())
    }

    fn shown(&self, intent: &Intent) -> Value {
        if self.params.expands("latest_charge") { intent.expanded() } else { intent.object() }
    }
}

async fn create(conn: &mut AsyncPgConnection, request: &Request) -> Result<Answer, StripeError> {
    let params = &request.params;
    params.only("capture_method", "manual")?;
    params.only("confirm", "false")?;
    params.only("payment_method_types[0]", "card")?;
    let amount = params.amount("amount")?;
    let amount = amount.map_or_else(|| params.required("amount").map(|_| 0), Ok)?;
    let currency = currencies::supported(params.required("currency")?)?;
    currencies::chargeable(amount, &currency)?;
    let method = params.text("payment_method").map(Magic::named).transpose()?;
    let status = if method.is_some() { "requires_confirmation" } else { "requires_payment_method" };
    let intent = Intent {
        id: format!("pi_{}", Uuid::now_v7().simple()),
        amount,
        currency,
        payment_method: method.map(|method| method.name().to_owned()),
        metadata: params.metadata(),
        status: status.to_owned(),
        received: 0,
        refunded: 0,
        last_payment_error: None,
        confirmed_by: None,
        attempts: 0,
        was_authorised: false,
        created_at: Utc::now(),
    };
    store::insert_intent(conn, &intent).await?;
    Answer::ok(request.shown(&intent)).on_its_way(method, &request.faults)
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
    let method = intent.method();
    let or_error = request.params.text("error_on_requires_action") == Some("true");
    let faults = &request.faults;
    let decline = faults.decline.map(Decline::error);
    let asks = Asks { key: request.key.clone(), decline, action: faults.action_required, or_error };
    match intent.confirm(&asks) {
        Ok(effect) => {
            let event = match effect {
                Some(_) => "payment_intent.amount_capturable_updated",
                None => "payment_intent.requires_action",
            };
            let answer = done(conn, request, &intent, effect, event).await?;
            Ok(Answer { withheld: answer.withheld || method == Some(Magic::TimeoutThenSuccess), ..answer })
        }
        Err(decline) => {
            store::save_intent(conn, &intent).await?;
            request.tell(conn, "payment_intent.payment_failed", intent.object()).await?;
            Answer::refused(&decline).on_its_way(method, faults)
        }
    }
}

/// The customer acts, as with 3-D Secure. It is entered under the key of the confirmation that asked for it.
pub async fn authenticate(
    conn: &mut AsyncPgConnection,
    id: &str,
    passed: bool,
    told: bool,
) -> Result<Value, StripeError> {
    conn.transaction(async |conn| {
        let mut intent = store::lock_intent(conn, id).await?;
        let effect = intent.authenticate(passed)?;
        store::save_intent(conn, &intent).await?;
        if let Some(effect) = effect {
            store::note(conn, &intent, effect, intent.confirmed_by.as_deref()).await?;
        }
        if told {
            let faults = store::faults(conn).await?.webhooks;
            let event =
                if passed { "payment_intent.amount_capturable_updated" } else { "payment_intent.payment_failed" };
            webhooks::tell(conn, &faults, event, intent.object()).await?;
        }
        Ok(intent.object())
    })
    .await
}

/// The customer's bank gives a refund back that was made, as when the card has expired meanwhile. It is entered under
/// the refund's key, or its id, with an ending.
pub async fn fail_refund(
    conn: &mut AsyncPgConnection,
    id: &str,
    reason: &str,
    told: bool,
) -> Result<Value, StripeError> {
    conn.transaction(async |conn| {
        let of = store::find_refund(conn, id).await?.payment_intent;
        let mut intent = store::lock_intent(conn, &of).await?;
        let mut refund = store::find_refund(conn, id).await?;
        if refund.failure_reason.is_some() {
            return Err(StripeError::state("refund_failed", "The refund has failed already."));
        }
        let effect = intent.refund_failed(refund.amount);
        store::save_intent(conn, &intent).await?;
        store::fail_refund(conn, id, reason).await?;
        let key = format!("{}:reversal", refund.metadata["refund_id"].as_str().unwrap_or(id));
        store::note(conn, &intent, effect, Some(&key)).await?;
        refund.failure_reason = Some(reason.to_owned());
        if told {
            let faults = store::faults(conn).await?.webhooks;
            webhooks::tell(conn, &faults, "refund.failed", refund.object()).await?;
        }
        Ok(refund.object())
    })
    .await
}

async fn refund(conn: &mut AsyncPgConnection, request: &Request) -> Result<Answer, StripeError> {
    let mut intent = store::lock_intent(conn, request.params.required("payment_intent")?).await?;
    let amount = request.params.amount("amount")?;
    amount.map_or(Ok(()), |amount| currencies::refundable(amount, &intent.currency))?;
    let effect = intent.refund(amount)?;
    let refund = Refund {
        id: format!("re_{}", Uuid::now_v7().simple()),
        payment_intent: intent.id.clone(),
        amount: effect.amount,
        currency: intent.currency.clone(),
        metadata: request.params.metadata(),
        created_at: Utc::now(),
        failure_reason: None,
    };
    store::save_intent(conn, &intent).await?;
    store::insert_refund(conn, &refund).await?;
    // Made without a key, as in a dashboard, its name is what it is known by.
    store::note(conn, &intent, effect, Some(request.key.as_deref().unwrap_or(&refund.id))).await?;
    request.tell(conn, "refund.created", refund.object()).await?;
    Answer::ok(refund.object()).on_its_way(intent.method(), &request.faults)
}
