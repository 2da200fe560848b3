//! Trying and changing dead letters.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::letters::missing;
use crate::Pool;
use crate::auth::Caller;
use crate::consumer::ReactionError;
use crate::dead_letters::draft::{HeaderName, HeaderValue, changed_headers};
use crate::dead_letters::{self, DeadLetter, Decision, Desk, Draft, DryRun, NotEdited, Reason};
use crate::http::{Json, Path, Problem};

/// How an event is to be changed for the try.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DryRunRequest, example = json!({"payload": {"order_id": "01980a10-7c00-7000-8000-0000000000a1", "currency": "EUR"}}))]
pub(super) struct DryRunRequest {
    /// The body to try instead of the letter's.
    #[schema(value_type = Option<Object>)]
    payload: Option<Box<RawValue>>,
    /// Values to try instead of those of its headers; of those that may be changed.
    #[schema(schema_with = changed_headers)]
    headers: Option<BTreeMap<HeaderName, HeaderValue>>,
}

/// Tries a dead letter without effect
///
/// Runs the service's reaction in a transaction that is rolled back, and tells what would come. It takes the locks of a replay,
/// for ten seconds at most. Nothing is left of it but gaps in sequences. `{}` tries the letter as it is.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/dry-run", tag = "dead-letters", operation_id = "dry_run_dead_letter",
    params(("id" = i64, Path, description = "Its number.", example = "7")),
    request_body = DryRunRequest,
    responses((status = 200, description = "What would come of it, be it a failure.", body = DryRun))
)]
pub(super) async fn dry_run(
    pool: Data<Pool>,
    desk: Option<Data<Desk>>,
    id: Path<i64>,
    body: Json<DryRunRequest>,
) -> Result<HttpResponse, Problem> {
    let DryRunRequest { payload, headers } = body.into_inner();
    let desk = desk_of(&pool, desk, id.0).await?;
    let draft = draft(payload, headers);
    let dry_run = desk.dry_run(id.0, draft).await.map_err(refused)?.ok_or_else(|| missing(id.0))?;
    Ok(HttpResponse::Ok().json(dry_run))
}

/// How an event is to be changed for good.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EditDeadLetter, example = json!({
    "payload": {"order_id": "01980a10-7c00-7000-8000-0000000000a1", "currency": "EUR"},
    "headers": {"ce_time": "2026-07-14T09:30:00Z"}, "reason": "the producer left the currency out"
}))]
pub(super) struct EditRequest {
    /// The new body.
    #[schema(value_type = Option<Object>)]
    payload: Option<Box<RawValue>>,
    /// New values of headers; of those that may be changed.
    #[schema(schema_with = changed_headers)]
    headers: Option<BTreeMap<HeaderName, HeaderValue>>,
    #[schema(inline)]
    reason: Reason,
}

/// Edits a dead letter
///
/// What it said before stays on record, with who edited it and why. A replay runs the last version. `ce_id` stays, so that the
/// event is handled once, whatever it says; and whatever comes of the event tells of it as its cause. What is no event of a type
/// that the service knows is refused.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/edit", tag = "dead-letters", operation_id = "edit_dead_letter",
    params(("id" = i64, Path, description = "Its number.", example = "7")),
    request_body = EditRequest,
    responses(
        (status = 200, description = "The letter as it is now.", body = DeadLetter),
        (status = 409, description = "It was edited as often as a letter may be, or this changes nothing.")
    )
)]
pub(super) async fn edit(
    pool: Data<Pool>,
    desk: Option<Data<Desk>>,
    caller: Caller,
    id: Path<i64>,
    body: Json<EditRequest>,
) -> Result<HttpResponse, Problem> {
    let EditRequest { payload, headers, reason } = body.into_inner();
    let desk = desk_of(&pool, desk, id.0).await?;
    let (draft, mut conn) = (draft(payload, headers), pool.get().await?);
    let edited = desk.edit(&mut conn, id.0, draft, &decision(&caller, &reason)).await;
    let letter = edited.map_err(|why| match why {
        NotEdited::Missing => missing(id.0),
        NotEdited::Undecodable(field, why) => Problem::bad_input(field, why),
        NotEdited::TooOften => Problem::conflict("It was edited as often as a letter may be."),
        NotEdited::Same => Problem::conflict("This would change nothing."),
        NotEdited::Database(error) => error.into(),
    })?;
    metrics::counter!("dead_letter_edits_total").increment(1);
    Ok(HttpResponse::Ok().json(letter))
}

/// Why a letter is to be dropped.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DiscardDeadLetter, example = json!({"reason": "sent by a broken build, and again by the next one"}))]
pub(super) struct DiscardRequest {
    #[schema(inline)]
    reason: Reason,
}

/// Discards a dead letter for good
///
/// What waits behind it stays until it is replayed. Who discarded it and why stays on record for 30 days.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/discard", tag = "dead-letters", operation_id = "discard_dead_letter",
    params(("id" = i64, Path, description = "Its number.", example = "7")),
    request_body = DiscardRequest,
    responses((status = 204, description = "It is gone."))
)]
pub(super) async fn discard(
    pool: Data<Pool>,
    caller: Caller,
    id: Path<i64>,
    body: Json<DiscardRequest>,
) -> Result<HttpResponse, Problem> {
    let decision = decision(&caller, &body.into_inner().reason);
    let gone = dead_letters::discard(&mut *pool.get().await?, id.0, &decision).await?;
    if gone { Ok(HttpResponse::NoContent().finish()) } else { Err(missing(id.0)) }
}

/// Whose wish it is.
pub(super) fn decision(caller: &Caller, reason: &Reason) -> Decision {
    Decision { by: caller.sub().map(str::to_owned), reason: Some(reason.to_string()) }
}

fn draft(payload: Option<Box<RawValue>>, headers: Option<BTreeMap<HeaderName, HeaderValue>>) -> Draft {
    Draft { payload, headers: headers.unwrap_or_default() }
}

/// The desk, if there is such a letter to bring there.
async fn desk_of(pool: &Pool, desk: Option<Data<Desk>>, id: i64) -> Result<Data<Desk>, Problem> {
    if let Some(desk) = desk {
        return Ok(desk);
    }
    let letter = dead_letters::get(&mut *pool.get().await?, id).await?;
    Err(match letter {
        Some(_) => Problem::unavailable("This process hears no events, so it can't try one."),
        None => missing(id),
    })
}

/// The database could not be asked.
fn refused(error: ReactionError) -> Problem {
    match error {
        ReactionError::Transient(error) => {
            tracing::warn!(error = %format!("{error:#}"), "a dead letter can't be tried now");
            Problem::unavailable("The database can't do this now.")
        }
        ReactionError::Permanent(error) => Problem::internal(format!("{error:#}")),
    }
}
