//! A job as its worker has it, and what each letter does to it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use crate::dead_letters::DeadLetter;

/// A job as its worker has it: what it works at, and its progress.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub(super) struct Progress {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Text)]
    pub action: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub group_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub key: Option<String>,
    #[diesel(sql_type = Nullable<Array<BigInt>>)]
    pub ids: Option<Vec<i64>>,
    #[diesel(sql_type = Text)]
    pub reason: String,
    #[diesel(sql_type = Bool)]
    pub keep_going: bool,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub made_by: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub finished_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = BigInt)]
    pub last_id: i64,
    #[diesel(sql_type = BigInt)]
    pub up_to: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub at_letter: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    pub at_topic: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub at_key: Option<String>,
    #[diesel(sql_type = BigInt)]
    pub total: i64,
    #[diesel(sql_type = BigInt)]
    pub done: i64,
    #[diesel(sql_type = BigInt)]
    pub failed: i64,
    #[diesel(sql_type = BigInt)]
    pub behind: i64,
    #[diesel(sql_type = BigInt)]
    pub failed_behind: i64,
    #[diesel(sql_type = BigInt)]
    pub left_out: i64,
    #[diesel(sql_type = BigInt)]
    pub left_behind: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub failed_letter: Option<i64>,
    #[diesel(sql_type = Nullable<Bool>)]
    pub failed_is_own: Option<bool>,
    #[diesel(sql_type = Nullable<Text>)]
    pub error: Option<String>,
}

/// A letter that a job has to take.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub(super) struct Next {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub topic: String,
    #[diesel(sql_type = Text)]
    pub key: String,
}

impl Progress {
    /// Takes its next letter, and with it the queue of that letter's key.
    pub fn take(&mut self, letter: &Next) {
        self.last_id = letter.id;
        self.at_letter = Some(letter.id);
        (self.at_topic, self.at_key) = (Some(letter.topic.clone()), Some(letter.key.clone()));
    }

    /// The queue that it works at.
    pub fn queue(&self) -> Option<(String, String)> {
        self.at_topic.clone().zip(self.at_key.clone())
    }

    /// Notes that a letter of the queue is gone.
    pub fn is_gone(&mut self, letter: &DeadLetter) {
        if self.is_own(letter) {
            self.done += 1;
        } else {
            self.behind += 1;
        }
        if self.at_letter == Some(letter.id) {
            self.at_letter = None;
        }
    }

    /// Notes that nothing is left of the queue: if its letter wasn't counted, somebody else has ended it.
    pub fn leave_queue(&mut self) {
        if self.at_letter.take().is_some() {
            self.done += 1;
        }
        (self.at_topic, self.at_key) = (None, None);
    }

    /// Notes that this letter is the first of its queue now, and was never tried. It counts unless the job will take it itself.
    pub fn leaves_behind(&mut self, letter: i64, key: &str) {
        let by_number = self.ids.as_ref().is_some_and(|ids| ids.contains(&letter));
        let is_next = letter <= self.up_to && (self.key.as_deref() == Some(key) || by_number);
        if !is_next {
            self.left_behind += 1;
        }
    }

    /// Notes that a letter of the queue failed again: the job stops there, or goes on with the next queue.
    pub fn has_failed(&mut self, letter: &DeadLetter, error: String) {
        let is_own = self.is_own(letter);
        if is_own {
            self.failed += 1;
        } else {
            self.failed_behind += 1;
        }
        (self.failed_letter, self.failed_is_own, self.error) = (Some(letter.id), Some(is_own), Some(error));
        if self.keep_going {
            (self.at_letter, self.at_topic, self.at_key) = (None, None, None);
        } else {
            "stopped".clone_into(&mut self.state);
        }
    }

    /// Notes that no letter is left to take but those that wait behind one that failed. What others have ended meanwhile is
    /// done, too.
    pub fn is_done(&mut self, left_out: i64, now: DateTime<Utc>) {
        "done".clone_into(&mut self.state);
        self.finished_at = Some(now);
        self.left_out = left_out;
        self.done = (self.total - self.failed - left_out).max(0);
    }

    /// Whether the letter is one of those that it is to work at. The one that it has taken is, whatever its error says by now.
    fn is_own(&self, letter: &DeadLetter) -> bool {
        let named = self.group_id.is_some() && self.group_id == letter.group_id
            || self.key.as_ref() == Some(&letter.key)
            || self.ids.as_ref().is_some_and(|ids| ids.contains(&letter.id));
        self.at_letter == Some(letter.id) || named && letter.id <= self.up_to
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
            failed_behind: 0,
            left_out: 0,
            left_behind: 0,
            failed_letter: None,
            failed_is_own: None,
            error: None,
        }
    }

    fn at_third(keep_going: bool) -> Progress {
        let mut job = job(keep_going);
        job.take(&Next { id: 3, topic: "t".to_owned(), key: "k".to_owned() });
        job
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
        let mut job = at_third(false);
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
        let mut job = at_third(false);
        job.leave_queue();
        assert_eq!(job.done, 1);
        job.is_done(0, DateTime::UNIX_EPOCH);
        assert_eq!((job.done, &*job.state), (2, "done"));
    }

    #[test]
    fn a_failure_stops_it_at_that_queue_unless_it_is_to_keep_going() {
        let mut stops = at_third(false);
        stops.has_failed(&letter(3, Some("g")), "again".to_owned());
        assert_eq!((&*stops.state, stops.failed, stops.failed_letter), ("stopped", 1, Some(3)));
        assert!(stops.queue().is_some(), "it tries that again when it is resumed");
        let mut goes_on = at_third(true);
        goes_on.has_failed(&letter(3, Some("g")), "again".to_owned());
        assert_eq!((&*goes_on.state, goes_on.queue(), goes_on.at_letter), ("running", None, None));
        goes_on.is_done(0, DateTime::UNIX_EPOCH);
        assert_eq!((goes_on.done, goes_on.failed), (1, 1));
    }

    #[test]
    fn another_s_failure_leaves_out_what_waits_behind_it_and_is_not_the_job_s() {
        let mut job = at_third(true);
        job.has_failed(&letter(2, None), "ahead of it".to_owned());
        job.is_done(1, DateTime::UNIX_EPOCH);
        assert_eq!((job.failed, job.failed_behind, job.left_out, job.done), (0, 1, 1, 1));
        assert_eq!(job.failed_is_own, Some(false));
    }
}
