//! Rows that were read and wait until the standbys have the commits that made them visible.
//!
//! A read that has to wait counts as one that is not answered yet: nothing is noted of it, and nothing more is read. So
//! what must not overtake its rows doesn't, and what makes it worthless (a row below it failed) throws it away like any
//! other read that was sent too early.
//!
//! The bound is where the WAL ends (`pg_current_wal_insert_lsn`) by a statement later than the read. A transaction's
//! commit record is in the WAL before any snapshot sees the transaction, so it lies below. Where the WAL is flushed to
//! (`pg_current_wal_flush_lsn`) would not do: a commit with `synchronous_commit = off` is visible before it is flushed.
//! Nor would it do to trust commits that wait for standbys: one with `local` does not, and one whose wait is cancelled
//! becomes visible at once.

use std::sync::Arc;
use std::time::Duration;

use diesel::result::QueryResult;
use diesel_async::RunQueryDsl;
use service_kit::retry::Backoff;
use tokio::time::{Instant, sleep};

use super::{Answer, Batch, Outage, Term};
use crate::answer::in_time;
use crate::durable::{Durable, Look, LookColumns};
use crate::sql::{self, ReadRow};

/// The first wait between two looks at the standbys: about what one takes to write and to answer.
const FIRST_LOOK: Duration = Duration::from_millis(1);
/// The longest.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// What is known of the standbys, and the read that waits for them.
pub(super) struct Standbys {
    held: Option<Held>,
    /// A look is among the statements that were sent.
    looking: bool,
    /// Acknowledged rows that were deleted since the held read saw them.
    pub retired: Vec<i64>,
    /// Why nothing is durable now, if it isn't.
    missing: Option<String>,
    /// How many bytes of what the primary has on its disk they lack.
    behind: i64,
    /// A position that was needed and not reached, and since when.
    awaited: Option<(i64, Instant)>,
}

struct Held {
    rows: Vec<ReadRow>,
    /// Where the WAL ended when the rows had been seen.
    bound: Option<i64>,
    /// The primary was told to flush up to the bound.
    flushed: bool,
    looks: Backoff,
    look_at: Option<Instant>,
}

impl Standbys {
    pub const fn new() -> Self {
        Self { held: None, looking: false, retired: Vec::new(), missing: None, behind: 0, awaited: None }
    }

    /// Whether a read waits for them.
    pub const fn hold(&self) -> bool {
        self.held.is_some()
    }

    /// Throws away the read that waits.
    pub fn let_go(&mut self) {
        self.held = None;
        self.retired.clear();
    }

    /// Notes how far they are. `needed` is the position that they should have reached.
    fn note(&mut self, needed: i64, look: &Look, reached: &Result<i64, String>) {
        let have = |position: i64| reached.as_ref().is_ok_and(|reached| *reached >= position);
        self.behind = reached.as_ref().map_or(self.behind, |position| (look.flushed - position).max(0));
        self.missing = reached.as_ref().err().cloned();
        if have(needed) {
            self.awaited = None;
        } else if self.awaited.is_none_or(|(position, _)| have(position)) {
            self.awaited = Some((needed, Instant::now()));
        }
    }

    /// For how long what is needed of them has not been there.
    fn late(&self) -> Option<Duration> {
        self.awaited.map(|(_, since)| since.elapsed())
    }
}

impl Term<'_> {
    /// Whether rows are published only once standbys have them.
    fn waits_for_standbys(&self) -> bool {
        self.config.durable != Durable::Local
    }

    /// Holds the rows back until the standbys have them, if they must; else returns them.
    pub(super) fn hold(&mut self, rows: Vec<ReadRow>) -> Option<Vec<ReadRow>> {
        if rows.is_empty() || !self.waits_for_standbys() {
            return Some(rows);
        }
        let looks = Backoff::new(FIRST_LOOK, LAST_LOOK);
        self.reading = true;
        self.standbys.retired.clear();
        self.standbys.held = Some(Held { rows, bound: None, flushed: false, looks, look_at: None });
        self.look_at_standbys();
        None
    }

    /// When the standbys are to be looked at again, if rows wait for them.
    pub fn next_look(&self) -> Option<Instant> {
        self.standbys.held.as_ref().filter(|_| !self.standbys.looking)?.look_at
    }

    /// Sends for a look at the standbys.
    pub fn look_at_standbys(&mut self) {
        self.standbys.looking = true;
        let conn = Arc::clone(&self.conn);
        self.asked.send(async move {
            let look = in_time(sql::LookAtStandbys {}.get_result::<LookColumns>(&mut &*conn)).await?;
            Ok(Answer::Standbys(look.into()))
        });
    }

    /// Takes note of a look. Returns the held rows if the standbys have them.
    pub(super) fn note_standbys(&mut self, look: &Look) -> Option<Batch> {
        self.standbys.looking = false;
        let reached = self.config.durable.reached(look);
        // While nothing waits, what the primary itself has not flushed can be on no standby.
        let held = self.standbys.held.as_mut();
        // A read is answered before the first look is sent for it, so the look was later than the read.
        let bound = held.map_or(look.flushed, |held| *held.bound.get_or_insert(look.inserted));
        self.standbys.note(bound, look, &reached);
        self.meters.standbys(self.standbys.behind, self.standbys.late().unwrap_or_default());
        if reached.is_ok_and(|position| position >= bound) {
            let held = self.standbys.held.take()?;
            self.reading = false;
            let batch = self.note_rows(held.rows);
            return Some(batch);
        }
        let held = self.standbys.held.as_mut()?;
        if look.flushed < bound && !held.flushed {
            // What no commit has flushed yet no standby gets: the end of an asynchronous commit, or of a cleaned page.
            held.flushed = true;
            self.flush();
            self.look_at_standbys();
        } else {
            held.look_at = Some(Instant::now() + held.looks.next_wait());
        }
        None
    }

    /// Has the primary flush its WAL up to now.
    fn flush(&mut self) {
        let conn = Arc::clone(&self.conn);
        self.asked.send(async move {
            in_time(sql::Flush {}.execute(&mut &*conn)).await?;
            Ok(Answer::Flushed)
        });
    }

    /// Has PostgreSQL prepare what is sent while other statements are under way.
    pub(super) async fn prepare_looks(&mut self) -> QueryResult<()> {
        if self.waits_for_standbys() {
            in_time(sql::LookAtStandbys {}.get_result::<LookColumns>(&mut &*self.conn)).await?;
            in_time(sql::Flush {}.execute(&mut &*self.conn)).await?;
        }
        Ok(())
    }

    /// Looks at the standbys while nothing waits for them, too, so that it is known before. Only while no statement is
    /// under way.
    pub async fn gauge_standbys(&mut self) -> QueryResult<Option<Answer>> {
        if !self.waits_for_standbys() {
            return Ok(None);
        }
        let look = in_time(sql::LookAtStandbys {}.get_result::<LookColumns>(&mut &*self.conn)).await?;
        Ok(Some(Answer::Standbys(look.into())))
    }

    /// Why rows can't be published, if it is because of the standbys: one is missing, or they have been behind for so
    /// long that it is an outage.
    pub fn not_replicated(&self) -> Option<Outage> {
        let late = self.standbys.late()?;
        if let Some(missing) = &self.standbys.missing {
            return Some(format!("rows wait for standbys (OUTBOX_RELAY_DURABLE): {missing}"));
        }
        // Nothing that changes from look to look: it would be logged anew each time. The gauges have it.
        let seconds = self.config.silence.as_secs_f64();
        (late > self.config.silence).then(|| {
            format!("rows wait for standbys (OUTBOX_RELAY_DURABLE): they have been behind for {seconds} s or longer")
        })
    }

    /// Waits until the standbys have whatever is visible now, and says whether they do. Only while nothing is under way. The
    /// wait is bounded, since the leader does nothing else meanwhile.
    pub(super) async fn replicated(&mut self) -> QueryResult<bool> {
        if !self.waits_for_standbys() {
            return Ok(true);
        }
        let (until, mut looks) = (Instant::now() + self.config.silence, Backoff::new(FIRST_LOOK, LAST_LOOK));
        let mut bound = None;
        loop {
            let look: LookColumns = in_time(sql::LookAtStandbys {}.get_result(&mut &*self.conn)).await?;
            let look = Look::from(look);
            let needed = *bound.get_or_insert(look.inserted);
            let reached = self.config.durable.reached(&look);
            self.standbys.note(needed, &look, &reached);
            if reached.as_ref().is_ok_and(|position| *position >= needed) {
                return Ok(true);
            }
            if reached.is_err() || Instant::now() >= until {
                return Ok(false);
            }
            if look.flushed < needed && looks.attempt() == 0 {
                in_time(sql::Flush {}.execute(&mut &*self.conn)).await?;
            }
            sleep(looks.next_wait()).await;
        }
    }
}
