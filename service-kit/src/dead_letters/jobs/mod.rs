//! Jobs: many dead letters are replayed or discarded by the service itself.
//!
//! A job takes its letters in the order of their numbers. To replay one is to replay the queue of its key, in order, until
//! nothing is left of it: what waits behind the letter would wait on otherwise. Each letter is a transaction of its own, in which
//! the job's row is locked and its progress written. So there is one worker a database, however many instances there are, and
//! whoever dies in the middle has done nothing by halves.

mod progress;
mod table;
mod work;

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{GroupId, http};
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
    /// Drops it for good. What waits behind it stays, and says so once it is the first of its key.
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
    /// How many of them failed again.
    #[diesel(sql_type = BigInt)]
    pub failed: i64,
    /// How many of them were left out at the end, as they wait behind one that failed.
    #[diesel(sql_type = BigInt)]
    pub left_out: i64,
    /// How many are left to do.
    #[diesel(column_name = left_to_do, sql_type = BigInt)]
    pub left: i64,
    /// How many more were replayed, that had waited behind them.
    #[diesel(sql_type = BigInt)]
    pub behind: i64,
    /// Of how many keys more is left, of which nothing was tried: it waited behind what the job has discarded. It goes on once it
    /// is replayed or discarded.
    #[diesel(sql_type = BigInt)]
    pub left_behind: i64,
    /// How many others failed, behind which its letters wait.
    #[diesel(sql_type = BigInt)]
    pub failed_behind: i64,
    /// The letter that failed last.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub failed_letter: Option<i64>,
    /// Why it did, or why the job stopped without that.
    #[diesel(sql_type = Nullable<Text>)]
    pub error: Option<String>,
    /// Why it can't go on for now, as while the database is away. After five minutes it stops.
    #[diesel(sql_type = Nullable<Text>)]
    pub failing: Option<String>,
    /// Since when.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub failing_since: Option<DateTime<Utc>>,
}
