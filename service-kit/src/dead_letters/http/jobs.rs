//! Jobs on many dead letters.

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use actix_web::web::Data;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::changes::decision;
use super::letters::RecordKey;
use crate::Pool;
use crate::auth::Caller;
use crate::dead_letters::jobs::{self, Turn};
use crate::dead_letters::{Desk, GroupId, Job, JobAction, Reason, Selection};
use crate::http::{Cursor, EmptyBody, Json, Limit, Paged, Path, Problem, Query};

/// How many letters can be named.
const MOST: usize = 1_000;

/// What is to be done, and to which letters: `group`, `key` or `ids` says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewDeadLetterJob, example = json!({
    "action": "replay", "group": "5f0c6d3a9b1e2f48", "reason": "version 1.4 knows the currency"
}))]
pub(super) struct NewJob {
    #[schema(inline)]
    action: JobAction,
    /// Those of one cause.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{16}$")]
    group: Option<GroupId>,
    /// Those of one key, in whichever topic.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1000, pattern = "^[^\\x00]+$")]
    key: Option<RecordKey>,
    /// These, at most 1,000.
    #[schema(min_items = 1, max_items = 1000)]
    ids: Option<Vec<i64>>,
    #[schema(inline)]
    reason: Reason,
    /// Whether it goes on when a letter fails; else it stops there.
    keep_going: Option<bool>,
}

impl NewJob {
    fn selection(self) -> Result<Selection, Problem> {
        match (self.group, self.key, self.ids) {
            (Some(group), None, None) => Ok(Selection::Group(group)),
            (None, Some(RecordKey(key)), None) => Ok(Selection::Key(key)),
            (None, None, Some(ids)) if (1..=MOST).contains(&ids.len()) => Ok(Selection::Ids(ids)),
            (None, None, Some(ids)) => {
                Err(Problem::bad_input("ids", format!("{} are given; expected 1 to {MOST}", ids.len())))
            }
            _ => Err(Problem::bad_input("group", "expected one of group, key and ids")),
        }
    }
}

/// Begins a job on dead letters
///
/// The service works at it by itself, one job after the other, and goes on where it was after a restart. To replay a letter is to
/// replay the queue of its key. Letters that come later are not part of it.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/jobs", tag = "dead-letters", operation_id = "begin_dead_letter_job",
    request_body = NewJob,
    responses(
        (status = 202, description = "It has begun.", body = Job,
            headers(("Location" = String, description = "The address of the job."))),
        (status = 409, description = "There is no such letter.")
    )
)]
pub(super) async fn begin(
    pool: Data<Pool>,
    desk: Option<Data<Desk>>,
    caller: Caller,
    body: Json<NewJob>,
) -> Result<HttpResponse, Problem> {
    let new = body.into_inner();
    let (action, keep_going) = (new.action, new.keep_going.unwrap_or_default());
    let decision = decision(&caller, &new.reason);
    let selection = new.selection()?;
    let desk = desk.ok_or_else(|| Problem::unavailable("This process hears no events, so it can't replay any."))?;
    let mut conn = pool.get().await?;
    let begun = desk.begin(&mut conn, action, selection, keep_going, &decision).await?;
    let job = begun.ok_or_else(|| Problem::conflict("There is no such dead letter now."))?;
    let location = format!("/api/v1/dead-letters/jobs/{}", job.id);
    Ok(HttpResponse::Accepted().insert_header((LOCATION, location)).json(job))
}

/// The parameters of the list of jobs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct JobsQuery {
    /// `true`: those that have not ended, be they running, paused or stopped; `false`: those that have.
    #[param(inline)]
    going_on: Option<bool>,
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<Uuid>)]
    cursor: Option<Cursor<Uuid>>,
}

/// Lists jobs on dead letters, the newest first
///
/// Those that have ended for 90 days.
#[utoipa::path(
    get, path = "/api/v1/dead-letters/jobs", tag = "dead-letters", operation_id = "list_dead_letter_jobs",
    params(JobsQuery),
    responses((status = 200, description = "A page of them.", body = Paged<Job>))
)]
pub(super) async fn list(pool: Data<Pool>, query: Query<JobsQuery>) -> Result<HttpResponse, Problem> {
    let JobsQuery { going_on, limit, cursor } = query.0;
    let (limit, before) = (limit.unwrap_or_default().get(), cursor.map(|Cursor(before)| before));
    let rows = jobs::jobs(&mut *pool.get().await?, going_on, before, limit + 1).await?;
    Ok(HttpResponse::Ok().json(Paged::from_rows(rows, limit, |job| job.id.to_string())))
}

/// Shows a job on dead letters, and how far it is
#[utoipa::path(
    get, path = "/api/v1/dead-letters/jobs/{id}", tag = "dead-letters", operation_id = "get_dead_letter_job",
    params(("id" = Uuid, Path, description = "Its id.", example = "01980a10-7c00-7000-8000-0000000000b1")),
    responses((status = 200, description = "The job.", body = Job))
)]
pub(super) async fn show(pool: Data<Pool>, id: Path<Uuid>) -> Result<HttpResponse, Problem> {
    let job = jobs::job(&mut *pool.get().await?, id.0).await?.ok_or_else(missing)?;
    Ok(HttpResponse::Ok().json(job))
}

/// Pauses a job after the letter that is under way
#[utoipa::path(
    post, path = "/api/v1/dead-letters/jobs/{id}/pause", tag = "dead-letters", operation_id = "pause_dead_letter_job",
    params(("id" = Uuid, Path, description = "Its id.", example = "01980a10-7c00-7000-8000-0000000000b1")),
    responses(
        (status = 200, description = "The job as it is now.", body = Job),
        (status = 409, description = "It has stopped or ended.")
    )
)]
pub(super) async fn pause(
    pool: Data<Pool>,
    desk: Option<Data<Desk>>,
    id: Path<Uuid>,
    _: EmptyBody,
) -> Result<HttpResponse, Problem> {
    turn(&pool, desk, id.0, Turn::Pause, "paused").await
}

/// Has a job go on that was paused, or that has stopped at a letter, which is tried again
#[utoipa::path(
    post, path = "/api/v1/dead-letters/jobs/{id}/resume", tag = "dead-letters", operation_id = "resume_dead_letter_job",
    params(("id" = Uuid, Path, description = "Its id.", example = "01980a10-7c00-7000-8000-0000000000b1")),
    responses(
        (status = 200, description = "The job as it is now.", body = Job),
        (status = 409, description = "It has ended.")
    )
)]
pub(super) async fn resume(
    pool: Data<Pool>,
    desk: Option<Data<Desk>>,
    id: Path<Uuid>,
    _: EmptyBody,
) -> Result<HttpResponse, Problem> {
    turn(&pool, desk, id.0, Turn::Resume, "running").await
}

/// Cancels a job: what it has done stays done
#[utoipa::path(
    post, path = "/api/v1/dead-letters/jobs/{id}/cancel", tag = "dead-letters", operation_id = "cancel_dead_letter_job",
    params(("id" = Uuid, Path, description = "Its id.", example = "01980a10-7c00-7000-8000-0000000000b1")),
    responses(
        (status = 200, description = "The job as it is now.", body = Job),
        (status = 409, description = "It is done.")
    )
)]
pub(super) async fn cancel(
    pool: Data<Pool>,
    desk: Option<Data<Desk>>,
    id: Path<Uuid>,
    _: EmptyBody,
) -> Result<HttpResponse, Problem> {
    turn(&pool, desk, id.0, Turn::Cancel, "cancelled").await
}

/// Repeating it changes nothing. The worker is told: it gave way meanwhile.
async fn turn(
    pool: &Pool,
    desk: Option<Data<Desk>>,
    id: Uuid,
    turn: Turn,
    state: &str,
) -> Result<HttpResponse, Problem> {
    let mut conn = pool.get().await?;
    let turned = jobs::turn(&mut conn, id, turn).await?;
    desk.iter().for_each(|desk| desk.wake());
    let job = jobs::job(&mut conn, id).await?.ok_or_else(missing)?;
    if turned || job.state == state {
        return Ok(HttpResponse::Ok().json(job));
    }
    Err(Problem::conflict(format!("The job is {}.", job.state)))
}

fn missing() -> Problem {
    Problem::not_found("There is no such job.")
}
