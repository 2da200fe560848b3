//! Works at jobs, in the service's own consumer.

use std::time::Duration;

use chrono::Utc;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Action;
use super::progress::Progress;
use super::table::{Claim, claim, forget_hindrance, left_out, mark_failed, next, note_hindrance, save};
use crate::consumer::{DeadLetterSink, ReactionError, Reactions, Work, shortened};
use crate::dead_letters::ended::{How, end};
use crate::dead_letters::groups::{self, Left};
use crate::dead_letters::replay::{Replayed, first, give_up, replay_letter};
use crate::dead_letters::{Decision, free_if_empty, hold, tell_first};
use crate::pool::Share;
use crate::retry::{self, Backoff, Recurring};

/// How often it looks for jobs that nobody told it of: those of another instance, which may be gone.
const LOOK: Duration = Duration::from_secs(60);

/// How often it looks whether another worker still is at a job.
const BUSY: Duration = Duration::from_secs(1);

/// What came of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Nothing,
    Busy,
    Worked,
}

/// What was done to one letter.
#[derive(Default)]
struct Step {
    replayed: Option<Replayed>,
    /// What the letter counts as, if there was one.
    counted: Option<(&'static str, &'static str)>,
}

/// What there is to do once, before jobs go on.
#[derive(Debug, Default)]
struct Beginning {
    /// Since when a job is hindered says nothing once its worker has begun anew.
    unhindered: bool,
    /// Letters that were there before causes were have theirs.
    grouped: bool,
    /// Letters up to this number say so if nothing is ahead of them.
    told_up_to: i64,
    told: bool,
}

impl Beginning {
    /// Goes on with it as far as it goes now. Those that are locked are tried again.
    async fn goes_on<R: Reactions, S: DeadLetterSink>(
        &mut self,
        work: &Work<R, S>,
        stop: &CancellationToken,
    ) -> Result<(), ReactionError> {
        if !self.unhindered {
            let mut conn = work.upkeep.of(Share::Workers).get().await?;
            forget_hindrance(&mut conn, work.handle.group()).await?;
            self.unhindered = true;
        }
        while !self.grouped && !stop.is_cancelled() {
            let mut conn = work.upkeep.of(Share::Workers).get().await?;
            match groups::group_some(&mut conn).await? {
                Left::Some => {}
                Left::Locked => break,
                Left::Nothing => self.grouped = true,
            }
        }
        while !self.told && !stop.is_cancelled() {
            let mut conn = work.upkeep.of(Share::Workers).get().await?;
            match groups::tell_some(&mut conn, self.told_up_to).await? {
                Some(last) => self.told_up_to = last,
                None => self.told = true,
            }
        }
        Ok(())
    }
}

/// Works at what is to be done now, and whenever there is a new job, until told to stop. First it finds the causes of letters that
/// were there before causes were, and those that wait with nothing ahead of them.
pub(crate) async fn run<R: Reactions, S: DeadLetterSink>(work: &Work<R, S>, stop: &CancellationToken) {
    let (mut failures, mut beginning) = (Recurring::default(), Beginning::default());
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    loop {
        let worked = async {
            beginning.goes_on(work, stop).await?;
            work_off(work, stop).await
        };
        let worked: Result<Came, ReactionError> = worked.await;
        if failures.is_news(&worked)
            && let Err(error) = &worked
        {
            tracing::warn!(error = %error, "a job on dead letters can't go on now; it is tried again");
        }
        let wait = match &worked {
            Ok(Came::Busy) => BUSY,
            Ok(_) if !beginning.grouped => BUSY,
            Ok(_) => retry::wait_after(0, LOOK, LOOK),
            Err(error) => {
                hinder(work, error).await;
                backoff.next_wait()
            }
        };
        if worked.is_ok() {
            backoff.reset();
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = work.jobs.notified() => {}
            () = sleep(wait) => {}
        }
    }
}

/// Notes with the job why it can't go on. A database that is away can't note that either.
async fn hinder<R: Reactions, S: DeadLetterSink>(work: &Work<R, S>, error: &ReactionError) {
    let noted = async {
        let mut conn = work.upkeep.of(Share::Workers).get().await?;
        note_hindrance(&mut conn, work.handle.group(), &shortened(&error.to_string())).await?;
        Ok::<_, ReactionError>(())
    };
    if let Err(error) = noted.await {
        tracing::debug!(error = %error, "why a job can't go on is not noted");
    }
}

/// Deals with letters until there is nothing to do, or another is at it.
async fn work_off<R: Reactions, S: DeadLetterSink>(
    work: &Work<R, S>,
    stop: &CancellationToken,
) -> Result<Came, ReactionError> {
    let gauge = metrics::gauge!("dead_letter_job_running");
    let mut came = Ok(Came::Worked);
    while matches!(came, Ok(Came::Worked)) && !stop.is_cancelled() {
        came = step(work).await;
        gauge.set(u8::from(matches!(came, Ok(Came::Worked))));
    }
    came
}

/// Deals with one letter.
async fn step<R: Reactions, S: DeadLetterSink>(work: &Work<R, S>) -> Result<Came, ReactionError> {
    let consumer = work.handle.group();
    let mut conn = work.upkeep.of(Share::Workers).get().await?;
    let (came, step) = conn
        .transaction::<_, ReactionError, _>(async |conn| {
            let mut job = match claim(conn, consumer).await? {
                Claim::Nothing => return Ok((Came::Nothing, Step::default())),
                Claim::Busy => return Ok((Came::Busy, Step::default())),
                Claim::Job(job) => job,
            };
            job.started_at.get_or_insert_with(Utc::now);
            let step = one_letter(work, conn, &mut job).await?;
            save(conn, &job).await?;
            Ok((Came::Worked, step))
        })
        .await?;
    if let Some((action, outcome)) = step.counted {
        metrics::counter!("dead_letter_job_letters_total", "action" => action, "outcome" => outcome).increment(1);
    }
    if let Some(replayed) = step.replayed {
        work.reactions.committed();
        replayed.tell(consumer);
    }
    Ok(came)
}

async fn one_letter<R: Reactions, S: DeadLetterSink>(
    work: &Work<R, S>,
    conn: &mut AsyncPgConnection,
    job: &mut Progress,
) -> Result<Step, ReactionError> {
    let consumer = work.handle.group();
    let (topic, key) = match job.queue() {
        Some(queue) => queue,
        None => {
            let Some(letter) = next(conn, consumer, job).await? else {
                let left_out = left_out(conn, consumer, job).await?;
                job.is_done(left_out, Utc::now());
                tracing::info!(job = %job.id, done = job.done, failed = job.failed, "a job on dead letters is done");
                return Ok(Step::default());
            };
            job.take(&letter);
            (letter.topic, letter.key)
        }
    };
    hold(conn, consumer, &topic, &key).await?;
    if job.action == Action::Discard.name() {
        return discard(conn, job, consumer, (&topic, &key)).await;
    }
    replay(work, conn, job, (&topic, &key)).await
}

async fn discard(
    conn: &mut AsyncPgConnection,
    job: &mut Progress,
    consumer: &str,
    (topic, key): (&str, &str),
) -> Result<Step, ReactionError> {
    end(conn, job.last_id, How::Discarded, &decision(job)).await?;
    if free_if_empty(conn, consumer, topic, key).await?
        && let Some(first) = tell_first(conn, consumer, topic, key).await?
    {
        job.leaves_behind(first, key);
    }
    job.leave_queue();
    Ok(Step { counted: Some(("discard", "done")), ..Step::default() })
}

/// Replays the first of the queue. A failure undoes what the reaction did, and is noted.
async fn replay<R: Reactions, S: DeadLetterSink>(
    work: &Work<R, S>,
    conn: &mut AsyncPgConnection,
    job: &mut Progress,
    (topic, key): (&str, &str),
) -> Result<Step, ReactionError> {
    let consumer = work.handle.group();
    let Some((letter, record)) = first(conn, consumer, topic, key).await? else {
        job.leave_queue();
        return Ok(Step::default());
    };
    let decision = decision(job);
    let tried = conn.transaction(async |conn| replay_letter(work, conn, &letter, record, &decision).await).await;
    let topic_label = topic.to_owned();
    match tried {
        Ok(replayed) => {
            metrics::counter!("consumer_replays_total", "topic" => topic_label, "outcome" => "replayed").increment(1);
            job.is_gone(&letter);
            if !free_if_empty(conn, consumer, topic, key).await? {
                job.leave_queue();
            }
            Ok(Step { replayed: Some(replayed), counted: Some(("replay", "done")) })
        }
        Err(ReactionError::Permanent(error)) => {
            metrics::counter!("consumer_replays_total", "topic" => topic_label, "outcome" => "failed").increment(1);
            tracing::error!(job = %job.id, topic, key, letter = letter.id, error = %format!("{error:#}"), "a letter of a job failed again");
            job.has_failed(&letter, shortened(&format!("{error:#}")));
            give_up(conn, consumer, topic, key, &error).await?;
            if job.keep_going {
                mark_failed(conn, job, letter.id).await?;
            }
            Ok(Step { counted: Some(("replay", "failed")), ..Step::default() })
        }
        Err(passing) => Err(passing),
    }
}

fn decision(job: &Progress) -> Decision {
    Decision { by: job.made_by.clone(), reason: Some(job.reason.clone()) }
}
