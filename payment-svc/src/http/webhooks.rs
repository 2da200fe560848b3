use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use chrono::Utc;
use serde::Serialize;
use service_kit::Pool;
use service_kit::consumer::ReactionError;
use service_kit::gather::Gather;
use service_kit::http::{Problem, the_one};
use service_kit::trace::{self, Context, Kind, Span, Told};
use utoipa::ToSchema;

use super::AppState;
use crate::commands::{self, Heard, NotHeard};
use crate::store::calls;
use crate::store::webhooks::{self, Outcome, Received};
use crate::webhooks::{Secrets, WebhookEvent};

const SIGNATURE: &str = "Stripe-Signature";

/// What Stripe tells
///
/// Signed over the raw body, so that is read first and parsed last.
#[utoipa::path(
    post, path = "/api/v1/payments/webhooks/stripe", tag = "webhooks", operation_id = "stripe_webhook",
    params(("Stripe-Signature" = String, Header, description = "`t=` when it was signed, `v1=` HMAC-SHA-256 in hex.")),
    request_body(content = Object, description = "An event, as Stripe describes it."),
    responses((status = 200, description = "It was heard, now or before.", body = Receipt))
)]
pub async fn stripe(
    state: Data<AppState>,
    receiver: Data<Receiver>,
    request: HttpRequest,
    body: Result<Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let Some(secrets) = &state.webhook_secrets else {
        return Err(Problem::unavailable("No webhook is believed: PAYMENT_WEBHOOK_SECRET is not set."));
    };
    let body = body.map_err(|error| unread(&error))?;
    let event = believed(secrets, &request, &body).inspect_err(|_| count(None, "refused"))?;
    let Some(event) = event else {
        tracing::info!("a webhook has no id or type that could be an event's: it is passed over");
        count(None, "unknown_shape");
        return Ok(HttpResponse::Ok().json(Receipt { received: true, duplicate: false }));
    };
    let heard = hear(&state, &receiver, &event).await;
    let heard = heard.inspect_err(|_| count(Some(&event), "not_now"))?;
    tracing::info!(event.id = event.id, event.type = event.kind, ?heard, "a webhook was received");
    match heard {
        Heard::Duplicate => count(Some(&event), "duplicate"),
        Heard::Now(outcome) => count(Some(&event), outcome.as_str()),
    }
    if heard == Heard::Now(Outcome::Applied) {
        state.relay.nudge();
    }
    Ok(HttpResponse::Ok().json(Receipt { received: true, duplicate: heard == Heard::Duplicate }))
}

/// Where webhooks that come at the same time are received together.
pub(super) type Receiver = Gather<WebhookEvent, Result<Received, NotHeard>>;

async fn hear(state: &AppState, receiver: &Receiver, event: &WebhookEvent) -> Result<Heard, NotHeard> {
    let received = receiver.join(event.clone(), |events| receive(state.pool.clone(), events)).await;
    let received = received.map_err(ReactionError::transient)??;
    let heard = follow_up(state, event, received).await;
    if matches!(received, Received::MayTell(_)) {
        state.calls.nudge();
    }
    heard
}

/// What follows from a webhook belongs to the trace of the order, which the gateway does not know. The webhook's own trace and
/// the order's lead to each other. That costs a look-up, so it is for where traces are exported.
async fn follow_up(state: &AppState, event: &WebhookEvent, received: Received) -> Result<Heard, NotHeard> {
    let heard = || commands::hear_webhook(&state.pool, &*state.gateway, event, received);
    let may_tell = matches!(received, Received::MayTell(_));
    let request = trace::current().filter(|request| trace::is_on() && (may_tell || request.is_sampled()));
    let Some((request, order)) = request.zip(trace_of_order(&state.pool, event, request.is_some()).await) else {
        return heard().await;
    };
    let told = |linked| Told::new(Kind::Internal, format!("webhook {}", event.type_label())).linked(linked, None);
    let (own, of_order) = (Span::begin(Some(request)), Span::begin(Some(order)));
    if !may_tell {
        own.end(None, || told(order));
        return heard().await;
    }
    let heard = trace::within(of_order.context(), heard()).await;
    of_order.end(None, || told(request));
    own.end(None, || told(of_order.context()));
    heard
}

async fn trace_of_order(pool: &Pool, event: &WebhookEvent, is_asked: bool) -> Option<Context> {
    let intent = event.intent.as_deref().filter(|_| is_asked)?;
    let traceparent = calls::trace_of(&mut *pool.get().await.ok()?, intent).await.ok()?;
    Context::parse(&traceparent?)
}

/// Receives a batch. If one event makes it fail, each is received by itself, unless the database has failed.
async fn receive(pool: Pool, events: Vec<WebhookEvent>) -> Vec<Result<Received, NotHeard>> {
    match receive_in_one(&pool, &events).await {
        Ok(received) => return received.into_iter().map(Ok).collect(),
        Err(error) if error.is_of_the_database() => {
            let why = error.to_string();
            let not_now = |_| Err(ReactionError::transient(anyhow::anyhow!(why.clone())).into());
            return events.iter().map(not_now).collect();
        }
        Err(_) => {}
    }
    let mut received = Vec::with_capacity(events.len());
    for event in &events {
        let one = receive_in_one(&pool, std::slice::from_ref(event)).await;
        received.push(one.map(|received| received.into_iter().next().unwrap_or(Received::Before)));
    }
    received
}

async fn receive_in_one(pool: &Pool, events: &[WebhookEvent]) -> Result<Vec<Received>, NotHeard> {
    Ok(webhooks::receive(&mut *pool.get().await?, events).await?)
}

/// The event in a body that the gateway has signed; none if it is none that is known. Only unsigned bodies and what
/// can't be JSON are refused: a gateway stops sending to an endpoint that refuses what it has signed.
fn believed(secrets: &Secrets, request: &HttpRequest, body: &[u8]) -> Result<Option<WebhookEvent>, Problem> {
    let header = the_one(request, SIGNATURE)?.map(|value| value.to_str().unwrap_or_default());
    let header = header.ok_or_else(|| Problem::malformed(format!("{SIGNATURE} is missing.")))?;
    secrets
        .verify(header, body, Utc::now())
        .map_err(|why| Problem::malformed(format!("{SIGNATURE} is not believed: {why}.")))?;
    WebhookEvent::parse(body).map_err(|why| Problem::malformed(format!("{why}.")))
}

/// Counts what came of a webhook; labels are few, whatever is sent.
fn count(event: Option<&WebhookEvent>, outcome: &'static str) {
    let kind = event.map_or("none", WebhookEvent::type_label);
    let version = match event {
        Some(event) if event.is_of_known_version => "known",
        Some(_) => "other",
        None => "none",
    };
    metrics::counter!("payment_webhooks_total", "type" => kind, "version" => version, "outcome" => outcome)
        .increment(1);
}

/// The answer to a webhook.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"received": true, "duplicate": false}))]
struct Receipt {
    received: bool,
    /// It had been heard before.
    duplicate: bool,
}

fn unread(error: &actix_web::Error) -> Problem {
    match error.as_response_error().status_code() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large("An event is smaller."),
        _ => Problem::malformed("The body could not be read to its end."),
    }
}

impl From<NotHeard> for Problem {
    fn from(error: NotHeard) -> Self {
        match error {
            NotHeard::Pool(error) => error.into(),
            NotHeard::Database(error) => error.into(),
            NotHeard::Reaction(error) => commands_problem(&error),
            NotHeard::Append(error) => error.into(),
            NotHeard::TooEarly => Problem::unavailable("The answer to a call that is unfinished is awaited first."),
            NotHeard::Gateway(error) => {
                tracing::warn!(%error, "a webhook's intent can't be looked up now");
                Problem::unavailable("The gateway can't be asked what has become of the intent.")
            }
        }
    }
}

/// A command failed: because of the database, for now, or because of something that somebody must look at.
pub(super) fn commands_problem(error: &ReactionError) -> Problem {
    match error {
        ReactionError::Transient(why) => {
            tracing::warn!(%why, "a request failed for now");
            Problem::unavailable("The database can't do this now.")
        }
        ReactionError::Permanent(why) => Problem::internal(why),
    }
}

#[cfg(test)]
mod tests {
    use diesel_async::SimpleAsyncConnection;
    use service_kit::testing::TestDb;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_database_can_not_do_for_a_batch_it_is_not_asked_to_do_for_each_event() {
        let db = TestDb::new(&crate::migrations()).await;
        let fails = "create sequence tries;
            create function fails() returns trigger language plpgsql as
                $$ begin perform nextval('tries'); raise exception 'deadlock detected'; end $$;
            create trigger fails before insert on webhook_events for each row execute function fails();";
        db.conn().await.batch_execute(fails).await.unwrap();
        let event = |id| format!(r#"{{"id": "evt_{id}", "type": "x", "data": {{"object": {{"object": "charge"}}}}}}"#);
        let events = (0..10).map(|id| WebhookEvent::parse(event(id).as_bytes()).unwrap().unwrap()).collect();
        let received = receive(db.pool.clone(), events).await;
        assert_eq!(received.iter().filter(|one| one.as_ref().is_err_and(NotHeard::is_of_the_database)).count(), 10);
        let once = "do $$ begin assert (select last_value from tries) = 1, 'once for all'; end $$";
        db.conn().await.batch_execute(once).await.unwrap();
    }
}
