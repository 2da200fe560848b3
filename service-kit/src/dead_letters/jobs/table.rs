//! The jobs' table.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::progress::{Next, Progress};
use super::{Action, Job, Selection, Turn};
use crate::dead_letters::{Decision, tell_first};

/// Takes on the letters that are there now.
const CREATE: &str = "insert into dead_letter_jobs
        (id, consumer, action, group_id, key, ids, reason, keep_going, made_by, up_to, total)
    select $1, $2, $3, $4, $5, $6, $7, $8, $9, max(id), count(*) from dead_letters
    where consumer = $2 and (group_id = $4 or key = $5 or id = any($6)) having count(*) > 0";

/// Makes a job. None if there is no such letter.
pub(crate) async fn create(
    conn: &mut AsyncPgConnection,
    consumer: &str,
    (action, selection): (Action, Selection),
    keep_going: bool,
    decision: &Decision,
) -> QueryResult<Option<Job>> {
    let id = Uuid::now_v7();
    let (group, key, ids) = match selection {
        Selection::Group(group) => (Some(group.to_string()), None, None),
        Selection::Key(key) => (None, Some(key), None),
        Selection::Ids(ids) => (None, None, Some(ids)),
    };
    let made = diesel::sql_query(CREATE)
        .bind::<SqlUuid, _>(id)
        .bind::<Text, _>(consumer)
        .bind::<Text, _>(action.name())
        .bind::<Nullable<Text>, _>(group)
        .bind::<Nullable<Text>, _>(key)
        .bind::<Nullable<Array<BigInt>>, _>(ids)
        .bind::<Text, _>(decision.reason.as_deref().unwrap_or_default())
        .bind::<Bool, _>(keep_going)
        .bind::<Nullable<Text>, _>(decision.by.as_deref())
        .execute(conn)
        .await?;
    if made == 1 { job(conn, id).await } else { Ok(None) }
}

/// Reads a job.
///
/// # Errors
/// Fails if the query fails.
pub async fn job(conn: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Option<Job>> {
    let job = diesel::sql_query("select * from dead_letter_jobs where id = $1");
    job.bind::<SqlUuid, _>(id).get_result(conn).await.optional()
}

/// Lists up to `limit` jobs that were made before `before`, the newest first; of those that have ended or have not, or of all.
///
/// # Errors
/// Fails if the query fails.
pub async fn jobs(
    conn: &mut AsyncPgConnection,
    going_on: Option<bool>,
    before: Option<Uuid>,
    limit: i64,
) -> QueryResult<Vec<Job>> {
    let which = match going_on {
        None => "true",
        Some(true) => "finished_at is null",
        Some(false) => "finished_at is not null",
    };
    diesel::sql_query(format!("select * from dead_letter_jobs where id < $1 and {which} order by id desc limit $2"))
        .bind::<SqlUuid, _>(before.unwrap_or(Uuid::max()))
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await
}

/// Pauses, resumes or cancels a job, where its state allows that; returns false if not. It waits for the letter under way. A job
/// that had stopped tries the letter that failed again. What is left of the queue that a cancelled one was at says so.
pub(crate) async fn turn(conn: &mut AsyncPgConnection, id: Uuid, turn: Turn) -> QueryResult<bool> {
    let statement = match turn {
        Turn::Pause => "update dead_letter_jobs set state = 'paused' where id = $1 and state = 'running'",
        Turn::Resume => {
            "update dead_letter_jobs set state = 'running',
                failed = failed - (state = 'stopped' and coalesce(failed_is_own, false))::int,
                failed_behind = failed_behind - (state = 'stopped' and not coalesce(failed_is_own, true))::int,
                failed_letter = case when state = 'paused' then failed_letter end,
                failed_is_own = case when state = 'paused' then failed_is_own end,
                error = case when state = 'paused' then error end, failing = null, failing_since = null
             where id = $1 and state in ('paused', 'stopped')"
        }
        Turn::Cancel => {
            "update dead_letter_jobs set state = 'cancelled', finished_at = now()
             where id = $1 and state in ('running', 'paused', 'stopped')"
        }
    };
    conn.transaction(async |conn| {
        // Of the job's row alone a fast worker would have the next version before whoever waits for this one.
        diesel::sql_query(WAIT).execute(conn).await?;
        let turned = diesel::sql_query(statement).bind::<SqlUuid, _>(id).execute(conn).await? == 1;
        if turned && turn == Turn::Cancel {
            let queue: Queue = diesel::sql_query(QUEUE).bind::<SqlUuid, _>(id).get_result(conn).await?;
            if let Some((topic, key)) = queue.at_topic.zip(queue.at_key) {
                tell_first(conn, &queue.consumer, &topic, &key).await?;
            }
        }
        Ok(turned)
    })
    .await
}

const QUEUE: &str = "select consumer, at_topic, at_key from dead_letter_jobs where id = $1";

/// The queue that a job is in the middle of.
#[derive(QueryableByName)]
struct Queue {
    #[diesel(sql_type = Text)]
    consumer: String,
    #[diesel(sql_type = Nullable<Text>)]
    at_topic: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    at_key: Option<String>,
}

/// Whoever waits for this lock has it next: a worker takes it for each letter, and only if nobody has it or waits.
const WAIT: &str = "select pg_advisory_xact_lock(hashtext('dead_letter_jobs'))";

/// What there is to do.
pub(super) enum Claim {
    Nothing,
    /// Another worker is at it.
    Busy,
    /// This one is locked.
    Job(Box<Progress>),
}

#[derive(QueryableByName)]
struct Turned {
    #[diesel(sql_type = Nullable<Bool>)]
    ours: Option<bool>,
}

const OURS: &str = "select case when exists (select from dead_letter_jobs where consumer = $1 and state = 'running')
    then pg_try_advisory_xact_lock(hashtext('dead_letter_jobs')) end as ours";

const OLDEST: &str =
    "select * from dead_letter_jobs where consumer = $1 and state = 'running' order by id limit 1 for update";

/// Locks the oldest job that is to be worked at, unless another worker is at one.
pub(super) async fn claim(conn: &mut AsyncPgConnection, consumer: &str) -> QueryResult<Claim> {
    let Turned { ours } = diesel::sql_query(OURS).bind::<Text, _>(consumer).get_result(conn).await?;
    match ours {
        None => return Ok(Claim::Nothing),
        Some(false) => return Ok(Claim::Busy),
        Some(true) => {}
    }
    let job = diesel::sql_query(OLDEST).bind::<Text, _>(consumer).get_result(conn).await.optional()?;
    Ok(job.map_or(Claim::Nothing, |job| Claim::Job(Box::new(job))))
}

/// Leaves out the queues at whose head a letter failed in this job ($7).
const NEXT: &str = "select id, topic, key from dead_letters letter
    where consumer = $1 and id > $2 and id <= $3 and (group_id = $4 or key = $5 or id = any($6))
      and not exists (select from dead_letters bad where bad.consumer = letter.consumer and bad.topic = letter.topic
          and bad.key = letter.key and bad.failed_job = $7)
    order by id limit 1";

/// The next letter that a job has to take.
pub(super) async fn next(conn: &mut AsyncPgConnection, consumer: &str, job: &Progress) -> QueryResult<Option<Next>> {
    diesel::sql_query(NEXT)
        .bind::<Text, _>(consumer)
        .bind::<BigInt, _>(job.last_id)
        .bind::<BigInt, _>(job.up_to)
        .bind::<Nullable<Text>, _>(job.group_id.as_deref())
        .bind::<Nullable<Text>, _>(job.key.as_deref())
        .bind::<Nullable<Array<BigInt>>, _>(job.ids.as_deref())
        .bind::<SqlUuid, _>(job.id)
        .get_result(conn)
        .await
        .optional()
}

/// Those that [`NEXT`] leaves out, but for the ones that failed.
const LEFT_OUT: &str = "select count(*) as letters from dead_letters letter
    where consumer = $1 and id <= $2 and (group_id = $3 or key = $4 or id = any($5)) and failed_job is distinct from $6
      and exists (select from dead_letters bad where bad.consumer = letter.consumer and bad.topic = letter.topic
          and bad.key = letter.key and bad.failed_job = $6)";

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    letters: i64,
}

/// How many letters of the job wait behind one that failed in it.
pub(super) async fn left_out(conn: &mut AsyncPgConnection, consumer: &str, job: &Progress) -> QueryResult<i64> {
    let counted: Count = diesel::sql_query(LEFT_OUT)
        .bind::<Text, _>(consumer)
        .bind::<BigInt, _>(job.up_to)
        .bind::<Nullable<Text>, _>(job.group_id.as_deref())
        .bind::<Nullable<Text>, _>(job.key.as_deref())
        .bind::<Nullable<Array<BigInt>>, _>(job.ids.as_deref())
        .bind::<SqlUuid, _>(job.id)
        .get_result(conn)
        .await?;
    Ok(counted.letters)
}

/// Notes that the letter failed in the job.
pub(super) async fn mark_failed(conn: &mut AsyncPgConnection, job: &Progress, letter: i64) -> QueryResult<()> {
    let marked = diesel::sql_query("update dead_letters set failed_job = $1 where id = $2");
    marked.bind::<SqlUuid, _>(job.id).bind::<BigInt, _>(letter).execute(conn).await.map(drop)
}

/// Begins the five minutes anew for which a job may be hindered: for how long it was before the worker's process ended says
/// nothing of this one.
pub(super) async fn forget_hindrance(conn: &mut AsyncPgConnection, consumer: &str) -> QueryResult<()> {
    let forget = "update dead_letter_jobs set failing = null, failing_since = null
        where consumer = $1 and state = 'running' and failing_since is not null";
    diesel::sql_query(forget).bind::<Text, _>(consumer).execute(conn).await.map(drop)
}

const HINDERED: &str = "update dead_letter_jobs set failing = $2, failing_since = coalesce(failing_since, now()),
        state = case when failing_since < now() - interval '5 minutes' then 'stopped' else state end,
        error = case when failing_since < now() - interval '5 minutes' then $2 else error end,
        failed_letter = case when failing_since < now() - interval '5 minutes' then null else failed_letter end,
        failed_is_own = case when failing_since < now() - interval '5 minutes' then null else failed_is_own end
    where id = (select id from dead_letter_jobs where consumer = $1 and state = 'running' order by id limit 1)";

/// Notes why the job that is to be worked at can't go on for now. One that could not for five minutes stops, and the next has its
/// turn.
pub(super) async fn note_hindrance(conn: &mut AsyncPgConnection, consumer: &str, why: &str) -> QueryResult<()> {
    let noted = diesel::sql_query(HINDERED).bind::<Text, _>(consumer).bind::<Text, _>(why);
    noted.execute(conn).await.map(drop)
}

const SAVE: &str =
    "update dead_letter_jobs set state = $2, started_at = $3, finished_at = $4, last_id = $5, at_letter = $6,
    at_topic = $7, at_key = $8, done = $9, failed = $10, behind = $11, failed_letter = $12, error = $13, failed_behind = $14,
    left_out = $15, failed_is_own = $16, left_behind = $17, failing = null, failing_since = null where id = $1";

/// Writes how far a job has come.
pub(super) async fn save(conn: &mut AsyncPgConnection, job: &Progress) -> QueryResult<()> {
    diesel::sql_query(SAVE)
        .bind::<SqlUuid, _>(job.id)
        .bind::<Text, _>(&job.state)
        .bind::<Nullable<Timestamptz>, _>(job.started_at)
        .bind::<Nullable<Timestamptz>, _>(job.finished_at)
        .bind::<BigInt, _>(job.last_id)
        .bind::<Nullable<BigInt>, _>(job.at_letter)
        .bind::<Nullable<Text>, _>(job.at_topic.as_deref())
        .bind::<Nullable<Text>, _>(job.at_key.as_deref())
        .bind::<BigInt, _>(job.done)
        .bind::<BigInt, _>(job.failed)
        .bind::<BigInt, _>(job.behind)
        .bind::<Nullable<BigInt>, _>(job.failed_letter)
        .bind::<Nullable<Text>, _>(job.error.as_deref())
        .bind::<BigInt, _>(job.failed_behind)
        .bind::<BigInt, _>(job.left_out)
        .bind::<Nullable<Bool>, _>(job.failed_is_own)
        .bind::<BigInt, _>(job.left_behind)
        .execute(conn)
        .await
        .map(drop)
}
