//! One term of leadership: from taking the lock to losing it or giving it up.

mod alone;
mod archive;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use diesel::result::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::answer::in_time;
use crate::config::RelayConfig;
use crate::gauges::Meters;
use crate::head::Head;
use crate::publisher::{Failure, OutboxRow, Publisher, Report};
use crate::sql::{self, ReadRow};
use crate::to_record::to_record;

/// How long the rows that are under way may still be acknowledged when one of them failed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why publishing has to wait, in the words of the client.
pub(crate) type Outage = String;

/// What the leader knows. It is forgotten with the leadership: the next leader learns it from the table.
pub(crate) struct Term<'a> {
    config: &'a RelayConfig,
    conn: AsyncPgConnection,
    head: Head,
    head_checked: Option<Instant>,
    /// Rows handed to the publisher on which it has not reported.
    in_flight: HashMap<i64, UnderWay>,
    in_flight_bytes: usize,
    /// Rows that are tried one at a time, in this order, with their keys' hashes: those that the broker refused in the
    /// company of others, and earlier rows of their keys that failed with them.
    suspects: BTreeMap<i64, u64>,
    hasher: RandomState,
    /// When the archive was last looked after.
    archive_tended: Option<Instant>,
    pub meters: Meters,
}

struct UnderWay {
    bytes: usize,
    since: Instant,
    /// Of topic and key: what must stay in order. Two keys of one hash are only tried one at a time for nothing.
    key: u64,
}

/// What a look at the table found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    pub rows: usize,
    /// There may be more.
    pub full: bool,
}

impl<'a> Term<'a> {
    pub fn new(config: &'a RelayConfig, conn: AsyncPgConnection) -> Self {
        Self {
            config,
            conn,
            head: Head::default(),
            head_checked: None,
            in_flight: HashMap::new(),
            in_flight_bytes: 0,
            suspects: BTreeMap::new(),
            hasher: RandomState::new(),
            archive_tended: None,
            meters: Meters::new(&config.name),
        }
    }

    /// Nothing is with the publisher.
    pub fn settled(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Whether rows wait to be tried one at a time, which is done once nothing is under way. Until then, nothing else may
    /// go out.
    pub fn suspicious(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// Whether another batch may go out.
    pub fn has_room(&self) -> bool {
        let (bound, batch) = (self.config.in_flight, self.config.batch);
        self.suspects.is_empty()
            && self.in_flight.len() + batch.rows <= bound.rows.max(batch.rows)
            && self.in_flight_bytes + batch.bytes <= bound.bytes.max(batch.bytes)
    }

    /// How long the oldest row that is under way has been.
    pub fn waiting(&self) -> Duration {
        self.in_flight.values().map(|under_way| under_way.since.elapsed()).max().unwrap_or_default()
    }

    /// Says that the broker says nothing.
    pub fn silent(&self) -> Outage {
        format!("no acknowledgement for {} s", self.config.silence.as_secs_f64())
    }

    /// Reads a batch, in id order, and hands it over; rows of parked keys queue up behind their key instead.
    pub async fn read(&mut self, publisher: &mut impl Publisher) -> QueryResult<Look> {
        let mut rows = self.look().await?;
        let limit = self.config.batch;
        let full = rows.len() >= limit.rows || rows.last().is_some_and(|row| row.6 >= int(limit.bytes));
        let ids: Vec<i64> = rows.iter().map(|row| row.0).collect();
        self.head.read(&ids, !full);
        let look = Look { rows: rows.len(), full };
        if let Some(unreadable) = rows.iter().position(|row| !row.5 && row.3.0.is_none()) {
            self.suspect_first(&rows.split_off(unreadable));
        }
        let behind: Vec<i64> = rows.iter().filter(|row| row.5).map(|row| row.0).collect();
        if !behind.is_empty() {
            self.meters.parked(behind.len());
            in_time(sql::ParkBehind { ids: behind }.execute(&mut self.conn)).await?;
        }
        self.hand_over(rows, publisher);
        self.watch_gaps().await?;
        Ok(look)
    }

    async fn look(&mut self) -> QueryResult<Vec<ReadRow>> {
        let (position, rows, bytes) = (self.head.position(), int(self.config.batch.rows), int(self.config.batch.bytes));
        if self.head.closed() {
            return in_time(sql::ReadAhead { position, rows, bytes }.load(&mut self.conn)).await;
        }
        let (lows, highs) = self.head.gaps();
        in_time(sql::ReadGapsAndAhead { lows, highs, position, rows, bytes }.load(&mut self.conn)).await
    }

    /// The first row can't be published as it is, and those after it must not overtake it.
    fn suspect_first(&mut self, rows: &[ReadRow]) {
        let Some((first, later)) = rows.split_first() else { return };
        self.suspects.insert(first.0, self.hash(&first.1, &first.2));
        for row in later.iter().filter(|row| !self.in_flight.contains_key(&row.0)) {
            self.head.put_back(row.0);
        }
    }

    fn hand_over(&mut self, rows: Vec<ReadRow>, publisher: &mut impl Publisher) {
        let since = Instant::now();
        let mut before = 0;
        let mut batch = Vec::with_capacity(rows.len());
        for row in rows {
            let bytes = usize::try_from(row.6 - before).unwrap_or_default();
            before = row.6;
            // A gap that was drawn together from several may hold rows that are under way already.
            if row.5 || self.in_flight.contains_key(&row.0) {
                continue;
            }
            let (id, key) = (row.0, self.hash(&row.1, &row.2));
            if let Ok(row) = self.to_record(row) {
                self.in_flight.insert(id, UnderWay { bytes, since, key });
                self.in_flight_bytes += bytes;
                batch.push(row);
            }
        }
        if !batch.is_empty() {
            self.meters.batch(batch.len());
            publisher.publish(&batch);
        }
    }

    fn to_record(&self, row: ReadRow) -> Result<OutboxRow, Failure> {
        to_record(row, self.config.trace_header.as_deref())
    }

    fn hash(&self, topic: &str, key: &str) -> u64 {
        self.hasher.hash_one((topic, key))
    }

    /// Asks who may still fill a gap: in a statement later than the read that found it.
    async fn watch_gaps(&mut self) -> QueryResult<()> {
        let recently = self.head_checked.is_some_and(|checked| checked.elapsed() < self.config.head_check);
        if recently || self.head.needs_no_holders() {
            return Ok(());
        }
        let holders: Vec<String> = in_time(sql::Holders {}.get_result(&mut self.conn)).await?;
        self.head.holders(&holders);
        self.head_checked = Some(Instant::now());
        Ok(())
    }

    /// Deletes exactly what was acknowledged. If anything failed, what is under way is withdrawn and will be read
    /// again, apart from rows that were refused, which become suspects, and those that must go out before them.
    pub async fn settle(
        &mut self,
        mut reports: Vec<Report>,
        publisher: &mut impl Publisher,
    ) -> QueryResult<Option<Outage>> {
        let failed = reports.iter().any(|report| report.outcome.is_err());
        if failed {
            publisher.withdraw(LAST_WORDS, &mut reports).await;
        }
        let mut outage = None;
        let mut acknowledged = Vec::with_capacity(reports.len());
        for Report { id, outcome } in reports {
            match outcome {
                Ok(()) => acknowledged.push(id),
                Err(Failure::Refused(_)) => {
                    if let Some(refused) = self.in_flight.get(&id) {
                        self.suspects.insert(id, refused.key);
                    }
                }
                Err(Failure::Outage(why)) => {
                    outage.get_or_insert(why);
                }
            }
        }
        self.retire(acknowledged).await?;
        if !failed {
            return Ok(None);
        }
        let last_suspects: HashMap<u64, i64> = self.suspects.iter().map(|(id, key)| (*key, *id)).collect();
        for (id, under_way) in self.in_flight.drain() {
            if last_suspects.get(&under_way.key).is_some_and(|last| id <= *last) {
                self.suspects.insert(id, under_way.key);
            } else {
                self.head.put_back(id);
            }
        }
        self.in_flight_bytes = 0;
        // Where a row was refused, the others failed because of it.
        Ok(outage.filter(|_| self.suspects.is_empty()))
    }

    async fn retire(&mut self, ids: Vec<i64>) -> QueryResult<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut oldest = None;
        for id in &ids {
            if let Some(under_way) = self.in_flight.remove(id) {
                self.in_flight_bytes = self.in_flight_bytes.saturating_sub(under_way.bytes);
                oldest = oldest.min(Some(under_way.since)).or(Some(under_way.since));
            }
        }
        if let Some(since) = oldest {
            self.meters.took(since.elapsed());
        }
        self.meters.published(ids.len());
        if self.config.archive.is_some() {
            in_time(sql::ArchiveRows { ids }.execute(&mut self.conn)).await?;
        } else {
            in_time(sql::DeleteRows { ids }.execute(&mut self.conn)).await?;
        }
        Ok(())
    }

    /// Sets the gauges, by looking at the ends of the table only. Says whether something is asked for parked rows.
    pub async fn gauge(&mut self) -> QueryResult<bool> {
        let lowest = self.in_flight.keys().chain(self.suspects.keys()).min().map_or(i64::MAX, |id| id - 1);
        let floor = self.head.floor().min(lowest);
        let (oldest, last, parked, asked): (Option<f64>, Option<i64>, i64, bool) =
            in_time(sql::Gauges { floor }.get_result(&mut self.conn)).await?;
        let pending = if oldest.is_some() { last.unwrap_or_default().saturating_sub(floor) } else { 0 };
        self.meters.gauges(pending, oldest.unwrap_or_default(), parked);
        Ok(asked)
    }
}

/// A bound as PostgreSQL takes it.
pub(crate) fn int(bound: usize) -> i64 {
    i64::try_from(bound).unwrap_or(i64::MAX)
}
