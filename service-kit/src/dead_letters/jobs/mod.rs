//! Jobs: many dead letters are replayed or discarded by the service itself.
//!
//! A job takes its letters in the order of their numbers. To replay one is to replay the queue of its key, in order, until
//! nothing is left of it: what waits behind the letter would wait on otherwise. Each letter is a transaction of its own, in which
//! the job's row is locked and its progress written. So there is one worker a database, however many instances there are, and
//! whoever dies in the middle has done nothing by halves.

mod table;
mod work;

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{DeadLetter, GroupId, http};
use crate::housekeeping::TimeToLive;

pub(crate) use table::{create, turn};
pub use table::{job, jobs};
pub(crate) use work::run;

/// For how long a job is shown that has ended.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The rule by which housekeeping forgets jobs that have ended.
pub(super) const fn time_to_live() -> TimeToLive {
    TimeToLive::new("dead_letter_jobs", "id", "finished_at", KEPT).only("finished_at is not null")
}

/// What a job does to each letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Has it tried again, with all that waits behind it.
    Replay,
    /// Drops it for good. What waits behind it stays.
    Discard,
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }
}

/// Which letters a job works at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those of one cause.
    Group(GroupId),
    /// Those of one key, in whichever topic.
    Key(String),
    /// These.
    Ids(Vec<i64>),
}

/// What is asked of a job that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Pause,
    Resume,
    Cancel,
}

/// A job and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, QueryableByName)]
#[schema(as = DeadLetterJob, example = json!(http::examples::job()))]
pub struct Job {
    /// Its id.
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    /// The consumer group whose letters it works at.
    #[diesel(sql_type = Text)]
    pub consumer: String,
    /// `replay` or `discard`.
    #[diesel(sql_type = Text)]
    pub action: String,
    /// The cause of its letters, if that says which.
    #[serde(rename = "group")]
    #[diesel(sql_type = Nullable<Text>)]
    pub group_id: Option<String>,
    /// Their key, if that does.
    #[diesel(sql_type = Nullable<Text>)]
    pub key: Option<String>,
    /// Their numbers, if those do.
    #[diesel(sql_type = Nullable<Array<BigInt>>)]
    pub ids: Option<Vec<i64>>,
    /// Why it is done.
    #[diesel(sql_type = Text)]
    pub reason: String,
    /// Whether it goes on when a letter fails.
    #[diesel(sql_type = Bool)]
    pub keep_going: bool,
    /// `running`, also while it waits for its turn; `paused`; `stopped`, as a letter failed; `cancelled` or `done`.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// Who wanted it, if anybody was asked who they are.
    #[diesel(sql_type = Nullable<Text>)]
    pub made_by: Option<String>,
    /// When they did.
    #[diesel(sql_type = Timestamptz)]
    pub made_at: DateTime<Utc>,
    /// When it took its first letter.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it was done or cancelled.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub finished_at: Option<DateTime<Utc>>,
    /// How many letters it began with.
    #[diesel(sql_type = BigInt)]
    pub total: i64,
    /// How many of them are gone.
    #[diesel(sql_type = BigInt)]
    pub done: i64,
    /// How many failed again.
    #[diesel(sql_type = BigInt)]
    pub failed: i64,
    /// How many are left to do.
    #[diesel(column_name = left_to_do, sql_type = BigInt)]
    pub left: i64,
    /// How many more were replayed, that had waited behind them.
    #[diesel(sql_type = BigInt)]
    pub behind: i64,
    /// The letter that failed last.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub failed_letter: Option<i64>,
    /// Why it did.
    #[diesel(sql_type = Nullable<Text>)]
    pub error: Option<String>,
}

/// A job as its worker has it: what it works at, and its progress.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
struct Progress {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Nullable<Text>)]
    group_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    key: Option<String>,
    #[diesel(sql_type = Nullable<Array<BigInt>>)]
    ids: Option<Vec<i64>>,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = Bool)]
    keep_going: bool,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Nullable<Text>)]
    made_by: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    finished_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = BigInt)]
    last_id: i64,
    #[diesel(sql_type = BigInt)]
    up_to: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    at_letter: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    at_topic: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    at_key: Option<String>,
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = BigInt)]
    done: i64,
    #[diesel(sql_type = BigInt)]
    failed: i64,
    #[diesel(sql_type = BigInt)]
    behind: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    failed_letter: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    error: Option<String>,
}

impl Progress {
    /// Takes its next letter, and with it the queue of that letter's key.
    fn take(&mut self, letter: &DeadLetter) {
        self.last_id = letter.id;
        self.at_letter = Some(letter.id);
        (self.at_topic, self.at_key) = (Some(letter.topic.clone()), Some(letter.key.clone()));
    }

    /// The queue that it works at.
    fn queue(&self) -> Option<(String, String)> {
        self.at_topic.clone().zip(self.at_key.clone())
    }

    /// Notes that a letter of the queue is gone.
    fn is_gone(&mut self, letter: &DeadLetter) {
        if self.at_letter == Some(letter.id) {
            self.at_letter = None;
            self.done += 1;
        } else if self.selects(letter) {
            self.done += 1;
        } else {
            self.behind += 1;
        }
    }

    /// Notes that nothing is left of the queue: if its letter wasn't counted, somebody else has ended it.
    fn leave_queue(&mut self) {
        if self.at_letter.take().is_some() {
            self.done += 1;
        }
        (self.at_topic, self.at_key) = (None, None);
    }

    /// Notes that a letter of the queue failed again: the job stops there, or goes on with the next queue.
    fn has_failed(&mut self, letter: i64, error: String) {
        self.failed += 1;
        (self.failed_letter, self.error) = (Some(letter), Some(error));
        if self.keep_going {
            (self.at_letter, self.at_topic, self.at_key) = (None, None, None);
        } else {
            "stopped".clone_into(&mut self.state);
        }
    }

    /// Notes that no letter is left to take. What others have ended meanwhile is done, too.
    fn is_done(&mut self, now: DateTime<Utc>) {
        "done".clone_into(&mut self.state);
        self.finished_at = Some(now);
        self.done = (self.total - self.failed).max(0);
    }

    fn selects(&self, letter: &DeadLetter) -> bool {
        let named = self.group_id.is_some() && self.group_id == letter.group_id
            || self.key.as_ref() == Some(&letter.key)
            || self.ids.as_ref().is_some_and(|ids| ids.contains(&letter.id));
        named && letter.id <= self.up_to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(keep_going: bool) -> Progress {
        Progress {
            id: Uuid::nil(),
            action: "replay".to_owned(),
            group_id: Some("g".to_owned()),
            key: None,
            ids: None,
            reason: "mended".to_owned(),
            keep_going,
            state: "running".to_owned(),
            made_by: None,
            started_at: None,
            finished_at: None,
            last_id: 0,
            up_to: 10,
            at_letter: None,
            at_topic: None,
            at_key: None,
            total: 2,
            done: 0,
            failed: 0,
            behind: 0,
            failed_letter: None,
            error: None,
        }
    }

    fn letter(id: i64, group: Option<&str>) -> DeadLetter {
        DeadLetter {
            id,
            consumer: "c".to_owned(),
            topic: "t".to_owned(),
            partition: 0,
            record_offset: id,
            key: "k".to_owned(),
            event_id: None,
            event_type: None,
            error: group.map(str::to_owned),
            attempts: 1,
            buried_at: DateTime::UNIX_EPOCH,
            replay_requested_at: None,
            cause: group.map(str::to_owned),
            group_id: group.map(str::to_owned),
            replays: 0,
            edits: 0,
        }
    }

    #[test]
    fn a_letter_counts_and_what_waited_behind_it_counts_beside_it() {
        let mut job = job(false);
        job.take(&letter(3, Some("g")));
        assert_eq!(job.queue(), Some(("t".to_owned(), "k".to_owned())));
        job.is_gone(&letter(3, Some("another by now")));
        job.is_gone(&letter(4, None));
        job.is_gone(&letter(5, Some("g")));
        job.is_gone(&letter(11, Some("g")));
        job.leave_queue();
        assert_eq!((job.done, job.behind, job.queue(), job.last_id), (2, 2, None, 3));
    }

    #[test]
    fn a_letter_that_somebody_else_has_ended_is_done() {
        let mut job = job(false);
        job.take(&letter(3, Some("g")));
        job.leave_queue();
        assert_eq!(job.done, 1);
        job.is_done(DateTime::UNIX_EPOCH);
        assert_eq!((job.done, &*job.state), (2, "done"));
    }

    #[test]
    fn a_failure_stops_it_at_that_queue_unless_it_is_to_keep_going() {
        let mut stops = job(false);
        stops.take(&letter(3, Some("g")));
        stops.has_failed(3, "again".to_owned());
        assert_eq!((&*stops.state, stops.failed, stops.failed_letter), ("stopped", 1, Some(3)));
        assert!(stops.queue().is_some(), "it tries that again when it is resumed");
        let mut goes_on = job(true);
        goes_on.take(&letter(3, Some("g")));
        goes_on.has_failed(3, "again".to_owned());
        assert_eq!((&*goes_on.state, goes_on.queue(), goes_on.at_letter), ("running", None, None));
        goes_on.is_done(DateTime::UNIX_EPOCH);
        assert_eq!((goes_on.done, goes_on.failed), (1, 1));
    }
}
