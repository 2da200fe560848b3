//! Stripe's paths, and the sandbox's own journal beside them.

use std::time::Duration;

use actix_web::http::header::HeaderValue;
use actix_web::web::{self, Bytes, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};
use service_kit::http::{Cursor, Json, Limit, Paged, Problem, Query, the_one};
use service_kit::retry::Backoff;
use service_kit::{Pool, external_calls};
use tokio_util::sync::CancellationToken;

use crate::faults::{Failure, Faults};
use crate::operations::{self, Operation, Request};
use crate::params::{Params, has_control};
use crate::{StripeError, disputes, lists, messages, store};

/// Stripe's limit on an idempotency key, in characters.
const LONGEST_KEY: usize = 255;

/// How long an answer is withheld: longer than any caller waits.
const WITHHELD: Duration = Duration::from_secs(120);

/// How long a slow method's bank takes: less than callers wait.
const SLOW: Duration = Duration::from_secs(3);

#[derive(Clone)]
pub struct AppState {
    pub pool: Pool,
    /// Ends withheld answers.
    pub shutdown: CancellationToken,
    /// Wakes who delivers webhooks, where there is one.
    pub webhooks: Option<external_calls::Nudge>,
}

impl AppState {
    /// Something was written down that is to be told.
    fn nudge(&self) {
        self.webhooks.iter().for_each(external_calls::Nudge::nudge);
    }

    /// Waits for as long as an answer takes, unless the server is stopped.
    async fn wait(&self, wait: Duration) {
        if !wait.is_zero() {
            let _ = tokio::time::timeout(wait, self.shutdown.cancelled()).await;
        }
    }
}

pub fn routes(config: &mut ServiceConfig, state: &AppState) {
    config
        .app_data(Data::new(state.clone()))
        .route("/v1/payment_intents", web::post().to(create))
        .route("/v1/payment_intents", web::get().to(intents))
        .route("/v1/payment_intents/{id}", web::get().to(find))
        .route("/v1/payment_intents/{id}/{action}", web::post().to(act))
        .route("/v1/refunds", web::post().to(refund))
        .route("/v1/refunds", web::get().to(refunds))
        .route("/v1/disputes", web::get().to(disputes))
        .route("/sandbox/payment_intents/{id}/authenticate", web::get().to(bank))
        .route("/sandbox/payment_intents/{id}/authenticate", web::post().to(authenticate))
        .route("/sandbox/refunds/{id}/fail", web::post().to(fail_refund))
        .route("/sandbox/payment_intents/{id}/dispute", web::post().to(dispute))
        .route("/sandbox/disputes/{id}/close", web::post().to(close_dispute))
        .route("/sandbox/faults", web::get().to(faults))
        .route("/sandbox/faults", web::put().to(set_faults))
        .route("/sandbox/journal", web::get().to(journal))
        .configure(messages::routes);
}

/// What was sent, or that it was too much.
type Body = Result<Bytes, actix_web::Error>;

pub(crate) async fn connection(state: &AppState) -> Result<service_kit::pool::Conn, StripeError> {
    state.pool.get().await.map_err(|error| {
        tracing::error!(%error, "the journal's database is not there");
        StripeError::internal()
    })
}

async fn create(state: Data<AppState>, request: HttpRequest, body: Body) -> Result<HttpResponse, StripeError> {
    perform(&state, &request, body, Operation::Create).await
}

async fn act(
    state: Data<AppState>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, StripeError> {
    let (id, action) = path.into_inner();
    let id = intent_id(id)?;
    let operation = match action.as_str() {
        "confirm" => Operation::Confirm(id),
        "capture" => Operation::Capture(id),
        "cancel" => Operation::Cancel(id),
        _ => return Err(StripeError::missing("URL", request.path())),
    };
    perform(&state, &request, body, operation).await
}

async fn refund(state: Data<AppState>, request: HttpRequest, body: Body) -> Result<HttpResponse, StripeError> {
    perform(&state, &request, body, Operation::Refund).await
}

async fn perform(
    state: &AppState,
    request: &HttpRequest,
    body: Body,
    operation: Operation,
) -> Result<HttpResponse, StripeError> {
    authorised(request)?;
    let body = body.map_err(|_| StripeError::too_large())?;
    let not_text = |_| StripeError::parameter("", "parameter_invalid", "The body is not UTF-8.");
    let params = Params::parse(std::str::from_utf8(&body).map_err(not_text)?, operation.known())?;
    let key = idempotency_key(request)?;
    let faults = troubled(state).await?;
    let failure = faults.failure();
    if failure == Some(Failure::Undone) {
        return Err(StripeError::switched());
    }
    let told = state.webhooks.is_some();
    let asked = Request { operation, path: request.path().to_owned(), key, params, faults, told };
    let slow = operations::takes_its_time(&mut *connection(state).await?, &asked).await?;
    let answer = if slow {
        // The bank has been asked, whether or not the caller still listens when it answers.
        let state = state.clone();
        let asking = actix_web::rt::spawn(async move {
            state.wait(SLOW).await;
            let answer = done(&state, &asked).await;
            if let (Err(_), Operation::Confirm(id)) = (&answer, asked.operation) {
                // The caller is not kept waiting for that.
                actix_web::rt::spawn(async move { ask_no_longer(&state, &id).await });
            }
            answer
        });
        asking.await.map_err(|_| StripeError::internal())??
    } else {
        done(state, &asked).await?
    };
    if answer.withheld {
        // What was done stays done; only the word of it is late.
        state.wait(WITHHELD).await;
    }
    if failure.is_some() || answer.unsaid {
        return Err(StripeError::switched());
    }
    let status = actix_web::http::StatusCode::from_u16(answer.status).map_err(|_| StripeError::internal())?;
    let mut response = HttpResponse::build(status);
    if answer.replayed {
        response.insert_header(("Idempotent-Replayed", "true"));
    }
    Ok(response.json(reachable(answer.body, request)))
}

/// The address of the customer's page is where this was asked.
fn reachable(mut intent: Value, request: &HttpRequest) -> Value {
    let url = intent.pointer_mut("/next_action/redirect_to_url/url");
    if let Some(Value::String(path)) = url {
        *path = format!("http://{}{path}", request.connection_info().host());
    }
    intent
}

async fn done(state: &AppState, asked: &Request) -> Result<operations::Answer, StripeError> {
    let answer = operations::perform(&mut *connection(state).await?, asked).await?;
    state.nudge();
    Ok(answer)
}

/// The bank's answer is lost, and the intent must not be `processing` for ever: the caller may confirm again. This is
/// tried until the database is back, or the server stops; then the next start does it.
async fn ask_no_longer(state: &AppState, id: &str) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
    while !state.shutdown.is_cancelled() {
        let told = match connection(state).await {
            Ok(mut conn) => match store::ask_no_longer(&mut conn, id).await {
                Ok(_) => return,
                Err(error) => error.to_string(),
            },
            Err(_) => "no connection".to_owned(),
        };
        tracing::warn!(intent = id, error = told, "the bank's answer was lost, and the intent waits for it still");
        state.wait(backoff.next_wait()).await;
    }
}

/// The faults to apply now. An answer that is to take longer waits here first.
pub(crate) async fn troubled(state: &AppState) -> Result<Faults, StripeError> {
    let faults = store::faults(&mut *connection(state).await?).await?;
    state.wait(faults.delay()).await;
    Ok(faults)
}

/// The same for what only reads.
async fn read_troubled(state: &AppState) -> Result<(), StripeError> {
    let fails = troubled(state).await?.failure().is_some();
    if fails { Err(StripeError::switched()) } else { Ok(()) }
}

fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, StripeError> {
    let Some(key) = the_one_header(request, "Idempotency-Key")? else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| key.len() <= LONGEST_KEY && !has_control(key));
    key.map(|key| Some(key.to_owned())).ok_or_else(StripeError::bad_key)
}

/// A header that means one thing, as the services read theirs.
fn the_one_header<'a>(request: &'a HttpRequest, name: &'static str) -> Result<Option<&'a HeaderValue>, StripeError> {
    the_one(request, name).map_err(|_| StripeError::header_twice(name))
}

/// An id from a path; one with control characters, which the database could not even be asked for, names nothing.
fn intent_id(id: String) -> Result<String, StripeError> {
    if has_control(&id) { Err(StripeError::missing("payment_intent", &id)) } else { Ok(id) }
}

fn authorised(request: &HttpRequest) -> Result<(), StripeError> {
    let key = the_one_header(request, "Authorization")?.and_then(|value| value.to_str().ok());
    let key = key.and_then(|value| value.strip_prefix("Bearer ")).filter(|key| !key.trim().is_empty());
    key.map(drop).ok_or_else(StripeError::unauthorised)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Authentication {
    outcome: Outcome,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Succeed,
    Fail,
}

/// The page of the customer's bank.
async fn bank() -> HttpResponse {
    let allowed = "default-src 'none'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'";
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header(("Content-Security-Policy", allowed))
        .body(BANK)
}

/// Says what the customer chose to where the page is.
const BANK: &str = r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><title>A bank (sandbox)</title>
<h1>Is it you who pays?</h1>
<p><button value="succeed">Yes</button> <button value="fail">No</button></p><p id="told"></p>
<script>
for (const button of document.querySelectorAll("button")) button.onclick = async () => {
  const body = JSON.stringify({outcome: button.value});
  const answer = await fetch(location.href, {method: "POST", headers: {"content-type": "application/json"}, body});
  document.getElementById("told").textContent = answer.ok ? "Thank you. You can close this page." : await answer.text();
};
</script></html>
"#;

/// The customer's part of 3-D Secure.
async fn authenticate(
    state: Data<AppState>,
    id: web::Path<String>,
    body: Json<Authentication>,
) -> Result<HttpResponse, StripeError> {
    let id = intent_id(id.into_inner())?;
    let passed = body.into_inner().outcome == Outcome::Succeed;
    let mut conn = connection(&state).await?;
    let shown = operations::authenticate(&mut conn, &id, passed, state.webhooks.is_some()).await?;
    state.nudge();
    Ok(HttpResponse::Ok().json(shown))
}

/// A bank's reason, as Stripe writes it.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RefundFailure {
    LostOrStolenCard,
    ExpiredOrCanceledCard,
    Unknown,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FailedRefund {
    reason: RefundFailure,
}

/// The customer's bank gives a refund back.
async fn fail_refund(
    state: Data<AppState>,
    id: web::Path<String>,
    body: Json<FailedRefund>,
) -> Result<HttpResponse, StripeError> {
    let id = id.into_inner();
    if has_control(&id) {
        return Err(StripeError::missing("refund", &id));
    }
    let reason = match body.into_inner().reason {
        RefundFailure::LostOrStolenCard => "lost_or_stolen_card",
        RefundFailure::ExpiredOrCanceledCard => "expired_or_canceled_card",
        RefundFailure::Unknown => "unknown",
    };
    let mut conn = connection(&state).await?;
    let shown = operations::fail_refund(&mut conn, &id, reason, state.webhooks.is_some()).await?;
    state.nudge();
    Ok(HttpResponse::Ok().json(shown))
}

/// A reason, as Stripe writes it.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DisputeReason {
    #[default]
    Fraudulent,
    ProductNotReceived,
    Unrecognized,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDispute {
    /// All that remains, where it isn't said.
    amount: Option<i64>,
    #[serde(default)]
    reason: DisputeReason,
}

/// The customer's bank takes money back.
async fn dispute(
    state: Data<AppState>,
    id: web::Path<String>,
    body: Json<NewDispute>,
) -> Result<HttpResponse, StripeError> {
    let (id, NewDispute { amount, reason }) = (intent_id(id.into_inner())?, body.into_inner());
    if amount.is_some_and(|amount| amount < 1) {
        return Err(StripeError::parameter("amount", "parameter_invalid_integer", "An amount is at least 1."));
    }
    let reason = match reason {
        DisputeReason::Fraudulent => "fraudulent",
        DisputeReason::ProductNotReceived => "product_not_received",
        DisputeReason::Unrecognized => "unrecognized",
    };
    let mut conn = connection(&state).await?;
    let shown = disputes::open(&mut conn, &id, amount, reason, state.webhooks.is_some()).await?;
    state.nudge();
    Ok(HttpResponse::Ok().json(shown))
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum DisputeOutcome {
    Won,
    Lost,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClosedDispute {
    outcome: DisputeOutcome,
}

/// A dispute ends.
async fn close_dispute(
    state: Data<AppState>,
    id: web::Path<String>,
    body: Json<ClosedDispute>,
) -> Result<HttpResponse, StripeError> {
    let id = id.into_inner();
    if has_control(&id) {
        return Err(StripeError::missing("dispute", &id));
    }
    let won = body.into_inner().outcome == DisputeOutcome::Won;
    let mut conn = connection(&state).await?;
    let shown = disputes::close(&mut conn, &id, won, state.webhooks.is_some()).await?;
    state.nudge();
    Ok(HttpResponse::Ok().json(shown))
}

async fn disputes(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, StripeError> {
    authorised(&request)?;
    read_troubled(&state).await?;
    let list = lists::disputes(&mut *connection(&state).await?, request.query_string()).await?;
    Ok(HttpResponse::Ok().json(list))
}

async fn find(state: Data<AppState>, request: HttpRequest, id: web::Path<String>) -> Result<HttpResponse, StripeError> {
    authorised(&request)?;
    let id = intent_id(id.into_inner())?;
    let params = Params::parse(request.query_string(), &["expand[]"])?;
    read_troubled(&state).await?;
    let intent = store::find_intent(&mut *connection(&state).await?, &id).await?;
    let shown = if params.expands("latest_charge") { intent.expanded() } else { intent.object() };
    Ok(HttpResponse::Ok().json(reachable(shown, &request)))
}

async fn refunds(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, StripeError> {
    authorised(&request)?;
    read_troubled(&state).await?;
    let list = lists::refunds(&mut *connection(&state).await?, request.query_string()).await?;
    Ok(HttpResponse::Ok().json(list))
}

async fn intents(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, StripeError> {
    authorised(&request)?;
    read_troubled(&state).await?;
    let list = lists::intents(&mut *connection(&state).await?, request.query_string()).await?;
    Ok(HttpResponse::Ok().json(list))
}

async fn faults(state: Data<AppState>) -> Result<HttpResponse, StripeError> {
    let faults = store::faults(&mut *connection(&state).await?).await?;
    Ok(HttpResponse::Ok().json(faults))
}

/// Switches faults on and off, all at once: what isn't said is off.
async fn set_faults(state: Data<AppState>, body: Json<Faults>) -> Result<HttpResponse, Problem> {
    let faults = body.into_inner();
    if let Some((field, why)) = faults.refused() {
        return Err(Problem::bad_input(field, why));
    }
    let mut conn = state.pool.get().await?;
    store::set_faults(&mut conn, &faults).await?;
    tracing::info!(?faults, "faults were switched");
    Ok(HttpResponse::Ok().json(faults))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalQuery {
    order_id: Option<String>,
    limit: Option<Limit>,
    cursor: Option<Cursor<i64>>,
}

async fn journal(state: Data<AppState>, query: Query<JournalQuery>) -> Result<HttpResponse, Problem> {
    let Query(JournalQuery { order_id, limit, cursor }) = query;
    if order_id.as_deref().is_some_and(has_control) {
        return Err(Problem::bad_input("order_id", "It has control characters."));
    }
    let (limit, after) = (limit.unwrap_or_default().get(), cursor.map_or(0, |Cursor(after)| after));
    let mut conn = state.pool.get().await?;
    let lines = store::journal_after(&mut conn, order_id.as_deref(), after, limit + 1).await?;
    Ok(HttpResponse::Ok().json(json!(Paged::from_rows(lines, limit, |line| line.id.to_string()))))
}
